//! The suites that others wrote for file systems, each in a real RUN: pjdfstest (what POSIX says), fsx (bytes) and
//! stress-ng (everything at once, and much of it).
//!
//! `contrib/check` gives them seconds; `contrib/soak` gives them the time it is told, and stress-ng's whole class.

use std::fmt::Write as _;
use std::fs;

use crate::build::BUSYBOX;
use crate::support::{Said, World, provided, tool};

/// The lane, as `contrib/check` calls it; without one that is an ordinary user's with a range.
fn lane() -> String {
    std::env::var("RBUILD_TEST_LANE").unwrap_or_else(|_| "mapped".to_owned())
}

/// Where one id is mapped, `kernel` refuses to be taken: an overlay of the kernel's has no place for recorded owners.
fn drivers() -> &'static [&'static str] {
    if lane() == "single" { &["fuse", "plain"] } else { &["fuse", "kernel", "plain"] }
}

/// How long a soak is to last, in seconds; `None` in the check.
fn soak() -> Option<u64> {
    std::env::var("RBUILD_TEST_SOAK").ok().map(|seconds| seconds.parse().expect("RBUILD_TEST_SOAK: seconds"))
}

/// A world whose image has a program of the host's at `/suite/program`, and the libraries of it where it looks for them.
struct Suite {
    world: World,
}

impl Suite {
    fn new(driver: &str, program: &str) -> Self {
        let suite = Self { world: World::with(&["--rootfs", driver]) };
        suite.world.busybox();
        suite.bring(program, "suite/program");
        // The two users that pjdfstest turns into.
        suite.file("etc/group", "root:x:0:\nnobody:x:65534:\ntests:x:777:\n");
        let users = "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\ntests:x:777:777::/:/bin/sh\n";
        suite.file("etc/passwd", users);
        suite
    }

    /// Puts a program of the host's and its libraries into the image.
    fn bring(&self, program: &str, at: &str) {
        let root = self.world.context().join("root");
        let copy = |from: &str, to: &str| {
            let to = root.join(to.trim_start_matches('/'));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        };
        copy(program, at);
        for library in tool("ldd", &[program]).split_whitespace().filter(|word| word.starts_with('/')) {
            copy(library, library);
        }
    }

    fn file(&self, name: &str, text: &str) {
        self.world.file(&format!("root/{name}"), text);
    }

    /// Runs scripts, a RUN each.
    fn run(&self, scripts: &[&str], options: &[&str]) -> Said {
        let mut dockerfile = format!("{BUSYBOX}COPY root /\n");
        for (number, script) in scripts.iter().enumerate() {
            self.file(&format!("suite/{number}"), script);
            writeln!(dockerfile, "RUN mkdir -p /at && cd /at && sh -e /suite/{number}").unwrap();
        }
        self.world.build(&dockerfile, &[&["-t", "x"], options].concat())
    }
}

/// The tests of pjdfstest that make a device node, without the kind of device.
const DEVICES: &str = "chmod::change_perm chmod::enotdir_component chmod::failed_chmod_unchanged_ctime \
    chmod::update_ctime chown::enotdir_component chown::lchown::enotdir_component link::changed_ctime_success \
    link::eexist_dest_exists link::enotdir_component_either link::remove_link link::share_metadata \
    link::unchanged_ctime_fails mkdir::eexist_file_exists mkdir::enotdir_component mkfifo::eexist_file_exists \
    mkfifo::enotdir_component mknod::changed_times_success mknod::device_files mknod::eexist_file_exists \
    mknod::enotdir_comp_char_block mknod::enotdir_component mknod::privileged::eexist_file_exists \
    open::eexist_file_exists rename::changed_ctime_success rename::eexist_enotempty_to_non_empty \
    rename::eisdir_to_dir_from_not_dir rename::enotdir_component_either rename::enotdir_from_dir_to_not_dir \
    rename::preserve_metadata rename::to_multiply_linked rename::unchanged_ctime_failed \
    rmdir::eexist_enotempty_non_empty_dir rmdir::enotdir_component symlink::create_symlink \
    symlink::eexist_file_exists symlink::enotdir_component truncate::enotdir_component unlink::enotdir_component \
    unlink::remove_type unlink::unchanged_ctime_failed unlink::update_ctime_success \
    unlink::update_mtime_ctime_success_folder utimensat::changes_timestamps";

/// Those of them whose devices have a number; the character devices of the others are 0:0.
const NUMBERED: [&str; 2] = ["mknod::changed_times_success", "mknod::device_files"];

/// The tests of pjdfstest in which another user is refused something, by kind of file.
const REFUSALS: [(&str, &str); 6] = [
    ("chmod::failed_chmod_unchanged_ctime", "block char dir fifo regular socket"),
    ("link::unchanged_ctime_fails", "block char fifo regular socket"),
    ("rename::unchanged_ctime_failed", "block char dir fifo regular socket symlink"),
    ("truncate::unchanged_ctime_failed", ""),
    ("unlink::unchanged_ctime_failed", "block char fifo regular socket"),
    ("utimensat", "nobody utime_now_nobody write_perm"),
];

/// What the kernel makes impossible: pjdfstest fails where one of these passes.
fn expected_failures(driver: &str, lane: &str) -> Vec<String> {
    if lane == "single" {
        // to the kernel every file is the one user's own (src/sandbox/identity/mod.rs); devices are recorded
        return refusals();
    }
    let devices = || DEVICES.split_whitespace();
    let numbered = |name: &&str| NUMBERED.contains(name);
    let mut failures = Vec::new();
    // mknod(2) of a device asks for CAP_MKNOD in the machine's own user namespace.
    if lane != "root" {
        failures.extend(devices().map(|name| format!("{name}::block")));
        failures.extend(devices().filter(numbered).map(|name| format!("{name}::char")));
    }
    // A character device 0:0 needs no capability, for it is overlayfs' whiteout; so overlayfs itself makes none.
    if driver == "kernel" {
        failures.extend(devices().filter(|name| !numbered(name)).map(|name| format!("{name}::char")));
    }
    failures
}

fn refusals() -> Vec<String> {
    let each = |(name, kinds): (&str, &'static str)| {
        let name = name.to_owned();
        let whole = kinds.is_empty().then(|| name.clone());
        whole.into_iter().chain(kinds.split_whitespace().map(move |kind| format!("{name}::{kind}")))
    };
    REFUSALS.into_iter().flat_map(each).collect()
}

#[test]
fn pjdfstest() {
    let Some(program) = provided("RBUILD_TEST_PJDFSTEST") else { return };
    let lane = lane();
    for &driver in drivers() {
        let suite = Suite::new(driver, &program);
        // One that a copy of, under any name, is: busybox goes by its name.
        suite.bring("/bin/sleep", "usr/local/bin/sleep");
        // Times are compared after naps; overlayfs' advance with the timer's ticks.
        let config = format!(
            "[features]\nposix_fallocate = {{}}\nrename_ctime = {{}}\nutimensat = {{}}\nutime_now = {{}}\n\
             [settings]\nnaptime = 0.02\nallow_remount = false\nexpected_failures = {:?}\n\
             [dummy_auth]\nentries = [[\"nobody\", \"nobody\"], [\"tests\", \"tests\"]]\n",
            expected_failures(driver, &lane)
        );
        suite.file("suite/config", &config);
        let options: &[&str] = if lane == "root" { &["--cap-add", "MKNOD"] } else { &[] };
        let said = suite.run(&["/suite/program -c /suite/config -s /dev/shm -p /at"], options).good();
        let summary = said.stdout.lines().find(|line| line.starts_with("Summary: ")).unwrap_or("no summary");
        println!("{driver}: {summary}");
        assert!(summary.contains("Summary: 0 failed"), "{driver}\n{}", said.stdout);
    }
}

/// Every operation that fsx has, on a file that grows from memory to the disk and back. None of no bytes: to allocate those
/// is EINVAL on every file system, which fsx takes for a refusal.
const FSX: &str = "flen = 1048576\n[opsize]\nmin = 1\nmax = 131072\n[weights]\nclose_open = 1\nread = 10\nwrite = 10\nmapread = 10\n\
    mapwrite = 10\ninvalidate = 1\ntruncate = 5\nfsync = 1\nfdatasync = 1\nposix_fallocate = 3\npunch_hole = 5\n\
    sendfile = 3\nposix_fadvise = 1\ncopy_file_range = 5\n";

#[test]
fn fsx() {
    let Some(program) = provided("RBUILD_TEST_FSX") else { return };
    // In a soak every run has seeds of its own, and its time is shared by the drivers.
    let (seconds, first) = match soak() {
        Some(seconds) => (seconds / drivers().len() as u64, "$(($(date +%s) * 1000))"),
        None => (8, "1"),
    };
    for &driver in drivers() {
        let suite = Suite::new(driver, &program);
        suite.file("suite/config", FSX);
        let exercise = format!(
            "seed={first}; end=$(($(date +%s) + {seconds})); count=0
             while [ $count = 0 ] || [ $(date +%s) -lt $end ]; do
                 [ $count = 0 ] || rm file
                 /suite/program -q -q -S $seed -N 1000 -f /suite/config file >said 2>&1 || {{ echo fsx -S $seed; cat said; exit 1; }}
                 seed=$((seed + 1)); count=$((count + 1))
             done
             echo $count seeds; sha256sum file >sum"
        );
        // The next step reads what the layer of this one has.
        let said = suite.run(&[&exercise, "sha256sum -c sum"], &[]).good();
        let count = said.stdout.lines().find(|line| line.ends_with(" seeds")).unwrap_or("no count");
        println!("{driver}: {count}");
        assert!(said.stdout.contains("file: OK"), "{driver}\n{}", said.stdout);
    }
}

/// Stressors that are worth a second in the check.
const STRESSORS: [&str; 10] =
    ["rename", "link", "dirmany", "fpunch", "fallocate", "xattr", "open", "symlink", "utime", "getdent"];

/// Some of them, and how often each does what it does.
const COUNTED: [(&str, u32); 6] =
    [("rename", 100), ("link", 1), ("dirmany", 100), ("open", 100), ("utime", 100), ("getdent", 100)];

/// These two mount, which no step may.
const MOUNTING: &str = "binderfs,bind-mount";

#[test]
fn stress_ng() {
    let Some(program) = provided("RBUILD_TEST_STRESS_NG") else { return };
    let stress = |what: &str| format!("/suite/program {what} --verify --temp-path /at -q\n");
    let script = match soak() {
        // A signal ends a call that is handed over, before it is taken, with EINTR: also those that nothing interrupts
        // elsewhere, which stress-ng calls a failure. So nothing is ended by its alarm.
        _ if lane() == "single" => {
            let counted = COUNTED.map(|(name, count)| stress(&format!("--{name} 2 --{name}-ops {count}")));
            counted.concat()
        }
        Some(_) => stress(&format!("--class filesystem --exclude {MOUNTING} --sequential 2 --timeout 10s")),
        None => STRESSORS.map(|name| stress(&format!("--{name} 2 --timeout 1s"))).concat(),
    };
    for &driver in drivers() {
        Suite::new(driver, &program).run(&[&script], &[]).good();
    }
}
