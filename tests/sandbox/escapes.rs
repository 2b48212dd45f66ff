//! Ways out of a container that were published for runc, buildah, BuildKit and their like, each tried for real. What is
//! named after a CVE re-enacts it; why it fails is said in `src/sandbox/mod.rs`.
//!
//! The host's side of every attack is a directory that only an escape could see or change. The dangerous lane is root's:
//! no user namespace stands between the step and the machine.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rbuild::layer::{Content, LayerWriter, Metadata};
use rbuild::runtime::{Access, Exit, LayerFiles, Mount, Network};

use crate::bench::{Bench, Ran};

pub const TESTS: &[(&str, fn())] = &[
    ("cve_2024_21626_no_directory_leaks", cve_2024_21626_no_directory_leaks),
    ("cve_2019_5736_the_program_cannot_be_overwritten", cve_2019_5736_the_program_cannot_be_overwritten),
    (
        "cve_2019_19921_links_in_the_place_of_kernel_mounts",
        cve_2019_19921_links_in_the_place_of_kernel_mounts,
    ),
    ("cve_2025_31133_masks_hide_and_devices_are_devices", cve_2025_31133_masks_hide_and_devices_are_devices),
    ("cve_2025_52881_no_mount_is_led_into_proc", cve_2025_52881_no_mount_is_led_into_proc),
    ("cve_2023_25809_kernel_mounts_are_read_only", cve_2023_25809_kernel_mounts_are_read_only),
    ("cve_2022_27651_nothing_is_inheritable", cve_2022_27651_nothing_is_inheritable),
    ("cve_2024_23652_stubs_are_not_removed_by_path", cve_2024_23652_stubs_are_not_removed_by_path),
    ("cve_2024_45310_nothing_is_made_outside", cve_2024_45310_nothing_is_made_outside),
    ("cve_2021_30465_targets_that_are_swapped", cve_2021_30465_targets_that_are_swapped),
    ("cve_2024_23651_sources_that_are_swapped", cve_2024_23651_sources_that_are_swapped),
    ("cve_2020_15257_abstract_sockets_of_the_host", cve_2020_15257_abstract_sockets_of_the_host),
    ("cve_2022_0492_no_namespace_is_made", cve_2022_0492_no_namespace_is_made),
    ("escapes_by_device_nodes", escapes_by_device_nodes),
];

/// The argument that makes this program, run inside a step, hand itself to a shell on descriptor 3.
pub const REOPENED: &str = "--be-reopened";

/// In the step: what a program that was tricked into running the host's own does next.
pub fn reopen() -> ! {
    use rustix::fs::{Mode, OFlags};
    use std::os::unix::process::CommandExt;
    let exe = rustix::fs::open("/proc/self/exe", OFlags::RDONLY, Mode::empty()).unwrap();
    rustix::stdio::dup2_stdin(&exe).unwrap();
    let script = "readlink /proc/self/fd/0; (: > /proc/self/fd/0) 2>&1; true";
    panic!("{}", Command::new("/bin/sh").args(["-c", script]).exec());
}

/// One entry of a hostile layer.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Dir,
    Link(&'static str),
    File(&'static str),
    Fifo,
    Char(u32, u32),
}

type Layout = &'static [(&'static str, Entry)];

/// A layer on top of the bench's own.
fn layer(bench: &Bench, name: &str, layout: &[(&str, Entry)]) -> LayerFiles {
    written(bench, name, |writer| {
        for (path, entry) in layout {
            let mode = if matches!(entry, Entry::Dir) { 0o755 } else { 0o666 };
            let meta = Metadata { mode, ..Metadata::default() };
            let mut bytes: &[u8];
            let content = match entry {
                Entry::Dir => Content::Directory,
                Entry::Link(text) => Content::Symlink(text.as_bytes()),
                Entry::File(text) => {
                    bytes = text.as_bytes();
                    Content::File { size: bytes.len() as u64, data: &mut bytes }
                }
                Entry::Fifo => Content::Fifo,
                Entry::Char(major, minor) => Content::Char { major: *major, minor: *minor },
            };
            writer.append(path.as_bytes(), &meta, content).unwrap();
        }
    })
}

fn written(bench: &Bench, name: &str, fill: impl FnOnce(&mut LayerWriter)) -> LayerFiles {
    let (tar, index) = (bench.dir.join(format!("{name}.tar")), bench.dir.join(format!("{name}.index")));
    let file = fs::File::options().read(true).write(true).create(true).truncate(true).open(&tar).unwrap();
    let mut writer = LayerWriter::create(file);
    fill(&mut writer);
    let written = writer.finish().unwrap();
    fs::write(&index, &written.index).unwrap();
    LayerFiles { diff_id: written.diff_id, tar, index }
}

/// What only an escape can see: a directory of the host with a program in it.
struct Outside {
    dir: PathBuf,
}

impl Outside {
    fn of(bench: &Bench) -> Self {
        let dir = bench.dir.join("outside");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&bench.dir, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.join("secret"), "ESCAPED\n").unwrap();
        fs::write(dir.join("program"), "#!/bin/sh\necho ESCAPED\n").unwrap();
        fs::set_permissions(dir.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    /// From anywhere on the host's tree: far enough up, and down again.
    fn by_climbing(&self, name: &str) -> String {
        format!("../../../../../../../../../../../..{}/{name}", self.dir.display())
    }

    #[track_caller]
    fn is_untouched(&self, row: &str) {
        let mut names: Vec<_> =
            fs::read_dir(&self.dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["program", "secret"], "{row}");
        assert_eq!(fs::read_to_string(self.dir.join("secret")).unwrap(), "ESCAPED\n", "{row}");
    }
}

#[track_caller]
fn is_inside(row: &str, ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains("ESCAPED"), "{row}: {}{}", ran.stdout, ran.stderr);
    }
}

fn volume(source: impl Into<PathBuf>, target: &str) -> Mount {
    Mount::bind(source, target, Access::ReadWrite)
}

/// runc kept a directory of the host open while it entered the container; WORKDIR or the program's own name led there.
fn cve_2024_21626_no_directory_leaks() {
    let bench = Bench::new();
    let outside = Outside::of(&bench);
    let (secret, program) = (outside.by_climbing("secret"), outside.by_climbing("program"));
    let look = format!("cat {secret}; cd ..; cat {secret}; true");
    let ways = (3..20).map(|number| format!("/proc/self/fd/{number}"));
    let ways = ways.chain(
        ["/proc/self/cwd", "/proc/self/root", "/proc/1/root", "/proc/thread-self/fd/4"].map(str::to_owned),
    );
    for way in ways {
        for cwd in [way.clone(), format!("{way}/../..")] {
            let mut job = bench.job(&look);
            job.process.cwd.clone_from(&cwd);
            let ran = bench.run(&job);
            is_inside(&cwd, &ran);
        }
        let mut job = bench.job("");
        job.process.args = vec![format!("{way}/{program}")];
        let ran = bench.run(&job);
        is_inside(&way, &ran);
        assert_eq!(ran.exit(), Exit::Code(127), "{way}: {}", ran.stderr);
    }
    assert_eq!(bench.output("ls /proc/1/fd; true", |_| {}), "0\n1\n2\n");
    outside.is_untouched("descriptors");
}

/// The program that enters the container is named by `/proc/self/exe`: the container runs it, keeps its file open, and
/// writes to it when nobody runs it any more.
fn cve_2019_5736_the_program_cannot_be_overwritten() {
    let bench = Bench::new();
    // the loader and the libraries, as a hostile image would bring them along
    let listed = Command::new("ldd").arg(std::env::current_exe().unwrap()).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let libraries: Vec<PathBuf> =
        listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect();
    let image = written(&bench, "libraries", |writer| {
        for library in libraries {
            let bytes = fs::read(&library).unwrap();
            let meta = Metadata { mode: 0o755, ..Metadata::default() };
            let path = library.strip_prefix("/").unwrap().to_str().unwrap().as_bytes().to_vec();
            let content = Content::File { size: bytes.len() as u64, data: &mut bytes.as_slice() };
            writer.append(&path, &meta, content).unwrap();
        }
    });
    let before = fs::metadata(std::env::current_exe().unwrap()).unwrap().len();
    let mut job = bench.job("");
    job.stack.push(image);
    job.process.args = ["/proc/self/exe", REOPENED].map(str::to_owned).into();
    let ran = bench.run(&job);
    assert_eq!(ran.exit(), Exit::Code(0), "{}{}", ran.stdout, ran.stderr);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert!(lines[0].ends_with("rbuild"), "the program was reached: {lines:?}");
    // EROFS, not ETXTBSY: the latter only holds while somebody runs it
    let refused = lines[1..].iter().filter(|line| line.contains("Read-only file system")).count();
    assert_eq!(refused, 1, "{lines:?}");
    assert_eq!(fs::metadata(std::env::current_exe().unwrap()).unwrap().len(), before);
}

/// Symlinks of the image where the kernel's file systems are mounted. The masks of `/proc` were laid by a path that led
/// elsewhere once `/sys` was mounted, and `/realproc` stayed bare.
fn cve_2019_19921_links_in_the_place_of_kernel_mounts() {
    use Entry::{Dir, Fifo, File, Link};
    let rows: &[(&str, Layout, &str)] = &[
        (
            "masks led astray",
            &[("proc", Link("sys/link")), ("sys/link", Link("/realproc")), ("realproc", Dir)],
            "/proc",
        ),
        ("proc above the root", &[("proc", Link("../../../../../tmp"))], "/proc"),
        ("proc in a process", &[("proc", Link("/proc/self/root"))], "/proc"),
        ("proc is the root", &[("proc", Link("/"))], "/proc"),
        ("sys elsewhere", &[("sys", Link("/realsys")), ("realsys", Dir)], "/sys"),
        ("sys over proc", &[("sys", Link("proc"))], "/sys"),
        ("dev elsewhere", &[("dev", Link("/realdev")), ("realdev", Dir)], "/dev"),
        ("dev in proc", &[("dev", Link("/proc/self/fd"))], "/dev"),
        ("proc is a file", &[("proc", File("deny"))], "/proc"),
        ("dev is a fifo", &[("dev", Fifo)], "/dev"),
    ];
    let bench = Bench::new();
    let look = "for f in sysrq-trigger sys/kernel/core_pattern sys/kernel/domainname; do \
                (: >> /realproc/$f) 2>/dev/null && echo BARE; done; true";
    for (row, layout, place) in rows {
        let mut job = bench.job(look);
        job.stack.push(layer(&bench, &row.replace(' ', "-"), layout));
        let ran = bench.run(&job);
        assert!(!ran.stdout.contains("BARE"), "{row}: procfs without its masks");
        let refusal = ran.refusal();
        assert!(refusal.contains(place), "{row}: {refusal}");
    }
}

/// runc took the container's `/dev/null` for its masks, and `/dev/pts/N` for a console, while the image could replace
/// them. Here both come from the host, and are looked at before they are used.
fn cve_2025_31133_masks_hide_and_devices_are_devices() {
    use Entry::{Char, Dir, File, Link};
    let layouts: &[(&str, Layout)] = &[
        ("plain", &[("dev", Dir)]),
        (
            "null-is-a-link",
            &[("dev/null", Link("/etc/passwd")), ("dev/console", Link("/proc/sysrq-trigger"))],
        ),
        ("null-is-a-file", &[("dev/null", File("x")), ("dev/pts/0", Link("/proc/sysrq-trigger"))]),
        ("null-is-zero", &[("dev/null", Char(1, 5)), ("dev/ptmx", Link("/proc/kcore"))]),
    ];
    let bench = Bench::new();
    let script = "for d in null zero full random urandom tty; do stat -c '%n %t:%T' /dev/$d; done; \
                  for f in kcore keys timer_list sysrq-trigger; do test -e /proc/$f && stat -c '%n %t:%T %a' /proc/$f; \
                  head -c 1 /proc/$f 2>/dev/null | wc -c; done; ls /dev/console 2>/dev/null; ls /dev/pts; true";
    for (row, layout) in layouts {
        let said = bench.output(script, |job| job.stack.push(layer(&bench, row, layout)));
        let devices: Vec<_> = said.lines().take(6).collect();
        let want = ["null 1:3", "zero 1:5", "full 1:7", "random 1:8", "urandom 1:9", "tty 5:0"];
        assert_eq!(devices, want.map(|device| format!("/dev/{device}")), "{row}");
        for masked in ["kcore", "keys", "timer_list"] {
            let there = Path::new("/proc").join(masked).exists();
            let null = said.contains(&format!("/proc/{masked} 1:3 "));
            assert_eq!(null, there, "{row}: {masked} is hidden by the null device\n{said}");
        }
        assert!(said.ends_with("ptmx\n") && !said.contains("console"), "{row}\n{said}");
    }
}

/// runc wrote sysctls and labels through a path that a racing mount had turned elsewhere in procfs. A step is given
/// nothing by a write to procfs; and nothing the user mounts is led over a file of it by the image's links.
fn cve_2025_52881_no_mount_is_led_into_proc() {
    use Entry::Link;
    const HIDES: &str = "file system of the kernel";
    let rows: &[(&str, Layout, Option<&str>, &str)] = &[
        ("a volume to a sysctl", &[("data", Link("/proc/sys/kernel"))], Some("/data"), HIDES),
        ("a volume to an attribute", &[("data", Link("/proc/self/attr"))], Some("/data"), HIDES),
        ("a volume over all processes", &[("data", Link("/proc"))], Some("/data"), HIDES),
        ("a volume over the devices of sysfs", &[("data", Link("/sys/dev"))], Some("/data"), HIDES),
        ("hosts to setgroups", &[("etc/hosts", Link("/proc/self/setgroups"))], None, HIDES),
        ("hostname to a sysctl", &[("etc/hostname", Link("../proc/sys/kernel/core_pattern"))], None, HIDES),
        ("hosts to the null device", &[("etc/hosts", Link("/dev/null"))], None, HIDES),
        ("etc to proc", &[("etc", Link("/proc/self"))], None, "resolve \"/etc/hosts\" in the root"),
    ];
    let bench = Bench::new();
    let outside = Outside::of(&bench);
    for (row, layout, data, why) in rows {
        let mut job =
            bench.job("grep -E ' /(proc|sys)/' /proc/self/mountinfo; cat /dev/null; cat /data/secret; true");
        job.stack.push(layer(&bench, &row.replace(' ', "-"), layout));
        job.confinement.mounts.extend(data.map(|data| volume(&outside.dir, data)));
        let ran = bench.run(&job);
        let refusal = ran.refusal();
        assert!(refusal.contains(why), "{row}: {refusal}");
        outside.is_untouched(row);
    }
}

/// Rootless runc showed `/sys/fs/cgroup` writable.
fn cve_2023_25809_kernel_mounts_are_read_only() {
    let bench = Bench::new();
    for network in [Network::Host, Network::None] {
        let script = "cat /proc/self/mountinfo; mkdir /sys/fs/cgroup/x 2>&1; touch /sys/kernel/x 2>&1; true";
        let said = bench.output(script, |job| job.confinement.network = network.clone());
        let rows = said.lines().filter(|line| line.contains(" - "));
        for row in rows {
            let (mount, kind) = row.split_once(" - ").unwrap();
            let fields: Vec<_> = mount.split(' ').collect();
            let (target, options) = (fields[4], fields[5]);
            let is_kernel =
                ["sysfs", "cgroup", "cgroup2"].iter().any(|name| kind.starts_with(&format!("{name} ")));
            if is_kernel || target == "/proc/sys" || target == "/proc/sysrq-trigger" {
                assert!(options.starts_with("ro,"), "{network:?}: {row}");
            }
            if is_kernel || kind.starts_with("proc ") {
                for option in ["nosuid", "nodev", "noexec"] {
                    assert!(options.contains(option), "{network:?}: {option}: {row}");
                }
            }
        }
        assert_eq!(said.matches("Read-only file system").count(), 2, "{network:?}: {said}");
    }
}

/// buildah started commands with capabilities in the inheritable set, which a file's inheritable bits make permitted.
fn cve_2022_27651_nothing_is_inheritable() {
    let bench = Bench::new();
    for uid in [0, 1000] {
        let said = bench.output("grep -E '^Cap(Inh|Amb):' /proc/self/status", |job| job.process.uid = uid);
        assert_eq!(said, "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n", "uid {uid}");
    }
}

/// BuildKit removed the stubs of mounts by a path that the step had led outside.
fn cve_2024_23652_stubs_are_not_removed_by_path() {
    let bench = Bench::new();
    let shared = bench.dir.join("shared");
    fs::create_dir_all(shared.join("deep")).unwrap();
    for name in ["deep/file", "deep/empty"] {
        fs::write(shared.join(name), "").unwrap();
    }
    let file = bench.dir.join("file");
    fs::write(&file, "").unwrap();
    for swap in [
        "mv /made /moved && ln -s /v /made",
        "mv /made /moved && ln -s ../../../../../v /made",
        "mv /made/deep /made/away && ln -s /v/deep /made/deep",
        "mv /etc /moved && ln -s /v/deep /etc",
    ] {
        let said = bench.output(&format!("{swap}; ls -d /made/deep; true"), |job| {
            job.confinement.mounts = vec![
                volume(&shared, "/v"),
                volume(&file, "/made/deep/file"),
                volume(&file, "/made/deep/empty"),
            ];
        });
        assert!(said.contains("/made/deep"), "{swap}: {said}");
        for name in ["deep/file", "deep/empty"] {
            assert!(shared.join(name).exists(), "{swap}: {name} was removed from the host");
        }
    }
}

/// runc made the missing part of a mount's target on the host, through a link that climbed.
fn cve_2024_45310_nothing_is_made_outside() {
    let bench = Bench::new();
    let outside = Outside::of(&bench);
    let up = outside.by_climbing("made");
    let written = written(&bench, "climbing", |writer| {
        let mut link = |path: &str, text: &str| {
            writer
                .append(
                    path.as_bytes(),
                    &Metadata { mode: 0o777, ..Metadata::default() },
                    Content::Symlink(text.as_bytes()),
                )
                .unwrap();
        };
        link("up", &up);
        link("absolute", &format!("{}/made", outside.dir.display()));
        link("a/twice", "/up/further");
        link("links/dots", "../../../../../../../../up");
    });
    for target in
        ["/up", "/up/deep", "/absolute", "/absolute/deep", "/a/twice", "/links/dots/x", "/a/../../../up/y"]
    {
        for (row, cwd, mounts) in [
            ("volume", "/", vec![volume(outside.dir.join("secret"), target)]),
            ("directory", "/", vec![volume(bench.dir.join("outside"), target)]),
            ("cwd", target, vec![]),
        ] {
            let mut job = bench.job("pwd; true");
            job.stack.push(written.clone());
            cwd.clone_into(&mut job.process.cwd);
            job.confinement.mounts = mounts;
            let ran = bench.run(&job);
            assert_eq!(ran.exit(), Exit::Code(0), "{row} {target}: {}", ran.stderr);
            outside.is_untouched(&format!("{row} {target}"));
        }
    }
}

/// Runs `swap` over and over in one step while `attempt` is made in others.
fn race(bench: &Bench, shared: &Path, swap: &str, attempt: impl Fn(u32)) {
    let done = AtomicBool::new(false);
    let ready = shared.join("ready");
    std::thread::scope(|scope| {
        let racer = scope.spawn(|| {
            let mut job = bench.job(&format!("cd /v; touch ready; while ! test -e done; do {swap}; done"));
            job.confinement.mounts = vec![volume(shared, "/v")];
            let ran = bench.run(&job);
            done.store(true, Ordering::SeqCst);
            ran.exit()
        });
        while !ready.exists() && !done.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        for number in 0..24 {
            attempt(number);
        }
        fs::write(shared.join("done"), "").unwrap();
        assert_eq!(racer.join().unwrap(), Exit::Code(0));
    });
}

/// A second container of the same volume swaps the target of a mount for a link while it is being mounted.
fn cve_2021_30465_targets_that_are_swapped() {
    let bench = Bench::new();
    let outside = Outside::of(&bench);
    let shared = bench.dir.join("shared");
    fs::create_dir_all(shared.join("x")).unwrap();
    symlink(outside.by_climbing(""), shared.join("link")).unwrap();
    let what = bench.dir.join("what");
    fs::write(&what, "mounted\n").unwrap();
    let swap = "mv x y; mv link x; mv x link; mv y x";
    let landed = std::cell::Cell::new(0);
    race(&bench, &shared, swap, |number| {
        let target = format!("/v/x/made-{number}");
        let mut job = bench.job(&format!("cat {}; cat {target}; true", outside.by_climbing("secret")));
        job.confinement.mounts = vec![volume(&shared, "/v"), volume(&what, &target)];
        let ran = bench.run(&job);
        is_inside(&target, &ran);
        landed.set(landed.get() + u32::from(ran.stdout.contains("mounted")));
        outside.is_untouched(&target);
    });
    assert!(landed.get() > 0, "some of them must be mounted, or nothing was tried");
}

/// The same with the source: the host's own path is swapped for a link by a step that has its parent as a volume.
fn cve_2024_23651_sources_that_are_swapped() {
    let bench = Bench::new();
    let outside = Outside::of(&bench);
    let shared = bench.dir.join("shared");
    fs::create_dir_all(shared.join("x/sub")).unwrap();
    fs::write(shared.join("x/secret"), "mine\n").unwrap();
    fs::write(shared.join("x/sub/secret"), "mine\n").unwrap();
    symlink(&outside.dir, shared.join("link")).unwrap();
    symlink(outside.dir.join("secret"), shared.join("file")).unwrap();
    // nothing races here: the swap has happened
    for source in ["link", "file", "link/secret", "x/../link"] {
        let mut job = bench.job("cat /m /m/secret; true");
        job.confinement.mounts = vec![volume(shared.join(source), "/m")];
        let ran = bench.run(&job);
        is_inside(source, &ran);
        assert!(ran.refusal().contains("symbolic link"), "{source}: {}", ran.refusal());
    }
    let seen = std::cell::Cell::new(0);
    race(&bench, &shared, "mv x y; mv link x; mv x link; mv y x", |number| {
        let source = shared.join(["x", "x/secret", "x/sub"][number as usize % 3]);
        let mut job = bench.job("cat /m /m/secret; true");
        job.confinement.mounts = vec![volume(&source, "/m")];
        let ran = bench.run(&job);
        is_inside(&source.display().to_string(), &ran);
        seen.set(seen.get() + u32::from(ran.stdout.contains("mine")));
    });
    assert!(seen.get() > 0, "some of them must be mounted, or nothing was tried");
    outside.is_untouched("sources");
}

/// containerd's shims listened on abstract sockets, which the network namespace holds. Only a network of its own keeps a
/// step from them.
fn cve_2020_15257_abstract_sockets_of_the_host() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};
    let bench = Bench::new();
    let name = format!("rbuild-test-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    for (network, seen) in [(Network::None, "0\n"), (Network::Host, "1\n")] {
        let said = bench.output(&format!("grep -c @{name} /proc/net/unix; true"), |job| {
            job.confinement.network = network.clone();
        });
        assert_eq!(said, seen, "{network:?}");
    }
}

/// Capabilities of a new user namespace reached kernel interfaces that the container was denied.
fn cve_2022_0492_no_namespace_is_made() {
    let bench = Bench::new();
    for flags in ["-U", "-Ur", "-m", "-n", "-p", "-C"] {
        let said = bench.output(&format!("unshare {flags} true 2>/dev/null || echo refused"), |_| {});
        assert_eq!(said, "refused\n", "{flags}");
    }
}

/// A node of the image for the host's memory or disk. As root of the machine only the mount's own flag stands before it.
fn escapes_by_device_nodes() {
    let bench = Bench::new();
    let layout: Layout = &[("a/zero", Entry::Char(1, 5)), ("a/kmsg", Entry::Char(1, 11))];
    let said = bench.output(
        "stat -c '%F %t:%T' /a/zero; head -c 1 /a/zero 2>&1; head -c 1 /a/kmsg 2>&1; mknod /a/new c 1 5 2>&1; true",
        |job| job.stack.push(layer(&bench, "nodes", layout)),
    );
    let lines: Vec<_> = said.lines().collect();
    match lines[0] {
        "character special file 1:5" => assert_eq!(said.matches("Permission denied").count(), 2, "{said}"),
        // a plain copy in a user namespace has no device in it: nothing can be read at all
        other => assert_eq!((other, lines.len()), ("regular empty file 0:0", 2), "{said}"),
    }
}
