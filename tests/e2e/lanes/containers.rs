//! Working containers: an image by one command after the other.

use std::io::Write as _;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};

use super::worlds;
use crate::support::{Said, World};
use crate::terminal::{Terminal, has};

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

#[test]
fn a_shell_at_a_terminal_is_at_a_terminal() {
    let world = World::new();
    with_shell(&world);
    let start = |words: &[&str]| {
        let mut command = world.command();
        command.args(["run", "c"]).args(words);
        Terminal::start(command, 24, 80)
    };
    let modes = |terminal: &Terminal| tcgetattr(&terminal.master).unwrap().local_modes;
    let mut terminal = start(&["sh"]);
    terminal.type_in("busybox tty; busybox stty size; echo $TERM\n");
    terminal.until(|shown| has(shown, "/dev/pts/0") && has(shown, "24 80") && has(shown, "xterm"));
    assert!(!modes(&terminal).contains(LocalModes::ICANON), "the user's terminal passes everything on");
    terminal.resize(30, 100);
    terminal.type_in("until busybox stty size | busybox grep 100; do busybox usleep 10000; done\n");
    terminal.until(|shown| has(shown, "30 100"));
    // Ctrl-C is the command's, not this program's; so is Ctrl-Z.
    terminal.type_in("busybox sh -c 'echo runn\"\"ing; busybox sleep 1000'\n");
    terminal.until(|shown| has(shown, "running"));
    terminal.type_in("\u{3}");
    terminal.type_in("echo code $?\n");
    terminal.until(|shown| has(shown, "code 130"));
    terminal.type_in("busybox sh -c 'echo go\"\"ing; busybox sleep 1000'\n");
    terminal.until(|shown| has(shown, "going"));
    terminal.type_in("\u{1a}");
    terminal.until(|shown| has(shown, "Stopped"));
    // Ctrl-D ends the shell, whose exit code is that of its last command. It has to read: before that it is no key of it.
    terminal.type_in("kill -9 %1; echo typed > /typed; sh -c 'echo la\"\"st; exit 7'\n");
    terminal.until(|shown| {
        let prompt = shown.iter().rfind(|line| !line.is_empty());
        has(shown, "last") && prompt.is_some_and(|line| line.ends_with('#'))
    });
    terminal.type_in("\u{4}");
    assert_eq!(terminal.end(), 7);
    assert_eq!(shell(&world, "busybox cat /typed").good().stdout, "typed\n");

    // A signal ends the command and gives the terminal back; the container is as it was.
    let mut terminal = start(&["sh", "-c", "echo gone > /gone; echo wait; busybox sleep 1000"]);
    terminal.until(|shown| has(shown, "wait"));
    let program = Pid::from_raw(terminal.program.id().cast_signed()).unwrap();
    kill_process(program, Signal::TERM).unwrap();
    terminal.program.wait().unwrap();
    assert!(modes(&terminal).contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
    assert_eq!(terminal.end(), 143);
    shell(&world, "test ! -e /gone").good();
}

#[test]
fn what_is_piped_in_is_read_and_what_is_shown_is_there() {
    let world = World::new();
    with_shell(&world);
    let piped = |words: &[&str], input: &[u8]| {
        let mut command = world.command();
        command.arg("run").args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // who reads only a part closes the rest in the writer's face
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let said = Said::of(child.wait_with_output().unwrap());
        writer.join().unwrap();
        said
    };
    let large = vec![b'x'; 3 << 20];
    assert_eq!(piped(&["c", "busybox", "wc", "-c"], &large).good().stdout, "3145728\n");
    assert_eq!(piped(&["c", "busybox", "head", "-c", "3"], &large).good().stdout, "xxx");
    assert_eq!(piped(&["c", "busybox", "true"], &large).good().stdout, "");
    let typed = piped(&["-t", "c", "busybox", "cat"], b"typed\n").good().stdout;
    assert_eq!(typed, "typed\r\ntyped\r\n", "a terminal shows what is typed, and its input ends");

    world.file("secret", "hidden");
    world.run(&["commit", "c", "base"]).good();
    let secret = format!("id=s,src={}", world.context().join("secret").display());
    let bind = format!("type=bind,source={},target=/bound", world.context().display());
    for (options, script, want) in [
        (&["--secret", &*secret, "--mount", "type=secret,id=s,target=/s"][..], "busybox cat /s", "hidden"),
        (&["--secret", &secret, "--mount", "type=secret,id=s,env=S"], "echo $S", "hidden\n"),
        (&["--mount", "type=cache,target=/k"], "echo $((1+1)) >>/k/n; busybox cat /k/n", "2\n"),
        (&["--mount", "type=cache,target=/k"], "echo $((1+2)) >>/k/n; busybox cat /k/n", "2\n3\n"),
        (&["--mount", "type=tmpfs,target=/t"], "echo t > /t/t; busybox cat /t/t", "t\n"),
        (&["--mount", "type=bind,from=base,source=/bin,target=/b"], "busybox ls /b", "busybox\nsh\n"),
        (&["--mount", &bind], "busybox cat /bound/secret", "hidden"),
        (&["--network", "none"], "busybox ip link | busybox grep -c mtu", "1\n"),
        (&["--hostname", "h.x"], "busybox hostname; busybox cat /etc/hostname", "h.x\nh.x\n"),
        (&["--add-host", "there:10.0.0.9"], "busybox grep -c 10.0.0.9 /etc/hosts", "1\n"),
        (&["--cap-drop", "all"], "busybox grep CapEff /proc/self/status", "CapEff:\t0000000000000000\n"),
        (&["--valid-exit-codes", "3,4"], "exit 4", ""),
        (&["--no-hosts", "--no-hostname"], "test ! -e /etc/hosts && test ! -e /etc/hostname", ""),
    ] {
        let words = [&["run"], options, &["c", "sh", "-c", script]].concat();
        let mut command = world.command();
        let said = Said::of(command.args(words).stdin(Stdio::null()).output().unwrap()).good();
        assert_eq!(said.stdout, want, "{options:?}");
    }
    // What a command may do is what its container says, with what is added and without what is dropped.
    world.run(&["from", "--name", "kept", "--cap-drop", "all", "--cap-add", "chown", "base"]).good();
    for (options, want) in [
        (&[][..], "0000000000000001"),
        (&["--cap-add", "kill"], "0000000000000021"),
        (&["--cap-add", "kill", "--cap-drop", "chown"], "0000000000000020"),
        (&["--cap-drop", "all"], "0000000000000000"),
        (&["--security-opt", "no-new-privileges"], "0000000000000001"),
    ] {
        let look = "busybox grep CapEff /proc/self/status | busybox cut -f2";
        let said = world.run(&[&["run"], options, &["kept", "sh", "-c", look]].concat()).good();
        assert_eq!(said.stdout.trim(), want, "{options:?}");
    }
    world.run(&["run", "--add-history", "c", "sh", "-c", "exit 0"]).good();
    world.run(&["commit", "c", "made"]).good();
    let config = world.config("made");
    assert_eq!(config["history"][0]["created_by"], "/bin/sh -c sh -c exit 0");
    let tree = world.tree("made");
    for gone in ["/s", " s", " k", " t", " b ", "bound"] {
        assert!(!tree.iter().any(|line| line.ends_with(gone)), "{gone}\n{}", tree.join("\n"));
    }
}
