//! Working containers: an image by one command after the other.

use std::process::Stdio;

use super::worlds;
use crate::support::{Said, World};

/// A container called `c` with the busybox and its `sh`.
pub fn with_shell(world: &World) {
    world.busybox();
    assert_eq!(world.run(&["from", "--name", "c", "scratch"]).good().stdout, "c\n");
    let busybox = world.context().join("busybox");
    let copied = world.run(&["copy", "c", busybox.to_str().unwrap(), "/bin/"]).good().stdout;
    assert!(copied.len() == 65 && copied.trim_end().bytes().all(|b| b.is_ascii_hexdigit()), "{copied}");
    world.run(&["run", "c", "/bin/busybox", "ln", "-s", "busybox", "/bin/sh"]).good();
}

/// Has `sh` do `script` in `c`.
pub fn shell(world: &World, script: &str) -> Said {
    world.run(&["run", "c", "--", "sh", "-c", script])
}

#[test]
fn a_script_makes_an_image() {
    for (driver, world) in worlds() {
        with_shell(&world);
        world.file("d/x", "x").file("d/e/y", "y");
        let directory = world.context().join("d");
        world
            .run(&["copy", "--chown", "7:8", "--chmod", "0640", "-q", "c", directory.to_str().unwrap(), "/d"])
            .good();
        let busybox = "busybox mkdir /made; busybox chown 1000:2000 /made; busybox chmod 4711 /made; echo $A; echo e >&2";
        world
            .run(&["config", "--env", "A=b", "--cmd", "x 'y z'", "--label", "l=v", "--workingdir", "/d", "c"])
            .good();
        let said = shell(&world, busybox).good();
        assert_eq!((&*said.stdout, &*said.stderr), ("b\n", "e\n"), "{driver}");
        // What a failing command did stays, and its exit code goes through.
        shell(&world, "echo kept > kept; exit 7").fails(7, "exit status 7");
        assert_eq!(shell(&world, "busybox cat /d/kept; printf x").good().stdout, "kept\nx", "{driver}");
        let image = world.run(&["commit", "c", "made"]).good().stdout;
        let config = world.config("made");
        assert_eq!(config["config"]["Cmd"], serde_json::json!(["x", "y z"]), "{driver}");
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 1, "{driver}: one new layer");
        assert_eq!(config["history"].as_array().unwrap().len(), 1, "{driver}");
        let tree = world.tree("made");
        for want in ["f 0640 7:8 1 d/x", "f 0640 7:8 1 d/e/y", "f 0644 0:0 5 d/kept", "d 4711 1000:2000 made"]
        {
            assert!(tree.iter().any(|line| line.starts_with(want)), "{driver}: {want}\n{}", tree.join("\n"));
        }
        // Another container on it sees all that, and adds a layer of its own.
        let name = world.run(&["from", image.trim_end()]).good().stdout;
        assert!(name.ends_with("-working-container\n"), "{name}");
        world.run(&["run", name.trim_end(), "sh", "-c", "echo more > /more"]).good();
        world.run(&["commit", "--rm", name.trim_end(), "more"]).good();
        assert_eq!(world.config("more")["rootfs"]["diff_ids"].as_array().unwrap().len(), 2, "{driver}");
        assert_eq!(
            world.run(&["rm", "--all"]).good().stdout.lines().count(),
            1,
            "{driver}: --rm took the other"
        );
    }
}

#[test]
fn the_command_is_who_and_where_it_was_told() {
    let world = World::new();
    with_shell(&world);
    let told = ["run", "--user", "5:6", "--workingdir", "/new", "--env", "A=1", "c", "sh", "-c"];
    let script = "busybox id -u; busybox id -g; busybox pwd; echo $A";
    let said = world.run(&[&told[..], &[script]].concat()).good();
    assert_eq!(said.stdout, "5\n6\n/new\n1\n");
    for (command, code) in [("exit 3", 3), ("nosuch", 127), ("busybox touch /f; ./f", 126)] {
        assert_eq!(shell(&world, command).code, code, "{command}");
    }
    world.run(&["run", "c", "nosuch"]).fails(127, "not found in PATH");
    world.run(&["run", "c", "/f"]).fails(126, "ermission denied");
    world.run(&["run", "--user", "nosuch", "c", "true"]).fails(125, "nosuch");
    world.run(&["run", "c"]).fails(125, "COMMAND");
}

#[test]
fn two_commands_on_one_container_take_turns_and_two_on_two_do_not() {
    let world = World::new();
    with_shell(&world);
    world.run(&["commit", "c", "base"]).good();
    world.run(&["from", "--name", "d", "base"]).good();
    // Both on one: each finds what the other has left, in whatever order.
    let add = "echo x >> /log; busybox wc -l < /log";
    let both = [(); 2].map(|()| {
        world.command().args(["run", "c", "sh", "-c", add]).stdout(Stdio::piped()).spawn().unwrap()
    });
    let mut lines: Vec<_> =
        both.into_iter().map(|child| Said::of(child.wait_with_output().unwrap()).good().stdout).collect();
    lines.sort();
    assert_eq!(lines, ["1\n", "2\n"]);
    // Each on its own: the first ends only when it sees what the second has done meanwhile.
    let meeting = world.path("meeting");
    std::fs::create_dir(&meeting).unwrap();
    let volume = format!("{}:/meeting", meeting.display());
    let wait = "busybox touch /meeting/here; until test -e /meeting/there; do busybox usleep 10000; done";
    let mut first = world.command().args(["run", "-v", &volume, "c", "sh", "-c", wait]).spawn().unwrap();
    let answer = "until test -e /meeting/here; do busybox usleep 10000; done; busybox touch /meeting/there";
    world.run(&["run", "-v", &volume, "d", "sh", "-c", answer]).good();
    assert!(first.wait().unwrap().success());
}
