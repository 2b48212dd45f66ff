//! The examples of every page, typed as they stand: each page in a shell of its own, where there is what it takes for
//! granted. `$ cat FILE` shows a file to write.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use super::session::Session;
use super::{page, plain};

/// What a page takes for granted, and what must be so afterwards.
const PAGES: &[(&str, &str, &str)] = &[
    ("add.1", "c=$(rbuild from scratch); mkdir d; echo a >d/a; tar -czf rootfs.tar.gz d", ""),
    (
        "bud.1",
        "eval $(ssh-agent) >&2; mkdir app; echo FROM debian:bookworm >app/Dockerfile",
        r#"ssh-agent -k; [ "$(rbuild inspect greeting:moon | jq -c .OCIv1.config.Entrypoint)" = '["sh","/bin/greet"]' ]"#,
    ),
    (
        "cache.1",
        "cached /root/.cargo/registry; rbuild cache export /root/.cargo/registry | zstd -o cargo.tar.zst; rbuild prune",
        "zstd -dc cargo.tar.zst | tar -t | grep a",
    ),
    (
        "commit.1",
        "greeting greeting; c=$(rbuild from greeting)",
        "rbuild inspect greeting:small; tar -tf greeting.tar oci-layout",
    ),
    (
        "completion.1",
        "mkdir -p ~/.local/share/bash-completion/completions ~/.zfunc ~/.config/fish/completions",
        "grep rbuild ~/.zfunc/_rbuild",
    ),
    ("config.1", "c=$(rbuild from scratch); rbuild config -p 80 -e PATH=/bin $c", ""),
    ("containers.1", "rbuild from scratch", ""),
    ("copy.1", "c=$(rbuild from scratch); echo echo hello >hello.sh; echo a=b >conf", ""),
    ("doctor.1", "", ""),
    ("from.1", "echo hello >hello.sh", "rbuild inspect hello"),
    ("idmap.8", "", "kill $!"),
    ("images.1", "greeting greeting", ""),
    ("info.1", "", ""),
    ("inspect.1", "greeting greeting", ""),
    ("logout.1", "rbuild login -u user -p secret registry.example", ""),
    (
        "manifest.1",
        "rbuild login -u user -p secret registry.example; greeting app:amd64
        rbuild bud -q --platform linux/arm64 -t registry.example/app:arm64 - <<-'end'
	FROM scratch
	LABEL a=b
	end
        rbuild push -q registry.example/app:arm64",
        "",
    ),
    ("mount.1", "rbuild from --name c scratch", ""),
    (
        "prune.1",
        "cached /root/.cache",
        "",
    ),
    (
        "pull.1",
        "rbuild login -u user -p secret registry.example; greeting registry.example/app; rbuild push registry.example/app
        rbuild bud -q --platform linux/arm64 -t registry.example/team/app:1 - <<-'end'
	FROM scratch
	LABEL a=b
	end
        rbuild push -q registry.example/team/app:1; rbuild rmi --all",
        "",
    ),
    ("push.1", "rbuild login -u user -p secret registry.example; greeting greeting", "[ -s digest ]"),
    ("rename.1", "rbuild from scratch", "rbuild inspect web"),
    ("rm.1", "c=$(rbuild from scratch); rbuild from scratch", "[ -z \"$(rbuild containers -q)\" ]"),
    ("rmi.1", "greeting greeting; rbuild tag greeting greeting:moon", "[ -z \"$(rbuild images -q)\" ]"),
    ("tag.1", "greeting greeting", ""),
    ("umount.1", "", ""),
    ("unshare.1", "rbuild from --name c scratch", ""),
    ("version.1", "", ""),
    ("why.1", "greeting greeting", ""),
    (
        "1",
        "rbuild login -u user -p secret registry.example; greeting img; cp greeting/* .",
        "",
    ),
];

/// What is asked, and what is typed then.
type Answers = &'static [(&'static str, &'static str)];

/// Those that ask something on the terminal, and the answers.
const ASKING: &[(&str, &str, Answers)] = &[
    ("login.1", "echo secret >token", &[("Username:", "user\n"), ("Password:", "secret\n")]),
    ("run.1", "", &[(":/#", "exit\n")]),
];

/// What a page shows being typed, as a script.
fn script(page: &str) -> String {
    let mut script = String::new();
    let mut lines = page.lines().map(plain).peekable();
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("$ ") else { continue };
        let Some(file) = command.strip_prefix("cat ").filter(|file| !file.contains(['/', '$'])) else {
            writeln!(script, "{command}").unwrap();
            continue;
        };
        let is_text = |line: &String| !line.starts_with("$ ") && *line != ".EE";
        let text: Vec<String> = std::iter::from_fn(|| lines.next_if(is_text)).collect();
        writeln!(script, "cat >{file} <<'end of {file}'\n{}\nend of {file}", text.join("\n")).unwrap();
    }
    script
}

#[test]
fn what_the_pages_show_works() {
    let Some(session) = Session::start() else { return };
    let mut typed = BTreeSet::new();
    let mut wrong = Vec::new();
    for (name, before, after) in PAGES {
        let page_name = if *name == "1" { "rbuild.1".to_owned() } else { format!("rbuild-{name}") };
        let script = script(&page(&page_name));
        assert!(!script.is_empty(), "{page_name} has no examples");
        wrong.extend(session.type_in(&page_name, before, &format!("{script}{after}")).err());
        typed.insert(page_name);
    }
    for (name, before, answers) in ASKING {
        let page_name = format!("rbuild-{name}");
        wrong.extend(session.answer(&page_name, before, &script(&page(&page_name)), answers).err());
        typed.insert(page_name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let pages = fs::read_dir("man").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(pages.collect::<BTreeSet<_>>(), typed, "each page has a row here");
}
