//! A mount namespace for a test: the test binary starts itself again inside one, for this test only.

use std::process::Command;

const INSIDE: &str = "RBUILD_TEST_NAMESPACE";

/// Whether the caller is inside (and goes on) or was the outer half, which is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    Inner,
    Outer,
}

/// Runs the test called `name` (its full path) in a mount namespace of its own: as root directly, as a user in a user
/// namespace with the ids of /etc/subuid, or with its own id alone. Prints why if none of these works here.
pub fn enter(name: &str) -> Half {
    if std::env::var_os(INSIDE).is_some() {
        return Half::Inner;
    }
    let ways: &[&[&str]] = if rustix::process::geteuid().is_root() {
        &[&["--mount"]]
    } else {
        &[&["--user", "--map-root-user", "--map-auto", "--mount"], &["--user", "--map-root-user", "--mount"]]
    };
    if !std::path::Path::new("/dev/fuse").exists() {
        eprintln!("skipped {name}: needs /dev/fuse");
        return Half::Outer;
    }
    let works =
        |way: &&&[&str]| Command::new("unshare").args(**way).arg("true").status().is_ok_and(|s| s.success());
    let Some(way) = ways.iter().find(works) else {
        eprintln!("skipped {name}: unshare makes no mount namespace for this user");
        return Half::Outer;
    };
    let exe = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .args(*way)
        .arg(exe)
        .args(["--exact", name, "--nocapture", "--test-threads=1", "--include-ignored"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{name} in its namespace: {status}");
    Half::Outer
}

/// Whether ids other than the user's own exist here.
pub fn has_many_ids() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    map.split_whitespace().nth(2).is_some_and(|count| count != "1") || map.lines().count() > 1
}

/// Whether device nodes may be made: real root only.
pub fn is_real_root() -> bool {
    std::fs::read_to_string("/proc/self/uid_map").unwrap().split_whitespace().eq(["0", "0", "4294967295"])
}
