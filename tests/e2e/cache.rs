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

#[test]
fn a_stage_that_is_built_again_to_the_same_bytes_lets_the_others_hit() {
    let world = World::new();
    world.busybox();
    let dockerfile = |word: &str| {
        format!(
            "{}FROM base AS made\nRUN echo {word} > /word; echo same > /out\n\
             FROM base\nCOPY --from=made /out /out\nRUN echo expensive\n",
            BUSYBOX.replacen("FROM scratch", "FROM scratch AS base", 1)
        )
    };
    world.build(&dockerfile("one"), &["-t", "a"]).good();
    // The file that `made` writes is of another time, so its layer is another one; the bytes that are copied are the same.
    let said = world.build(&dockerfile("two"), &["-t", "b"]).good();
    assert_eq!(hits(&said.stdout), 4, "all but the step of `made`: {}", said.stdout);
    assert_eq!(world.config("a")["rootfs"], world.config("b")["rootfs"]);
}

#[test]
fn no_cache_filter_does_the_steps_of_its_stages_again_and_no_others() {
    let world = World::new();
    world.busybox();
    let dockerfile = format!(
        "{}FROM base AS middle\nRUN echo in middle; touch -d @0 /b /\n\
         FROM middle\nRUN echo in the last\n",
        BUSYBOX.replacen("FROM scratch", "FROM scratch AS base", 1)
    );
    world.build(&dockerfile, &[]).good();
    // name, steps of the cache of 4, what is said again
    // (the links that `base` makes are of the time at which it runs, so that it comes out as another one)
    let rows: [(&str, usize, [bool; 2]); 6] = [
        ("middle", 3, [true, false]),
        ("MIDDLE", 3, [true, false]),
        ("1", 3, [true, false]),
        ("middle,2", 2, [true, true]),
        ("2", 3, [false, true]),
        ("base", 0, [true, true]),
    ];
    for (names, hit, again) in rows {
        let said = world.build(&dockerfile, &["--no-cache-filter", names]).good();
        assert_eq!(hits(&said.stdout), hit, "{names}: {}", said.stdout);
        let told = ["in middle", "in the last"].map(|text| said.stdout.lines().any(|line| line == text));
        assert_eq!(told, again, "{names}: {}", said.stdout);
        assert_eq!(said.stderr, "", "{names}");
    }
    let said = world.build(&dockerfile, &["--no-cache-filter=midle"]).good();
    assert_eq!(hits(&said.stdout), 4, "{}", said.stdout);
    assert_eq!(
        said.stderr,
        "[Warning] --no-cache-filter: no stage is called \"midle\" (did you mean middle?)\n"
    );
}

#[test]
fn a_record_that_is_too_old_is_not_taken() {
    let world = World::new();
    world.file("f", "1");
    let dockerfile = "FROM scratch\nCOPY f /f\nENV a=b\n";
    world.build(dockerfile, &[]).good();
    for (ttl, hit) in [("1h", 2), ("0", 0), ("0s", 0), ("1ns", 0), ("1h30m", 2)] {
        assert_eq!(hits(&world.build(dockerfile, &["--cache-ttl", ttl]).good().stdout), hit, "{ttl}");
    }
    for (ttl, why) in
        [("-1s", "no younger than now"), ("1", "missing unit"), ("1y", "unknown unit \"y\""), ("", "invalid")]
    {
        world.build(dockerfile, &[&format!("--cache-ttl={ttl}")]).fails(125, why);
    }
}
