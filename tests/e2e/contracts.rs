//! What each verb prints on stdout, which is what scripts read, and with which code it ends. stderr is talk.

use crate::login::Registry;
use crate::support::World;

/// What a line of stdout is.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// These words.
    Is(&'static str),
    /// 64 digits: an id or a digest.
    Hex,
    /// An id, a colon and a digest.
    Entry,
}

use Line::{Entry, Hex, Is};

impl Line {
    fn fits(self, line: &str) -> bool {
        let is_hex = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match self {
            Is(words) => line == words,
            Hex => is_hex(line),
            Entry => line.split_once(": sha256:").is_some_and(|(id, digest)| is_hex(id) && is_hex(digest)),
        }
    }
}

#[test]
fn stdout_is_what_scripts_read() {
    let world = World::new();
    let Some(registry) = Registry::start(&world) else { return };
    let host = registry.address.to_string();
    let [image, list] = ["image", "list"].map(|name| format!("{host}/{name}"));
    let file = world.file("f", "f").context().join("f").display().to_string();
    let containerfile = world.file("Dockerfile", "FROM scratch\nCOPY f /\n").context().display().to_string();
    let auth = world.path("auth.json").display().to_string();
    let removed: &'static str = format!("Removed login credentials for {host}").leak();
    let logged_in = ["login", "-u", "user", "-p", "secret", "--authfile", &auth, &host];
    let rows: &[(&[&str], &[Line])] = &[
        (&logged_in, &[Is("Login Succeeded!")]),
        (&["from", "scratch"], &[Is("working-container")]),
        (&["from", "--name", "other", "scratch"], &[Is("other")]),
        (&["copy", "working-container", &file, "/a"], &[Hex]),
        (&["add", "working-container", &file, "/b"], &[Hex]),
        (&["copy", "--quiet", "working-container", &file, "/c"], &[]),
        (&["config", "--label", "a=b", "working-container"], &[]),
        (&["commit", "--quiet", "working-container", "made"], &[Hex]),
        (&["rename", "other", "another"], &[]),
        (&["rm", "another"], &[Hex]),
        (&["rm", "--all"], &[Hex]),
        (&["containers", "--quiet"], &[]),
        (&["tag", "made", &image], &[]),
        (&["push", "--quiet", "--authfile", &auth, &image], &[]),
        (&["pull", "--quiet", "--authfile", &auth, &image], &[Hex]),
        (&["bud", "--quiet", "--tag", "built", &containerfile], &[Hex]),
        (&["manifest", "create", "list"], &[Hex]),
        (&["manifest", "add", "list", "made"], &[Entry]),
        (&["manifest", "annotate", "--arch", "arm64", "list", "made"], &[Entry]),
        (&["manifest", "push", "--quiet", "--authfile", &auth, "list", &list], &[]),
        (&["manifest", "remove", "list", "made"], &[Entry]),
        (&["manifest", "exists", "list"], &[]),
        (&["manifest", "rm", "list"], &[Is("untagged: localhost/list:latest")]),
        (&["rmi", "built"], &[Is("untagged: localhost/built:latest"), Hex]),
        (&["logout", "--authfile", &auth, &host], &[Is(removed)]),
    ];
    for (args, want) in rows {
        let said = world.run(args).good();
        let lines: Vec<&str> = said.stdout.lines().collect();
        let fits = lines.len() == want.len() && lines.iter().zip(*want).all(|(line, want)| want.fits(line));
        assert!(fits, "{args:?}: expected {want:?}, stdout is\n{}", said.stdout);
    }
}

#[test]
fn what_cannot_be_done_ends_with_125_and_says_so_on_stderr_alone() {
    let world = World::new();
    for args in [
        &["add", "absent", "/dev/null"][..],
        &["bud", "/nowhere"],
        &["commit", "absent", "name"],
        &["completion", "absent"],
        &["config", "--label", "a=b", "absent"],
        &["copy", "absent", "/dev/null"],
        &["from", "--pull=never", "absent"],
        &["images", "absent"],
        &["inspect", "absent"],
        &["inspect", "--type", "image", "absent"],
        &["login", "absent"],
        &["logout", "--authfile", "/nowhere/auth.json", "registry.example"],
        &["manifest", "inspect", "oci:absent"],
        &["manifest", "push", "absent"],
        &["mount", "absent"],
        &["pull", "--policy=never", "absent"],
        &["push", "absent"],
        &["rename", "absent", "other"],
        &["rm", "absent"],
        &["rmi", "absent"],
        &["run", "absent", "true"],
        &["tag", "absent", "other"],
        &["umount", "absent"],
        &["nonsense"],
    ] {
        let said = world.run(args).fails(125, "rror: ");
        assert_eq!(said.stdout, "", "{args:?}");
    }
    for verb in ["add", "bud", "commit", "config", "containers", "copy", "from", "images", "info", "inspect"]
    {
        let said = world.run(&[verb, "--no-such-flag"]).fails(125, "--no-such-flag");
        assert_eq!(said.stdout, "", "{verb}");
    }
}
