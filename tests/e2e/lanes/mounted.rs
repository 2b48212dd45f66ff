//! `unshare`, `mount` and `umount`: a container's root for programs of this machine.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::containers::with_shell;
use super::worlds;
use crate::support::{Said, World, program, provided};

/// Has a shell of this machine do `script` in a namespace where it may mount; `$R` is rbuild.
fn unshared(world: &World, options: &[&str], script: &str) -> Said {
    let args = [&["unshare"], options, &["--", "sh", "-euc", script]].concat();
    Said::of(world.command().env("R", program()).args(args).output().unwrap())
}

/// Where one id is mapped, nobody else can be made the owner of a file by the kernel.
fn has_ids() -> bool {
    provided("RBUILD_TEST_LANE").as_deref() != Some("single")
}

/// Whether nobody answers for a mount in this world's store. A server tells that it is done a moment before it is gone.
fn no_server_stays(world: &World) -> bool {
    let store = world.store().display().to_string();
    let is_there = || {
        let listed = Command::new("pgrep").args(["-af", "__mounted"]).output().unwrap();
        String::from_utf8_lossy(&listed.stdout).lines().any(|line| line.contains(&store))
    };
    let end = Instant::now() + Duration::from_secs(10);
    while is_there() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    !is_there()
}

fn has_entry(world: &World, image: &str, want: &str) -> bool {
    let tree = world.tree(image);
    let found = tree.iter().any(|line| line.starts_with(want));
    if !found {
        eprintln!("no {want:?} in\n{}", tree.join("\n"));
    }
    found
}

#[test]
fn what_is_written_there_is_in_the_commit_with_its_owner() {
    for (driver, world) in worlds() {
        with_shell(&world);
        let script = "m=$($R mount c); test -x $m/bin/busybox; echo hi > $m/hi; mkdir $m/d; mknod $m/pipe p; \
            chmod 4750 $m/hi; [ -z \"$OWN\" ] || chown 5:6 $m/d; rm $m/bin/sh; $R mount; $R umount c; ! test -e $m/hi; echo $m";
        let owner = if has_ids() { "5:6" } else { "0:0" };
        let script = format!("OWN={}; {script}", if has_ids() { "1" } else { "" });
        let said = unshared(&world, &[], &script).good();
        let lines: Vec<&str> = said.stdout.lines().collect();
        let [listed, id, path] = lines[..] else { panic!("{driver}: {}", said.stdout) };
        assert_eq!(listed, format!("c {path}"), "{driver}");
        assert!(id.len() == 64, "{driver}: {id}");
        world.run(&["commit", "c", "made"]).good();
        for want in ["f 4750 0:0 3 hi".to_owned(), format!("d 0755 {owner} d"), "p 0644 0:0 pipe".to_owned()]
        {
            assert!(has_entry(&world, "made", &want), "{driver}");
        }
        assert!(!has_entry(&world, "made", "l 0777 0:0 bin/sh"), "{driver}");
        assert_eq!(world.run(&["mount"]).good().stdout, "", "{driver}");
        assert!(no_server_stays(&world), "{driver}");
        // Nothing of it stays in the store.
        assert_eq!(std::fs::read_dir(world.store().join("rbuild/live")).unwrap().count(), 0, "{driver}");
    }
}

#[test]
fn commands_see_what_is_written_there_and_the_other_way_round() {
    for (driver, world) in worlds() {
        with_shell(&world);
        world.file("copied", "copied\n");
        let copied = world.context().join("copied").display().to_string();
        let script = format!(
            "echo one > $m/one; $R run c busybox cat /one; $R run c sh -c 'echo two > /two'; cat $m/two; \
            $R copy -q c {copied} /copied; cat $m/copied; $R config --env A=b c; cd $m/bin; echo three > $m/three; \
            $R commit -q c first >/dev/null; $R run c busybox cat /three; echo four > $m/four; echo again > $m/one"
        );
        let said = unshared(&world, &["--mount", "m=c"], &script).good();
        assert_eq!(said.stdout, "one\ntwo\ncopied\nthree\n", "{driver}");
        // The mount ended with the shell, and nothing is lost.
        world.run(&["commit", "c", "last"]).good();
        assert_eq!(world.config("last")["config"]["Env"], serde_json::json!(["A=b"]), "{driver}");
        assert!(!has_entry(&world, "first", "f 0644 0:0 5 four"), "{driver}");
        for want in ["f 0644 0:0 5 four", "f 0644 0:0 6 one", "f 0644 0:0 6 three", "f 0644 0:0 4 two"] {
            assert!(has_entry(&world, "last", want), "{driver}");
        }
        world.run(&["umount", "c"]).good();
        assert!(no_server_stays(&world), "{driver}");
    }
}

/// A command in the container and programs on its mount at the same time: each finds what the other has left.
#[test]
fn what_is_written_while_a_command_runs_is_kept() {
    for (driver, world) in worlds() {
        with_shell(&world);
        let meeting = world.path("meeting");
        std::fs::create_dir(&meeting).unwrap();
        let meeting = meeting.display();
        let script = format!(
            "echo early > $m/both; echo early > $m/early; $R run -v {meeting}:/meeting c sh -c 'echo run > /both; echo run > /run; \
                busybox touch /meeting/here; until test -e /meeting/there; do busybox usleep 10000; done' & \
            until test -e {meeting}/here; do sleep 0.01; done; \
            $R mount; echo late > $m/early; echo late > $m/late; touch {meeting}/there; wait; cat $m/both $m/early $m/late $m/run"
        );
        let said = unshared(&world, &["--mount", "m=c"], &script).good();
        let lines: Vec<&str> = said.stdout.lines().skip(1).collect();
        assert_eq!(lines, ["run", "late", "late", "run"], "{driver}\n{}", said.stderr);
        // another container takes from the mount, too
        let script = "echo more > $m/more; $R from --name d scratch; $R copy -q --from c d /more /late /";
        unshared(&world, &["--mount", "m=c"], script).good();
        world.run(&["commit", "d", "taken"]).good();
        for want in ["f 0644 0:0 5 more", "f 0644 0:0 5 late"] {
            assert!(has_entry(&world, "taken", want), "{driver}");
        }
    }
}

#[test]
fn a_mount_whose_shell_was_killed_is_taken_up_by_the_next_command() {
    let world = World::new();
    with_shell(&world);
    let killed = unshared(&world, &[], "m=$($R mount c); echo kept > $m/kept; kill -9 $$");
    assert_ne!(killed.code, 0);
    assert_eq!(world.run(&["run", "c", "busybox", "cat", "/kept"]).good().stdout, "kept\n");
    world.run(&["umount", "--all"]).good();
    assert!(no_server_stays(&world));
    // Whoever kills the server has to be told what that costs.
    let pattern = format!("{}.*__mounted", world.store().display());
    unshared(
        &world,
        &[],
        &format!("m=$($R mount c); echo lost > $m/lost; pkill -9 -f '{pattern}'; sleep 0.1"),
    );
    let said = world.run(&["run", "c", "busybox", "ls", "/"]).good();
    assert!(
        said.stderr.contains("was killed") && !said.stdout.contains("lost"),
        "{}{}",
        said.stderr,
        said.stdout
    );
    assert_eq!(world.run(&["run", "c", "busybox", "true"]).good().stderr, "", "it is told once");
    assert_eq!(std::fs::read_dir(world.store().join("rbuild/live")).unwrap().count(), 0);
}

/// By the plain driver the root is a directory that outlives whoever had it made.
#[test]
fn a_plain_root_is_there_for_later_commands() {
    let world = World::with(&["--rootfs", "plain"]);
    with_shell(&world);
    let path = world.run(&["unshare", program().to_str().unwrap(), "mount", "c"]);
    let path = PathBuf::from(path.good().stdout.trim_end());
    world.file("later", "later");
    let later = world.context().join("later");
    world.run(&["unshare", "cp", later.to_str().unwrap(), path.to_str().unwrap()]).good();
    assert_eq!(std::fs::read(path.join("later")).unwrap(), b"later");
    assert_eq!(world.run(&["run", "c", "busybox", "cat", "/later"]).good().stdout, "later");
    world.run(&["unshare", "rm", path.join("later").to_str().unwrap()]).good();
    world.run(&["unshare", "mkdir", path.join("d").to_str().unwrap()]).good();
    world.run(&["umount", "c"]).good();
    assert!(!path.exists());
    world.run(&["commit", "c", "made"]).good();
    assert!(has_entry(&world, "made", "d 0755 0:0 d"));
    assert!(!world.tree("made").iter().any(|line| line.ends_with(" later")));
}

#[test]
fn a_removed_container_takes_its_mount_along() {
    let world = World::new();
    with_shell(&world);
    let said = unshared(&world, &[], "m=$($R mount c); $R rm c >/dev/null; test -e $m || echo gone").good();
    assert_eq!(said.stdout, "gone\n");
    assert!(no_server_stays(&world));
}

#[test]
fn unshare_becomes_the_command() {
    let world = World::new();
    assert_eq!(
        unshared(&world, &[], "id -u; echo $_CONTAINERS_USERNS_CONFIGURED").good().stdout,
        "0\ndone\n"
    );
    assert_eq!(unshared(&world, &[], "exit 7").code, 7);
    let mut shell =
        world.command().env("SHELL", "/bin/sh").arg("unshare").stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut shell.stdin.take().unwrap(), b"exit 9\n").unwrap();
    assert_eq!(shell.wait().unwrap().code(), Some(9));
    world.run(&["unshare", "/nosuch"]).fails(127, "/nosuch");
    world.run(&["unshare", "/etc/passwd"]).fails(126, "ermission denied");
    unshared(&world, &["-m", "nosuch"], "true").fails(125, "container not known");
    if !rustix::process::geteuid().is_root() {
        with_shell(&world);
        world.run(&["mount", "c"]).fails(125, "rbuild unshare rbuild mount c");
    }
    let wrong = world.command().env("RBUILD_ROOTFS", "vfs").arg("images").output().unwrap();
    Said::of(wrong).fails(125, "RBUILD_ROOTFS=vfs: expected auto");
    unshared(&world, &[], "$R mount nosuch").fails(125, "container not known");
    world.run(&["umount", "nosuch"]).fails(125, "container not known");
}
