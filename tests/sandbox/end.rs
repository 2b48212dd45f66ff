//! The end: of a job that is cancelled, of a sandbox that is killed, of a coordinator that is killed.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rbuild::runtime::{Error, Exit};
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::Bench;

pub const TESTS: &[(&str, fn())] = &[
    ("cancel_stops_the_command", cancel_stops_the_command),
    ("jobs_run_side_by_side", jobs_run_side_by_side),
    ("a_killed_sandbox_is_reported", a_killed_sandbox_is_reported),
    ("a_killed_coordinator_leaves_nothing", a_killed_coordinator_leaves_nothing),
    ("killed_while_its_server_asks_itself_a_sandbox_leaves_nothing", killed_while_asked),
    ("the_verb_is_not_for_people", the_verb_is_not_for_people),
    ("a_step_is_cheap", a_step_is_cheap),
];

/// The argument that makes this program a coordinator to be killed.
pub const COORDINATOR: &str = "--be-a-coordinator";

/// Runs a job that never ends.
pub fn coordinate(dir: &Path, script: &str) -> ! {
    let bench = Bench::at(dir);
    let job = bench.job(script);
    let tar = fs::File::create(dir.join("tar")).unwrap();
    let ended = bench.sandbox.run(&job, tar, &|_, _| fs::write(dir.join("ready"), "").unwrap());
    panic!("{:?}", ended.map(|outcome| outcome.exit));
}

const WAITING: &str =
    "mkdir /tmp/deep && echo > /tmp/deep/file && chown -R 33 /tmp/deep; sleep 1000 & echo ready; sleep 1000";
/// The root's attributes are asked for all the time; what is recorded, the server asks itself.
const ASKING: &str =
    "echo ready; for p in 1 2 3 4; do n=0; while true; do n=$((n + 1)); test -e /$p-$n; done & done; wait";

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Every descendant of a process.
fn family(pid: u32) -> Vec<u32> {
    let children =
        |pid: u32| fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut all = Vec::new();
    let mut open = vec![pid];
    while let Some(pid) = open.pop() {
        let found: Vec<u32> = children(pid).split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        all.extend(&found);
        open.extend(found);
    }
    all
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

fn cancel_stops_the_command() {
    // the last: a handler that takes its time, and is waited for no more than two seconds
    let rows = [
        ("echo ready; sleep 1000", 1000, ""),
        ("trap 'echo bye; exit 0' TERM; echo ready; while true; do sleep 0.01; done", 1000, "bye\n"),
        ("trap 'echo no' TERM; echo ready; while true; do sleep 0.01; done", 4000, "no\n"),
    ];
    for (script, at_most, said) in rows {
        let bench = Bench::new();
        let job = bench.job(script);
        let cancel = bench.cancel.clone();
        let (ready, when_ready) = mpsc::channel();
        let canceller = std::thread::spawn(move || {
            when_ready.recv().unwrap();
            let start = Instant::now();
            cancel.cancel();
            start
        });
        let text = std::sync::Mutex::new(String::new());
        let outcome = bench.sandbox.run(&job, tempfile::tempfile().unwrap(), &|_, bytes| {
            text.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
            ready.send(()).unwrap_or_default();
        });
        let took = canceller.join().unwrap().elapsed();
        assert!(
            matches!(outcome, Err(Error::Cancelled)),
            "{script}: {:?}",
            outcome.map(|outcome| outcome.exit)
        );
        assert!(took < Duration::from_millis(at_most), "{script}: {took:?}");
        assert_eq!(text.into_inner().unwrap(), format!("ready\n{said}"), "{script}");
        assert_eq!(fs::read_dir(&job.live).unwrap().count(), 0, "{script}");
        assert!(matches!(bench.run(&bench.job("true")).outcome, Err(Error::Cancelled)), "{script}: too late");
        bench.sandbox.close().unwrap();
    }
}

fn jobs_run_side_by_side() {
    let bench = Bench::new();
    // each waits for the file of its neighbour, so they only end if all of them run at once
    let dir = bench.dir.join("shared");
    fs::create_dir(&dir).unwrap();
    std::thread::scope(|scope| {
        let bench = &bench;
        let dir = &dir;
        let run = move |number: u32| {
            let next = (number + 1) % 4;
            let script =
                format!("touch /v/{number}; while ! [ -e /v/{next} ]; do sleep 0.01; done; echo {number}");
            let mut job = bench.job(&script);
            job.confinement.mounts =
                vec![rbuild::runtime::Mount::bind(dir.clone(), "/v", rbuild::runtime::Access::ReadWrite)];
            let ran = bench.run(&job);
            assert_eq!((ran.exit(), ran.stdout), (Exit::Code(0), format!("{number}\n")));
        };
        for number in 0..4 {
            scope.spawn(move || run(number));
        }
    });
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let bench = &bench;
            scope.spawn(move || {
                for round in 0..25 {
                    let text = format!("{thread}.{round}\n");
                    assert_eq!(
                        bench
                            .output(
                                &format!(
                                    "echo {thread}.{round} | tee /tmp/x 2>/dev/null || echo {thread}.{round}"
                                ),
                                |_| {}
                            )
                            .lines()
                            .last(),
                        Some(text.trim())
                    );
                }
            });
        }
    });
}

fn a_killed_sandbox_is_reported() {
    // by their places in the family: each is the only child of the one before
    for (place, name) in ["birth", "init"].into_iter().enumerate() {
        let bench = Bench::new();
        let job = bench.job("echo ready; sleep 1000");
        let ran = bench.sandbox.run(&job, tempfile::tempfile().unwrap(), &|_, _| {
            kill(family(std::process::id())[place]);
        });
        match ran {
            Err(Error::Died { status, .. }) => assert_eq!(status, "killed by signal 9", "{name}"),
            other => panic!("{name}: {:?}", other.map(|outcome| outcome.exit)),
        }
        assert!(matches!(bench.run_anything(), Err(Error::Died { .. })), "{name}");
        wait_for("every process gone", || family(std::process::id()).is_empty());
    }
}

impl Bench {
    fn run_anything(&self) -> Result<Exit, Error> {
        let job = self.job("true");
        self.sandbox.run(&job, tempfile::tempfile().unwrap(), &|_, _| {}).map(|outcome| outcome.exit)
    }
}

fn start(dir: &Path, script: &str) -> Child {
    Command::new("/proc/self/exe")
        .args([COORDINATOR.as_ref(), dir.as_os_str(), script.as_ref()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

fn killed_while_asked() {
    for pause in [10, 20, 30, 40, 50, 60] {
        let scratch = tempfile::tempdir().unwrap();
        let mut coordinator = start(scratch.path(), ASKING);
        wait_for("the command runs", || scratch.path().join("ready").exists());
        std::thread::sleep(Duration::from_millis(pause));
        let family = family(coordinator.id());
        kill(family[1]);
        coordinator.wait().unwrap();
        wait_for("every process gone", || !family.iter().any(|pid| is_alive(*pid)));
    }
}

fn a_killed_coordinator_leaves_nothing() {
    // with the command running, and at moments before
    for pause in [None, Some(0), Some(3), Some(8), Some(15), Some(30), Some(60)] {
        let scratch = tempfile::tempdir().unwrap();
        let mut coordinator = start(scratch.path(), WAITING);
        match pause {
            None => wait_for("the command runs", || scratch.path().join("ready").exists()),
            Some(pause) => std::thread::sleep(Duration::from_millis(pause)),
        }
        let family = family(coordinator.id());
        coordinator.kill().unwrap();
        coordinator.wait().unwrap();
        wait_for("every process gone", || !family.iter().any(|pid| is_alive(*pid)));
        let live = scratch.path().join("live-0");
        if live.exists() {
            wait_for("live empty", || fs::read_dir(&live).unwrap().count() == 0);
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(scratch.path().to_str().unwrap()), "after {pause:?} ms: {mounts}");
    }
}

fn the_verb_is_not_for_people() {
    for arguments in [&["__sandbox"][..], &["__sandbox", "init"]] {
        let output = Command::new("/proc/self/exe").args(arguments).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{arguments:?}");
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "__sandbox is started by rbuild itself, not by hand\n",
            "{arguments:?}"
        );
    }
}

/// Prints the cost; fails only far from the goal, since machines differ and this program is not optimised.
fn a_step_is_cheap() {
    let bench = Bench::new();
    let run = || {
        let mut job = bench.job("");
        job.process.args = vec!["/bin/true".to_owned()];
        let start = Instant::now();
        assert_eq!(bench.run(&job).exit(), Exit::Code(0));
        start.elapsed()
    };
    run();
    let mut times: Vec<_> = (0..50).map(|_| run()).collect();
    times.sort();
    println!("a step: median {:?}, slowest {:?}", times[25], times[49]);
    assert!(times[25] < Duration::from_millis(500), "{times:?}");
}
