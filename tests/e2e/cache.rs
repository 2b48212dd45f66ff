//! Records: what a second build does, and what it does not do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::build::BUSYBOX;
use crate::support::{World, program};

fn hits(stdout: &str) -> usize {
    stdout.matches("Using cache").count()
}

#[test]
fn a_second_build_runs_nothing_and_needs_no_namespace() {
    let world = World::new();
    world.busybox().file("f", "1");
    let dockerfile = format!("{BUSYBOX}RUN echo ran && echo x > /x\nCOPY f /f\nWORKDIR /w\nENV a=b\n");
    let first = world.build(&dockerfile, &["-t", "x"]).good();
    assert!(first.stdout.contains("ran\n"));
    // strace shows what the second build asks of the kernel: no clone of a namespace, no mount.
    let log = world.path("trace");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-e", "trace=mount,fsopen,unshare,clone,clone3,setns,execve", "-o"]).arg(&log);
    traced.arg(program()).arg("--root").arg(world.store()).args(["bud", "-t", "x"]).arg(world.context());
    let output = traced.output().expect("the package strace is installed");
    let second = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(hits(&second), 6, "{second}");
    assert!(!second.contains("ran\n"), "{second}");
    assert_eq!(first.id(), second.lines().next_back().unwrap(), "the same image");
    let log = fs::read_to_string(log).unwrap();
    assert_eq!(log.matches("execve(").count(), 1, "only rbuild itself was started:\n{log}");
    for word in ["mount(", "fsopen(", "unshare(", "setns(", "CLONE_NEW"] {
        assert!(!log.contains(word), "{word}:\n{log}");
    }
}

#[test]
fn a_changed_file_runs_again_from_there_on() {
    let world = World::new();
    world.busybox().file("a", "1").file("b", "1");
    let dockerfile = format!("{BUSYBOX}COPY a /a\nRUN cat /a\nCOPY b /b\nRUN cat /a /b\n");
    world.build(&dockerfile, &[]).good();
    world.file("b", "2");
    let said = world.build(&dockerfile, &[]).good();
    assert_eq!(hits(&said.stdout), 4, "{}", said.stdout);
    // Only the bytes, the mode and the owner count: a touch is no change, a chmod is.
    let touched = Command::new("touch").arg(world.context().join("a")).status().unwrap();
    assert!(touched.success());
    assert_eq!(hits(&world.build(&dockerfile, &[]).good().stdout), 6);
    fs::set_permissions(world.context().join("a"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(hits(&world.build(&dockerfile, &[]).good().stdout), 2);
}

#[test]
fn a_step_that_makes_the_same_bytes_lets_the_next_ones_hit() {
    let world = World::new();
    world.busybox();
    let dockerfile = |word: &str| {
        format!("{BUSYBOX}RUN true {word}; mkdir -p /o; touch -d @0 /o/f /o\nRUN echo expensive\n")
    };
    world.build(&dockerfile("one"), &[]).good();
    let said = world.build(&dockerfile("two"), &[]).good();
    assert_eq!(hits(&said.stdout), 3, "{}", said.stdout);
    assert!(!said.stdout.contains("\nexpensive\n"));
}

#[test]
fn a_damaged_record_is_told_and_replaced() {
    let world = World::new();
    world.file("f", "1");
    let dockerfile = "FROM scratch\nLABEL a=b\nCOPY f /f\n";
    let first = world.build(dockerfile, &[]).good();
    let mut records = Vec::new();
    for directory in fs::read_dir(world.store().join("rbuild/cache")).unwrap() {
        records.extend(fs::read_dir(directory.unwrap().path()).unwrap().map(|record| record.unwrap().path()));
    }
    for record in &records {
        fs::write(record, "{\"torn").unwrap();
    }
    let said = world.build(dockerfile, &[]).good();
    assert_eq!(hits(&said.stdout), 0, "{}", said.stdout);
    let told = said.stderr.matches("[Warning] damaged cache record, the step runs again").count();
    assert_eq!(told, records.len(), "{}", said.stderr);
    let again = world.build(dockerfile, &[]).good();
    assert_eq!((hits(&again.stdout), &again.stderr[..]), (2, ""), "first {}", first.stdout);
}

#[test]
fn no_cache_does_everything_again() {
    let world = World::new();
    world.busybox();
    let dockerfile = format!("{BUSYBOX}RUN echo ran\n");
    world.build(&dockerfile, &[]).good();
    let said = world.build(&dockerfile, &["--no-cache"]).good();
    assert_eq!(hits(&said.stdout), 0, "{}", said.stdout);
    assert!(said.stdout.contains("ran\n"));
}

#[test]
fn arguments_mounts_and_networks_are_part_of_the_key() {
    let world = World::new();
    world.busybox();
    let volume = format!("{}:/v", world.context().display());
    let dockerfile = format!("{BUSYBOX}ARG A\nRUN echo $A\n");
    let rows: [&[&str]; 5] = [
        &[],
        &["--build-arg", "A=1"],
        &["--network", "none"],
        &["--volume", &volume],
        &["--device", "/dev/null:/dev/hole"],
    ];
    for args in rows {
        assert!(hits(&world.build(&dockerfile, args).good().stdout) < 4, "{args:?}");
        assert_eq!(hits(&world.build(&dockerfile, args).good().stdout), 4, "{args:?}");
    }
    // A proxy is not.
    let mut again = world.command();
    again.env("http_proxy", "http://127.0.0.1:1").arg("bud").arg(world.context());
    assert_eq!(hits(&String::from_utf8_lossy(&again.output().unwrap().stdout)), 4);
}

#[test]
fn two_builds_at_once_do_the_work_once() {
    let world = World::new();
    world.busybox().file("Dockerfile", format!("{BUSYBOX}RUN sleep 1; echo once > /once; echo ran\n"));
    let start = || {
        let mut command = world.command();
        command
            .arg("bud")
            .arg(world.context())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let outputs = [start(), start()].map(|child| child.wait_with_output().unwrap());
    let texts = outputs.each_ref().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    for output in &outputs {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let ran = texts
        .iter()
        .map(|text| text.matches("ran\n").count() - text.matches("echo ran\n").count())
        .sum::<usize>();
    assert_eq!(ran, 1, "{texts:?}");
    assert_eq!(texts[0].lines().last(), texts[1].lines().last(), "the same image");
}
