//! Limits of all processes of a RUN together, by control groups of cgroup v2: real ones where `contrib/check` could delegate
//! one to the lane's user, refusals elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal};

use crate::build::BUSYBOX;
use crate::confined::output;
use crate::support::World;

/// A world in which each rbuild runs in a control group of its own, as in a scope of systemd.
struct Delegated {
    world: World,
    /// What those are made in.
    group: PathBuf,
    /// Where cgroup v2 is mounted.
    mount: PathBuf,
}

impl Delegated {
    /// `None`: no group with this controller is delegated to this user.
    fn with(controller: &str) -> Option<Self> {
        let Some(all) = std::env::var_os("RBUILD_TEST_CGROUP").map(PathBuf::from) else {
            eprintln!("skipped: needs a delegated control group with the controller {controller}");
            return None;
        };
        let has = fs::read_to_string(all.join("cgroup.subtree_control")).unwrap();
        if !has.split_whitespace().any(|name| name == controller) {
            eprintln!(
                "skipped: the control group {} does not have the controller {controller}",
                all.display()
            );
            return None;
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount =
            mounts.lines().find(|line| line.contains(" - cgroup2 ")).unwrap().split(' ').nth(4).unwrap();
        let mut world = World::new();
        world.busybox();
        let name = world.path("").file_name().unwrap().to_owned();
        let group = all.join(name);
        fs::create_dir(&group).unwrap();
        let all: Vec<_> = has.split_whitespace().map(|name| format!("+{name}")).collect();
        fs::write(group.join("cgroup.subtree_control"), all.join(" ")).unwrap();
        let script = "mkdir \"$0/$$\" && echo $$ > \"$0/$$/cgroup.procs\" && exec \"$@\"";
        world.around = ["sh", "-c", script, group.to_str().unwrap()].map(str::to_owned).into();
        Some(Self { world, group, mount: mount.into() })
    }

    /// The groups of steps that are there.
    fn left(&self) -> Vec<PathBuf> {
        let mut left = groups(&self.group);
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        left.retain(|path| name(path).starts_with("rbuild-") && !name(path).ends_with("-itself"));
        left
    }

    /// Prints a file of the step's own group.
    fn show(&self, name: &str) -> String {
        format!("cat {}$(sed -n s/^0:://p /proc/self/cgroup)/{name}", self.mount.display())
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let all = groups(&self.group);
        all.iter().chain([&self.group]).for_each(|group| fs::remove_dir(group).unwrap());
    }
}

/// All groups beneath one, the innermost first.
fn groups(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).unwrap().map(|entry| entry.unwrap().path());
    let inside = entries.filter(|path| path.is_dir());
    inside.flat_map(|path| [groups(&path), vec![path]].concat()).collect()
}

type Row = (&'static str, &'static [&'static str], &'static str, &'static str);

const ROWS: [Row; 8] = [
    ("memory", &["--memory", "64m"], "memory.max", "67108864"),
    ("memory", &["-m", "64m", "--memory-swap", "96m"], "memory.swap.max", "33554432"),
    ("memory", &["-m", "64m", "--memory-swap", "-1"], "memory.swap.max", "max"),
    ("cpu", &["--cpu-quota", "50000"], "cpu.max", "50000 100000"),
    ("cpu", &["--cpu-period", "20000", "--cpu-quota", "10000"], "cpu.max", "10000 20000"),
    ("cpu", &["-c", "2048"], "cpu.weight", "79"),
    ("cpuset", &["--cpuset-cpus", "0"], "cpuset.cpus", "0"),
    ("cpuset", &["--cpuset-mems", "0"], "cpuset.mems", "0"),
];

#[test]
fn limits_are_those_of_the_steps_own_group() {
    for (controller, args, name, want) in ROWS {
        let Some(delegated) = Delegated::with(controller) else { continue };
        let args = [args, &["--cgroupns", "host"]].concat();
        assert_eq!(output(&delegated.world, &delegated.show(name), &args), want, "{args:?}");
        assert_eq!(delegated.left(), Vec::<PathBuf>::new(), "{args:?}");
    }
}

#[test]
fn limits_hold_for_each_run_of_a_build() {
    let Some(delegated) = Delegated::with("cpu") else { return };
    let file = format!(
        "{BUSYBOX}RUN sed -n s/^0:://p /proc/self/cgroup\nRUN : && sed -n s/^0:://p /proc/self/cgroup\n"
    );
    let said = delegated.world.build(&file, &["--cpu-shares", "2", "--cgroupns", "host"]).good();
    let groups: Vec<&str> = said.stdout.lines().filter(|line| line.contains("/rbuild-")).collect();
    let beside = |group: &str| Path::new(group).parent().unwrap().to_path_buf();
    assert!(
        groups.len() == 2 && groups[0] != groups[1] && beside(groups[0]) == beside(groups[1]),
        "each beneath the group of rbuild itself\n{}",
        said.stdout
    );
    // in its own namespace it is the root
    assert_eq!(output(&delegated.world, "sed -n s/^0:://p /proc/self/cgroup", &["--cpu-shares", "2"]), "/");
}

#[test]
fn a_group_can_be_named() {
    let Some(delegated) = Delegated::with("cpu") else { return };
    let beneath = delegated.group.strip_prefix(&delegated.mount).unwrap();
    let absolute = Path::new("/").join(beneath).join("named").display().to_string();
    for parent in ["named", &absolute] {
        let script = "sed -n s/^0:://p /proc/self/cgroup";
        // all on the way pass the controller on
        let args = ["--cgroup-parent", parent, "--cgroupns", "host", "--cpu-shares", "2"];
        let got = output(&delegated.world, script, &args);
        assert!(got.contains("/named/rbuild-"), "{parent}: {got}");
    }
    assert_eq!(delegated.left(), Vec::<PathBuf>::new());
}

#[test]
fn what_the_kernel_does_not_take_is_named_and_leaves_no_group() {
    let Some(delegated) = Delegated::with("cpuset") else { return };
    let said = delegated.world.build(&format!("{BUSYBOX}RUN true\n"), &["--cpuset-cpus", "4000"]);
    said.fails(125, "limit the control group by \"4000\" in ");
    assert_eq!(delegated.left(), Vec::<PathBuf>::new());
}

#[test]
fn processes_of_others_are_not_moved() {
    let Some(mut delegated) = Delegated::with("cpu") else { return };
    let script = "mkdir \"$0/$$\" && echo $$ > \"$0/$$/cgroup.procs\"; \"$@\"; exit $?";
    delegated.world.around[2] = script.to_owned();
    let said = delegated.world.build(&format!("{BUSYBOX}RUN true\n"), &["--cpu-shares", "2"]);
    said.fails(125, "holds processes that are not rbuild's (");
    assert_eq!(delegated.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_cancelled_step_leaves_no_group() {
    let Some(delegated) = Delegated::with("cpu") else { return };
    delegated.world.file("Dockerfile", format!("{BUSYBOX}RUN sleep 1000\n"));
    let mut command = delegated.world.command();
    let mut child =
        command.args(["bud", "--cpu-shares", "2"]).arg(delegated.world.context()).spawn().unwrap();
    let procs = |group: &PathBuf| fs::read_to_string(group.join("cgroup.procs"));
    let sleeps = || delegated.left().iter().any(|group| procs(group).is_ok_and(|pids| !pids.is_empty()));
    while !sleeps() {
        assert!(child.try_wait().unwrap().is_none(), "the build ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    rustix::process::kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(delegated.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_step_out_of_memory_says_so() {
    let Some(delegated) = Delegated::with("memory") else { return };
    let eat = "head -c 200000000 /dev/zero | tail -c 200000000 | wc -c; false";
    let said =
        delegated.world.build(&format!("{BUSYBOX}RUN {eat}\n"), &["--memory", "32m", "--memory-swap", "32m"]);
    said.fails(1, "the limit of memory, 33554432 bytes, was reached");
    assert_eq!(delegated.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_group_that_is_not_delegated_is_refused() {
    let is_mounted = fs::read_to_string("/proc/self/mountinfo").unwrap().contains(" - cgroup2 ");
    let world = World::new();
    world.busybox();
    for (controller, args, ..) in ROWS {
        if is_mounted && rustix::process::geteuid().is_root() && has(controller) {
            eprintln!("{args:?} is root's to set");
            continue;
        }
        let said = world.build("FROM scratch\nCOPY busybox /sh\nRUN [\"/sh\"]\n", args);
        said.fails(125, "control group");
    }
}

/// Whether the group of this process has the controller.
fn has(controller: &str) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount =
        mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    let file = format!("{}{own}/cgroup.controllers", mount.unwrap_or_default());
    fs::read_to_string(file).unwrap_or_default().split_whitespace().any(|name| name == controller)
}

#[test]
fn senseless_limits_are_refused() {
    let world = World::new();
    for (args, want) in [
        (&["--memory", "64m", "--memory-swap", "1m"][..], "is less than --memory"),
        (&["--memory-swap", "1m"], "--memory <SIZE>"),
        (&["--cpuset-cpus", "0-"], "expected numbers and ranges"),
        (&["--cpu-shares", "1"], "1 is not in 2..=262144"),
        (&["--cgroup-parent", "/../x"], "expected a path without '..'"),
    ] {
        world.build("FROM scratch\n", args).fails(125, want);
    }
}

#[test]
fn the_doctor_tries_the_group_that_a_build_would_divide() {
    let Some(delegated) = Delegated::with("memory") else { return };
    let row = |world: &World| {
        let said = world.run(&["doctor"]).stdout;
        said.lines().find(|line| line.contains(" cgroup")).unwrap_or_default().to_owned()
    };
    assert!(row(&delegated.world).starts_with("ok "), "{}", row(&delegated.world));
    fs::write(delegated.group.join("cgroup.subtree_control"), "-memory").unwrap();
    assert!(row(&delegated.world).contains("no cpu and memory controller"), "{}", row(&delegated.world));
}
