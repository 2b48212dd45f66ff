//! `rbuild doctor` and `rbuild info` on machines that lack something, each put up for real around the program.

use std::process::Command;

use serde_json::Value;

use crate::support::{Said, World, file_of_tests, program};

/// Runs a verb within `wrapper`, a command that takes a command.
fn within(world: &World, wrapper: &[&str], verb: &str) -> Said {
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(program()).arg("--root").arg(world.store()).arg(verb);
    Said::of(command.env_remove("RBUILD_ROOT").output().unwrap())
}

/// A shell in a user and mount namespace of its own, which prepares something and then runs the program.
fn prepared(preparation: &str) -> Vec<String> {
    let script = format!("set -e; {preparation}; exec \"$@\"");
    ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned).to_vec()
}

fn info(said: &Said) -> Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|why| panic!("{why}\n{}\n{}", said.stdout, said.stderr))
}

fn row<'a>(info: &'a Value, name: &str) -> &'a Value {
    let rows = info["capabilities"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no row {name} in {info:#}"))
}

/// A machine, what puts it up, the capability it lacks, whether RUN works all the same, why, and a part of the remedy.
type Row = (&'static str, Vec<String>, &'static str, bool, &'static str, &'static str);

const WITHOUT_FUSE: &str = "mkdir -p $TMPDIR/dev.$$; mount --rbind /dev $TMPDIR/dev.$$; mount -t tmpfs none /dev; \
    for d in null zero full random urandom tty; do touch /dev/$d; mount --bind $TMPDIR/dev.$$/$d /dev/$d; done";

#[test]
fn what_is_missing_is_named_with_what_mends_it() {
    let deny = file_of_tests("deny.py");
    let denied = |errno: &str| ["python3", &deny, errno].map(str::to_owned).to_vec();
    let rows: [Row; 6] = [
        (
            "hardened RHEL",
            prepared("echo 0 > /proc/sys/user/max_user_namespaces"),
            "user-namespace",
            false,
            "user.max_user_namespaces is 0",
            "sysctl -w user.max_user_namespaces",
        ),
        ("Docker's filter", denied("1"), "user-namespace", false, "seccomp filter", ""),
        ("podman's filter", denied("38"), "user-namespace", false, "seccomp filter", ""),
        ("no device", prepared(WITHOUT_FUSE), "fuse", true, "no /dev/fuse", "fuse"),
        ("masked", prepared("mount -t tmpfs none /proc/irq"), "proc", true, "/proc are hidden", ""),
        (
            "no_new_privs",
            ["setpriv", "--no-new-privs"].map(str::to_owned).to_vec(),
            "idmap-newuidmap",
            true,
            "no_new_privs is set",
            "start rbuild without it",
        ),
    ];
    for (name, wrapper, capability, works, why, remedy) in rows {
        let world = World::new();
        let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
        let found = info(&within(&world, &wrapper, "info"));
        let missing = row(&found, capability);
        assert_eq!(missing["works"], false, "{name}: {missing}");
        assert!(missing["why"].as_str().unwrap().contains(why), "{name}: {missing}");
        // the words depend on the engine that the tests themselves run under
        let mends = missing["remedy"].as_str().unwrap();
        assert!(!mends.is_empty() && mends.contains(remedy), "{name}: {missing}");
        let said = within(&world, &wrapper, "doctor");
        assert_eq!(said.code, i32::from(!works), "{name}\n{}\n{}", said.stdout, said.stderr);
        let last = said.stdout.lines().next_back().unwrap_or_default();
        assert!(said.stdout.contains(why), "{name}\n{}", said.stdout);
        let is_the_one = match capability {
            // root needs no program to map ids
            "idmap-newuidmap" => found["sandbox"]["idmap"]["mode"] == "single",
            // the one id of the namespace around it weighs more
            "proc" => false,
            _ => true,
        };
        assert_eq!(last.contains(mends), is_the_one, "{name}: what would lift it\n{}", said.stdout);
        assert_eq!(said.stderr.contains("RUN does not work here"), !works, "{name}\n{}", said.stderr);
    }
}

#[test]
fn a_machine_that_builds_is_well() {
    let world = World::new();
    let found = info(&world.run(&["info", "--format", "json"]).good());
    for name in
        ["user-namespace", "idmap-single", "fuse", "rootfs-fuse", "network-namespace", "seccomp-notify"]
    {
        assert_eq!(row(&found, name)["works"], true, "{name}: {found:#}");
    }
    for row in found["capabilities"].as_array().unwrap() {
        assert_eq!(row["works"] == true, row["why"].is_null(), "{row}");
        assert!(!row["costs"].as_str().unwrap().is_empty(), "{row}");
    }
    let rings = found["sandbox"]["rootfs"]["transport"] == "io_uring";
    assert_eq!(row(&found, "fuse-rings")["works"], rings, "{found:#}");
    assert_eq!(row(&found, "fuse-companions")["works"], true, "{found:#}");
    let said = world.run(&["doctor"]).good();
    for name in [
        "user-namespace",
        "idmap-root",
        "idmap-helper",
        "idmap-newuidmap",
        "rootfs-kernel",
        "fuse-rings",
        "fuse-companions",
        "cgroup",
        "reflink",
    ] {
        assert!(said.stdout.contains(&format!(" {name}")), "{name}\n{}", said.stdout);
    }
    let mode = found["sandbox"]["idmap"]["mode"].as_str().unwrap();
    assert!(said.stdout.contains(&format!("RUN works: ids by {mode}")), "{}", said.stdout);
    // nothing is left of the trials
    assert_eq!(std::fs::read_dir(world.store().join("rbuild/live")).unwrap().count(), 0);
}
