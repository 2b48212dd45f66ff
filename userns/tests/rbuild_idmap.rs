//! `rbuild-idmap` against real processes: what it refuses, and what it maps where it may.
//!
//! The refusals need no privilege: the judgement comes before the first write. The maps need a copy of
//! the program with file capabilities, which `RBUILD_TEST_IDMAP` names; where that is set they must not
//! be skipped. Run by root, the tests prepare such a copy and start themselves again as the ordinary user
//! `RBUILD_TEST_USER` (default: builder).

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};

use common::{Child, User, idmap_with_capabilities, ordinary_user};
use rbuild_userns::idmap::IdMap;

#[test]
fn root_runs_these_tests_as_an_ordinary_user() {
    common::run_again_as_user();
}

/// Runs the program with `target` as its standard input, descriptor 0.
fn idmap(program: &Path, target: &Path, arguments: &[&str]) -> Output {
    let target = File::open(target).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
    Command::new(program).args(arguments).stdin(target).output().unwrap()
}

fn refusal(row: &str, output: &Output, code: i32, part: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{row}: {stderr}");
    assert!(
        stderr.starts_with("rbuild-idmap: ") && stderr.contains(part),
        "{row}: {stderr:?} has no {part:?}"
    );
    assert_eq!(stderr.matches('\n').count(), 1, "{row}: one line: {stderr:?}");
}

/// The program whose refusals are tested: the installed one if there is one.
fn program() -> std::path::PathBuf {
    idmap_with_capabilities().unwrap_or_else(|_| env!("CARGO_BIN_EXE_rbuild-idmap").into())
}

#[test]
fn bad_arguments_are_refused() {
    for (arguments, part) in [
        (&[][..], "no descriptor given; usage: rbuild-idmap FD [UID_MAP GID_MAP]"),
        (&["zero"], "FD is not a descriptor's number"),
        (&["-1"], "FD is not a descriptor's number"),
        (&["0", "0 1 1"], "UID_MAP without GID_MAP"),
        (&["0", "0 1 1", "0 1 1", "stray"], "stray argument \"stray\""),
        (&["0", "0 1 1\n1 1 1", "0 1 1"], "UID_MAP: id map line 2: overlaps extent 1"),
        (&["0", "0 1 1", "0 1 1 1\n\u{1b}[2J"], "GID_MAP: id map line 1"),
        (&["0", "0 1 1", "0 1 4294967295"], "run past the last id"),
    ] {
        refusal(&format!("{arguments:?}"), &idmap(&program(), Path::new("/proc/self"), arguments), 2, part);
    }
    refusal("not open", &idmap(&program(), Path::new("/proc/self"), &["999"]), 3, "descriptor 999");
}

/// What a caller leaves around the program: a library to load, closed descriptors, no room to write.
#[test]
fn the_callers_surroundings_do_not_matter() {
    const LIBRARY: &str = "/no/such/library.so";
    let loader_obeys = |program: &Path| {
        let output = Command::new(program).env("LD_PRELOAD", LIBRARY).output().unwrap();
        String::from_utf8_lossy(&output.stderr).contains(LIBRARY)
    };
    // the control: for a program that gains nothing the loader does obey
    assert!(loader_obeys(Path::new("/bin/true")));
    match idmap_with_capabilities() {
        Ok(program) if ordinary_user().is_some() => assert!(!loader_obeys(&program)),
        Ok(_) => {}
        Err(why) => eprintln!("skipped: {why}"),
    }
    for (surroundings, code) in [
        ("exec \"$0\" 0 <&-", 1),
        ("exec \"$0\" 0 <&- >&- 2>&-", 1),
        ("exec \"$0\" 2>/dev/full", 2),
        ("ulimit -f 0; exec \"$0\" 1 1</proc/self", 1),
    ] {
        let output = Command::new("sh").args(["-c", surroundings]).arg(program()).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{surroundings}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn a_descriptor_that_is_no_process_is_refused() {
    for (path, part) in [
        ("/tmp", "descriptor 0 is not on procfs"),
        ("/dev/null", "descriptor 0 is not on procfs"),
        ("/sys/kernel", "descriptor 0 is not on procfs"),
        ("/proc/self/status", "descriptor 0 is not a directory"),
        ("/proc", "not the directory of a process"),
        ("/proc/sys", "not the directory of a process"),
        ("/proc/self/fd", "not the directory of a process"),
    ] {
        refusal(path, &idmap(&program(), Path::new(path), &["0"]), 1, part);
    }
}

#[test]
fn a_process_that_is_not_the_callers_is_refused() {
    let Some(user) = ordinary_user() else { return };
    refusal(
        "init",
        &idmap(&program(), Path::new("/proc/1"), &["0"]),
        1,
        "the process belongs to uid 0, not to the caller",
    );
    let ours = Child::start(&["sleep", "60"]);
    refusal(
        "no namespace",
        &idmap(&program(), &ours.proc(), &["0"]),
        1,
        "in the caller's own user namespace",
    );

    let nested = Child::start_ready(&["unshare", "-r", "unshare", "-U"]);
    refusal("grandchild", &idmap(&program(), &nested.proc(), &["0"]), 1, "is not a child of the caller's");

    let mapped = Child::start_ready(&["unshare", "-r"]);
    refusal(
        "mapped",
        &idmap(&program(), &mapped.proc(), &["0"]),
        1,
        "uid_map of the process is already written",
    );
    assert_eq!(mapped.map("uid_map").to_string(), format!("0 {} 1\n", user.uid));

    let ended = Child::start_ready(&["unshare", "-U"]);
    let directory = File::open(ended.proc()).unwrap();
    drop(ended);
    let output = Command::new(program()).arg("0").stdin(directory).output().unwrap();
    refusal("ended", &output, 1, "");
}

#[test]
fn a_range_that_is_not_the_callers_is_refused() {
    let Some(User { uid, gid, .. }) = ordinary_user() else { return };
    let child = Child::start_ready(&["unshare", "-U"]);
    let (own_uid, own_gid) = (format!("0 {uid} 1\n"), format!("0 {gid} 1\n"));
    let not_yours = "are not the caller's";
    for (uids, gids, part) in [
        (format!("{own_uid}1 4000000000 10"), own_gid.clone(), not_yours),
        (own_uid.clone(), format!("{own_gid}1 4000000000 10"), not_yours),
        (format!("0 {} 1", uid + 1), own_gid.clone(), not_yours),
        (format!("0 {uid} 2"), own_gid.clone(), not_yours),
        ("0 0 1".to_owned(), own_gid.clone(), "host uid 0 is root's"),
        (own_uid.clone(), "0 0 1".to_owned(), "host gid 0 is root's"),
        (String::new(), own_gid.clone(), "the uid map is empty"),
        (own_uid.clone(), String::new(), "the gid map is empty"),
    ] {
        let row = format!("{uids:?} {gids:?}");
        refusal(&row, &idmap(&program(), &child.proc(), &["0", &uids, &gids]), 1, part);
        assert!(child.map("uid_map").is_empty() && child.map("gid_map").is_empty(), "{row}");
    }
}

#[test]
fn files_mounted_over_the_processs_own_are_not_believed() {
    if ordinary_user().is_none() {
        return;
    }
    let target = Child::start_ready(&["unshare", "-U"]);
    let pid = target.pid();
    for (file, forged, part) in [
        ("status", "/proc/1/status", "something is mounted over status"),
        ("uid_map", "/proc/1/uid_map", "something is mounted over uid_map"),
        ("gid_map", "/dev/null", "something is mounted over gid_map"),
        ("ns", "/proc/1/ns", "something is mounted over ns/user"),
    ] {
        let mount = format!("mount --bind {forged} /proc/{pid}/{file} && exec \"$@\"");
        let forger = Child::start_ready(&["unshare", "-rm", "sh", "-c", &mount, "sh"]);
        let seen_by_it = format!("/proc/{}/root/proc/{pid}", forger.pid());
        refusal(file, &idmap(&program(), Path::new(&seen_by_it), &["0"]), 1, part);
    }
    assert!(target.map("uid_map").is_empty());
}

#[test]
fn the_callers_own_ranges_are_mapped() {
    let Some(user) = ordinary_user() else { return };
    let program = match idmap_with_capabilities() {
        Ok(program) => program,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let mut child = Child::start_ready(&["unshare", "-U"]);
    let output = idmap(&program, &child.proc(), &["0"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let uids = child.map("uid_map");
    assert_eq!(uids.extents()[0].host, user.uid);
    assert!(uids.len() > 1, "own id and a range: {uids}");
    assert_eq!(fs::read_to_string(child.proc().join("setgroups")).unwrap(), "allow\n");
    assert_eq!(child.run("setpriv --reuid=1 --regid=1 --groups=1,2 id -u"), "1");

    let again = idmap(&program, &child.proc(), &["0"]);
    refusal("a second time", &again, 1, "uid_map of the process is already written");
    parts_of_the_ranges(&program, &user, &uids);
}

/// A part of what the caller may have, and the caller's own id alone: then `setgroups` goes.
fn parts_of_the_ranges(program: &Path, user: &User, granted: &IdMap) {
    let (uid, gid, range) = (user.uid, user.gid, granted.extents()[1]);
    let own = (format!("0 {uid} 1\n"), format!("0 {gid} 1\n"));
    let part = format!("5 {} 3\n0 {uid} 1\n", range.host + 7);
    for (uids, gids, setgroups) in [(&part, &own.1, "deny\n"), (&own.0, &own.1, "deny\n")] {
        let child = Child::start_ready(&["unshare", "-U"]);
        let output = idmap(program, &child.proc(), &["0", uids, gids]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(
            (child.map("uid_map").to_string(), child.map("gid_map").to_string()),
            (uids.clone(), gids.clone())
        );
        assert_eq!(fs::read_to_string(child.proc().join("setgroups")).unwrap(), setgroups, "{uids:?}");
    }
}
