//! [`plan`] and [`Plan::apply`] on this machine: each mode that can work maps a real child.

mod common;

use std::fs;

use common::{Child, idmap_with_capabilities};
use rbuild_userns::idmap::{Choice, Error, InsideId, Mode, Plan, Search, plan_in};
use rustix::process::{Pid, geteuid};

#[test]
fn root_runs_these_tests_as_an_ordinary_user() {
    common::run_again_as_user();
}

/// Where the prepared helper is, then the machine's directories.
fn search() -> Search {
    let helper = idmap_with_capabilities().ok().and_then(|path| Some(path.parent()?.to_owned()));
    Search::new(helper.into_iter().chain(["/usr/bin".into()]))
}

fn apply(plan: &Plan, child: &Child) {
    let pid = Pid::from_raw(child.pid().try_into().unwrap()).unwrap();
    plan.apply(pid).unwrap_or_else(|error| panic!("{}: {error}", plan.mode));
}

#[test]
fn each_mode_maps_a_child_as_planned() {
    for mode in Mode::ORDER {
        let plan = match plan_in(Choice::Force(mode), &search()) {
            Ok(plan) => plan,
            Err(Error::Unavailable { why, .. }) => {
                assert!(
                    mode != Mode::Helper || geteuid().is_root() || idmap_with_capabilities().is_err(),
                    "{why}"
                );
                eprintln!("skipped: {mode}: {why}");
                continue;
            }
            Err(error) => panic!("{mode}: {error}"),
        };
        assert_eq!(plan.mode, mode);
        let mut child =
            Child::start_ready(if plan.needs_user_namespace() { &["unshare", "-U"] } else { &[] });
        apply(&plan, &child);
        assert_eq!(child.run("id -u"), "0", "{mode}");
        if plan.needs_user_namespace() {
            assert_eq!(
                (child.map("uid_map"), child.map("gid_map")),
                (plan.uids.clone(), plan.gids.clone()),
                "{mode}"
            );
            assert_eq!(plan.uids.to_inside(plan.uids.to_host(InsideId(0)).unwrap()), Some(InsideId(0)));
        }
        let setgroups = fs::read_to_string(child.proc().join("setgroups")).unwrap();
        assert_eq!(setgroups, if mode == Mode::Single { "deny\n" } else { "allow\n" }, "{mode}");
        if mode != Mode::Single {
            assert_eq!(child.run("setpriv --reuid=33 --regid=33 --groups=33,44 id -G"), "33 44", "{mode}");
        }
        eprintln!("{mode}: {:?}", plan.uids.to_string());
    }
}

#[test]
fn under_no_new_privs_programs_are_passed_over() {
    // It cannot be taken back, but only a thread has it.
    std::thread::spawn(no_program_is_run_under_no_new_privs).join().unwrap();
}

fn no_program_is_run_under_no_new_privs() {
    rustix::thread::set_no_new_privs(true).unwrap();
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    assert!(status.contains("NoNewPrivs:\t1"));
    for mode in [Mode::Helper, Mode::Newuidmap] {
        match plan_in(Choice::Force(mode), &search()) {
            Err(Error::Unavailable { why, .. }) => {
                assert!(why.starts_with("no_new_privs is set"), "{mode}: {why}");
            }
            other => panic!("{mode}: {other:?}"),
        }
    }
    let mode = plan_in(Choice::Auto, &search()).unwrap().mode;
    assert_eq!(mode, if geteuid().is_root() { Mode::Root } else { Mode::Single });
}

#[test]
fn a_child_that_is_no_more_is_an_error_with_its_path() {
    let plan = plan_in(Choice::Force(Mode::Single), &search()).unwrap();
    let child = Child::start_ready(&["unshare", "-U"]);
    let pid = Pid::from_raw(child.pid().try_into().unwrap()).unwrap();
    drop(child);
    let error = plan.apply(pid).unwrap_err().to_string();
    assert!(error.contains(&format!("to /proc/{}/uid_map", pid.as_raw_nonzero())), "{error}");
}

#[test]
fn what_a_helper_says_reaches_the_caller() {
    if geteuid().is_root() {
        return eprintln!("skipped: root has no range of its own");
    }
    for mode in [Mode::Helper, Mode::Newuidmap] {
        let Ok(plan) = plan_in(Choice::Force(mode), &search()) else {
            eprintln!("skipped: {mode} is not available");
            continue;
        };
        let ours = Child::start(&["sleep", "60"]);
        let error = plan.apply(Pid::from_raw(ours.pid().try_into().unwrap()).unwrap()).unwrap_err();
        let Error::Refused { message, status, .. } = &error else { panic!("{mode}: {error}") };
        assert!(!status.success() && !message.is_empty(), "{mode}: {message}");
        eprintln!("{error}");
    }
}
