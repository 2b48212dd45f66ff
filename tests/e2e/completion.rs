//! Completion in the shells themselves.

use std::process::Command;

use crate::support::World;

/// What bash offers for the last of `words`, or `None`, with the reason told, without bash.
fn offered(script: &str, words: &str) -> Option<Vec<String>> {
    let ask = format!(
        "{script}\nCOMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
         _rbuild rbuild \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let output = match Command::new("bash").args(["--norc", "-c", &ask]).output() {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var_os("RBUILD_TEST_ALL").is_none(), "bash: {error}");
            eprintln!("skipped: needs bash");
            return None;
        }
    };
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

#[test]
fn bash_completes_verbs_commands_and_options() {
    let world = World::new();
    let script = world.run(&["completion", "bash"]).good().stdout;
    for (words, want) in [
        ("rbuild pu", &["pull", "push"][..]),
        ("rbuild logo", &["logout"]),
        ("rbuild manifest ann", &["annotate"]),
        ("rbuild pull --pol", &["--policy"]),
        ("rbuild completion z", &["zsh"]),
        ("rbuild __", &[""]),
    ] {
        let Some(offered) = offered(&script, words) else { return };
        assert_eq!(offered, want, "{words}");
    }
}

#[test]
fn the_other_shells_have_theirs_and_strange_ones_are_refused() {
    let world = World::new();
    for (shell, want) in [("zsh", "#compdef rbuild"), ("fish", "complete -c rbuild")] {
        let script = world.run(&["completion", shell]).good().stdout;
        assert!(script.contains(want) && script.contains("manifest"), "{shell}:\n{script}");
        assert!(!script.contains("__mounted"), "{shell}: what is hidden is offered");
        let Ok(read) = Command::new(shell).args(["-n", "/dev/stdin"]).stdin(pipe_of(&script)).output() else {
            eprintln!("{shell} is not installed, and has not read its script");
            continue;
        };
        assert!(read.status.success(), "{shell}: {}", String::from_utf8_lossy(&read.stderr));
    }
    world.run(&["completion", "tcsh"]).fails(125, "bash, zsh, fish");
}

/// A file with `text`, read from its beginning.
fn pipe_of(text: &str) -> std::fs::File {
    use std::io::{Seek as _, Write as _};
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    file
}
