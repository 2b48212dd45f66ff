//! Completion in the shells themselves: each on a terminal, where somebody types and presses the tabulator.

use std::process::Command;

use crate::support::{World, program};
use crate::terminal::{Terminal, has};

/// A shell, how it is started without anybody's settings, and what it does then to complete.
const SHELLS: [(&str, &[&str], &str); 4] = [
    ("bash", &["--norc", "--noprofile", "-i"], "source <(rbuild completion bash)"),
    (
        "zsh",
        &["-f", "-i"],
        "autoload -U compinit && compinit -u -d $HOME/zcompdump && source <(rbuild completion zsh)",
    ),
    // as an installed script is found
    (
        "zsh",
        &["-f", "-i"],
        "mkdir ~/z && rbuild completion zsh >~/z/_rbuild && fpath=(~/z $fpath) && autoload -U compinit && compinit -u -d ~/z.dump",
    ),
    ("fish", &["--no-config", "-i"], "rbuild completion fish | source"),
];

/// What is typed, and what the line is after the tabulator.
const LINES: [(&str, &str); 9] = [
    ("rbuild unsh", "rbuild unshare"),
    ("rbuild manifest ann", "rbuild manifest annotate"),
    ("rbuild bud --no-cache-f", "rbuild bud --no-cache-filter"),
    ("rbuild completion z", "rbuild completion zsh"),
    ("rbuild rmi greeting:m", "rbuild rmi greeting:moon"),
    ("rbuild tag registry.example/t", "rbuild tag registry.example/team/app:1"),
    ("rbuild commit we", "rbuild commit web"),
    ("rbuild pull --rootfs=pl", "rbuild pull --rootfs=plain"),
    ("rbuild inspect --format x we", "rbuild inspect --format x web"),
];

#[test]
fn each_shell_completes_verbs_options_values_and_names() {
    let world = World::new();
    let names = ["greeting:moon", "registry.example/team/app:1"];
    let tags = names.iter().flat_map(|name| ["-t", name]).collect::<Vec<_>>();
    world.build("FROM scratch\nLABEL a=b\n", &tags).good();
    world.run(&["from", "--name", "web", "scratch"]).good();
    let programs = program().parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    for (shell, flags, begin) in SHELLS {
        if Command::new(shell).arg("--version").output().is_err() {
            assert!(std::env::var_os("RBUILD_TEST_ALL").is_none(), "{shell} is not installed");
            eprintln!("skipped: needs {shell}");
            continue;
        }
        // one of its own, which fish asks for
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", shell]).args(flags).current_dir(world.context()).env_clear();
        command.env("PATH", &path).env("HOME", world.path("")).env("RBUILD_ROOT", world.store());
        let mut terminal = Terminal::start(command, 50, 120);
        terminal.type_in(&format!("{begin}; echo re''ady\n"));
        terminal.until(|shown| has(shown, "ready"));
        for (typed, want) in LINES {
            terminal.type_in(&format!("{typed}\t"));
            terminal.until(|shown| has(shown, want));
            // the line is left, and not done
            terminal.type_in("\u{15}");
        }
        terminal.type_in("exit\n");
        assert_eq!(terminal.end() % 128, 0, "{shell}");
    }
}

#[test]
fn words_are_completed_by_what_is_in_the_store() {
    let world = World::new();
    let store = world.store();
    let at = format!("--root={}", store.display());
    let asked = |line: &str| {
        let said = world.run(&["__complete", "--line", line, "--breaks", ":="]).good();
        said.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    // nothing is made by a question
    assert_eq!(asked(&format!("rbuild {at} rmi ")), Vec::<String>::new());
    assert!(!store.exists());
    world
        .build("FROM scratch\nLABEL a=b\n", &["-t", "one", "-t", "one:2", "-t", "registry.example/x:1"])
        .good();
    world.run(&["from", "--name", "work", "one"]).good();
    for (line, want) in [
        ("rmi ", &["one", "one:2", "registry.example/x:1"][..]),
        ("rmi one:", &["2"]),
        ("rmi localhost/one:", &["2", "latest"]),
        ("rm ", &["work"]),
        ("inspect ", &["one", "one:2", "registry.example/x:1", "work"]),
        ("copy --from w", &["work"]),
        ("unshare --mount w", &["work"]),
        ("buil", &["build"]),
        ("__", &[]),
    ] {
        assert_eq!(asked(&format!("rbuild {at} {line}")), want, "{line:?}");
    }
    let verbs = asked("rbuild ");
    assert!(verbs.contains(&"rm".to_owned()) && !verbs.contains(&"delete".to_owned()), "{verbs:?}");
    world.run(&["completion", "tcsh"]).fails(125, "bash, zsh, fish");
}
