//! Death at any moment: nothing is left that hinders, and the next build succeeds.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::build::BUSYBOX;
use crate::support::World;

/// The process and all that it started, directly or not.
pub fn family(root: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end while it is looked at.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let parent = after_name.split_whitespace().nth(1).and_then(|parent| parent.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (pid, parent)));
    }
    let mut found: Vec<u32> = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

fn wait_until_gone(family: &[u32]) {
    let patience = Instant::now() + Duration::from_secs(10);
    for pid in family {
        while is_alive(*pid) {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            assert!(Instant::now() < patience, "still there: {pid} {}", String::from_utf8_lossy(&line));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Whether a process still does anything: one that nobody has waited for yet does not.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().split_whitespace().next();
    state.is_some_and(|state| state != "Z" && state != "X")
}

/// Kills the program alone, at once, and waits for the end of everybody it had started.
pub fn kill_9(child: &mut std::process::Child) {
    let family = family(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until_gone(&family);
}

fn start(world: &World) -> std::process::Child {
    let mut command = world.command();
    command.args(["bud", "--no-cache", "-t", "x"]);
    command.arg(world.context()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn kill_9_fifty_times() {
    for driver in crate::lanes::drivers() {
        let world = World::with(&["--rootfs", driver]);
        world.busybox().file("f", vec![b'x'; 1 << 20]);
        let work = "mkdir /o; chown 33:33 /o 2>/dev/null; for i in 1 2 3 4 5 6 7 8 9; do echo $i > /o/$i; done; chmod 700 /o; sleep 0.05";
        world.file(
            "Dockerfile",
            format!("{BUSYBOX}COPY f /f\nRUN {work}\nRUN cp /f /g; {work}2\nCOPY f /h\n"),
        );
        for round in 0..25_u64 {
            let mut child = start(&world);
            // Spread over the length of a build without a clock of its own: primes do not repeat.
            std::thread::sleep(Duration::from_millis((round * 37) % 331));
            kill_9(&mut child);
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
            assert!(!mounts.contains(&*world.store().to_string_lossy()), "round {round}: {mounts}");
        }
        let said = world
            .build(&fs::read_to_string(world.context().join("Dockerfile")).unwrap(), &["-t", "x"])
            .good();
        assert!(said.stdout.contains("Successfully tagged"), "{}", said.stdout);
        for place in ["rbuild/live", "tmp"] {
            let left: Vec<_> = fs::read_dir(world.store().join(place)).map_or_else(
                |_| Vec::new(),
                |entries| entries.flatten().map(|entry| entry.file_name()).collect(),
            );
            assert!(left.is_empty(), "{driver}: {place} holds {left:?}");
        }
    }
}

#[test]
fn a_killed_run_leaves_a_store_that_rm_removes() {
    let world = World::new();
    let work = "mkdir -m 700 /o /o/p; touch /o/p/f; chown -R 33:33 /o; echo ready; sleep 60";
    world.busybox().file("Dockerfile", format!("{BUSYBOX}RUN {work}\n"));
    let mut command = world.command();
    command.arg("bud").arg(world.context()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while line != "ready\n" {
        line.clear();
        assert_ne!(std::io::BufRead::read_line(&mut reader, &mut line).unwrap(), 0);
    }
    kill_9(&mut child);
    let removed = Command::new("rm").arg("-rf").arg(world.store()).output().unwrap();
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    assert!(!world.store().exists());
}

/// What a step nested deeper than a process may open files is removed all the same, and stops no other command.
#[test]
fn a_deep_leftover_stops_nobody() {
    let mut world = World::new();
    world.run(&["images"]).good();
    let live = world.store().join("rbuild/live");
    fs::create_dir_all(live.join(format!("0123456789abcdef{}", "/d".repeat(600)))).unwrap();
    world.around = ["sh", "-c", "ulimit -n 256; exec \"$@\"", "sh"].map(str::to_owned).into();
    world.run(&["images"]).good();
    assert_eq!(fs::read_dir(live).unwrap().count(), 0);
}

#[test]
fn a_signal_stops_the_step_and_leaves_nothing() {
    for (name, number) in [("INT", 2), ("TERM", 15)] {
        let world = World::new();
        world.busybox().file("Dockerfile", format!("{BUSYBOX}RUN echo ready; sleep 60\n"));
        let mut command = world.command();
        command.args(["bud", "-t", "x"]).arg(world.context());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while line != "ready\n" {
            line.clear();
            assert_ne!(std::io::BufRead::read_line(&mut reader, &mut line).unwrap(), 0);
        }
        let started = Instant::now();
        let family = family(child.id());
        let kill =
            Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(128 + number), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(started.elapsed() < Duration::from_secs(30));
        wait_until_gone(&family);
        assert_eq!(fs::read_dir(world.store().join("rbuild/live")).unwrap().count(), 0);
    }
}
