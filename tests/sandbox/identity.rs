//! Recorded identity: with one mapped id a program sees, and its layer holds, what all ids would give.

use std::fs::{File, Permissions};
use std::io::Seek;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rbuild::layer::{EntryKind, Limits, TarReader};
use rbuild::runtime::{Access, Device, Exit, Job, Mount, RootfsChoice, Seccomp};
use rbuild_userns::idmap::{Choice, Mode};

use crate::bench::{Bench, in_words};

pub const TESTS: &[(&str, fn())] = &[
    ("a_program_sees_what_it_set", a_program_sees_what_it_set),
    ("a_layer_holds_what_was_set", a_layer_holds_what_was_set),
    ("a_command_may_begin_as_anybody", a_command_may_begin_as_anybody),
    ("users_change_by_programs", users_change_by_programs),
    ("no_way_leads_out_of_the_step", no_way_leads_out_of_the_step),
    ("files_are_those_of_the_callers_mounts", files_are_those_of_the_callers_mounts),
    ("a_step_may_serve_a_file_system_itself", a_step_may_serve_a_file_system_itself),
    ("files_are_open_to_everybody", files_are_open_to_everybody),
    ("what_is_not_answered_is_the_kernel_s", what_is_not_answered_is_the_kernel_s),
    ("the_kernel_driver_says_what_to_take", the_kernel_driver_says_what_to_take),
];

/// What the Python of the host needs, shown in the step.
const PYTHON: [&str; 3] = ["/usr", "/lib", "/lib64"];

fn one_id(dir: &Path) -> Bench {
    Bench::with(dir, Choice::Force(Mode::Single)).unwrap_or_else(|error| panic!("{}", in_words(&error)))
}

/// The drivers that can record.
pub const RECORDING: [RootfsChoice; 2] = [RootfsChoice::Fuse, RootfsChoice::Plain];

fn on(rootfs: RootfsChoice, bench: &Bench, script: &str) -> Job {
    Job { rootfs, ..bench.job(script) }
}

/// Every line of the program's table, as one way of mapping shows it.
fn seen(bench: &Bench, rootfs: RootfsChoice, seccomp: Seccomp) -> Vec<String> {
    told(bench, rootfs, seccomp, include_str!("identity.py"))
}

/// Every line that a program in Python says.
fn told(bench: &Bench, rootfs: RootfsChoice, seccomp: Seccomp, text: &str) -> Vec<String> {
    let program = bench.dir.join("identity.py");
    std::fs::write(&program, text).unwrap();
    let mut job = python(bench, &program);
    job.rootfs = rootfs;
    job.confinement.security.seccomp = seccomp;
    let ran = bench.run(&job);
    assert_eq!(ran.exit(), Exit::Code(0), "{}{}", ran.stdout, ran.stderr);
    ran.stdout.lines().map(str::to_owned).collect()
}

pub fn has_python() -> bool {
    Path::new("/usr/bin/python3").exists()
}

/// A job that runs a program in Python.
pub fn python(bench: &Bench, program: &Path) -> Job {
    let mut job = on(RootfsChoice::Fuse, bench, "");
    job.process.args = ["/usr/bin/python3", "/identity.py"].map(str::to_owned).into();
    let shown = |source: &Path, target: &str| Mount::bind(source, target, Access::ReadOnly);
    job.confinement.mounts =
        PYTHON.iter().map(|path| shown(&Path::new(path).canonicalize().unwrap(), path)).collect();
    job.confinement.mounts.push(shown(program, "/identity.py"));
    job
}

fn a_program_sees_what_it_set() {
    if !has_python() {
        println!("skipped: needs python3");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let all_ids = Bench::at(scratch.path());
    if all_ids.sandbox.idmap() == Mode::Single {
        println!("skipped: needs a range of ids to compare with");
        return;
    }
    let want = seen(&all_ids, RootfsChoice::Fuse, Seccomp::Default);
    assert!(want.len() > 20, "{want:#?}");
    for line in &want {
        assert!(!line.contains("Error("), "the table itself is broken: {line}");
        assert!(!line.trim_end().ends_with(':'), "a row that tells nothing: {line}");
    }
    let scratch = tempfile::tempdir().unwrap();
    let bench = one_id(scratch.path());
    for (rootfs, seccomp) in [
        (RootfsChoice::Fuse, Seccomp::Default),
        (RootfsChoice::Fuse, Seccomp::Unconfined),
        (RootfsChoice::Plain, Seccomp::Default),
    ] {
        let got = seen(&bench, rootfs, seccomp.clone());
        assert_eq!(got.len(), want.len(), "{got:#?}");
        let differ: Vec<_> = got.iter().zip(&want).filter(|(got, want)| got != want).collect();
        assert!(differ.is_empty(), "{rootfs:?}, {seccomp:?}, one id and all of them: {differ:#?}");
    }
}

/// Tries to give away, and then to look at, a file beside the step.
const WAYS_OUT: &str = r#"
import os
for way in ["/proc/self/../1/root", "/proc/self/task/../../1/root", "/dev/fd/../../1/root"]:
    for call in [lambda path: os.chown(path, 33, 33), os.stat]:
        try:
            print(way, call(way + "OUTSIDE"))
        except OSError:
            pass
"#;

fn no_way_leads_out_of_the_step() {
    if !has_python() {
        println!("skipped: needs python3");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let bench = one_id(scratch.path());
    let outside = scratch.path().join("outside");
    std::fs::write(&outside, "").unwrap();
    std::fs::set_permissions(&outside, Permissions::from_mode(0o4755)).unwrap();
    let program = WAYS_OUT.replace("OUTSIDE", outside.to_str().unwrap());
    for rootfs in RECORDING {
        let said = told(&bench, rootfs, Seccomp::Default, &program);
        assert!(said.is_empty(), "{rootfs:?}: {said:#?}");
        assert_eq!(outside.metadata().unwrap().permissions().mode() & 0o7777, 0o4755, "{rootfs:?}");
    }
}

/// Type, mode, owner, device and path of every entry.
fn entries(tar: File) -> Vec<String> {
    let mut entries = TarReader::new(tar, Limits::default());
    let mut lines = Vec::new();
    while let Some(entry) = entries.next_entry().unwrap() {
        let kind = match &entry.kind {
            EntryKind::File { .. } => "f".to_owned(),
            EntryKind::Directory => "d".to_owned(),
            EntryKind::Char { major, minor } => format!("c{major},{minor}"),
            EntryKind::Block { major, minor } => format!("b{major},{minor}"),
            other => format!("{other:?}"),
        };
        let (meta, path) = (&entry.meta, String::from_utf8_lossy(&entry.path).into_owned());
        lines.push(format!("{kind} {:o} {}:{} {path}", meta.mode, meta.uid, meta.gid));
    }
    // the root and /etc are touched by the stubs for mounts: whether they are written is no matter here
    lines.retain(|line| !line.ends_with(' ') && !line.ends_with(" etc"));
    lines.sort();
    lines
}

fn a_layer_holds_what_was_set() {
    let scratch = tempfile::tempdir().unwrap();
    let bench = one_id(scratch.path());
    let rows: [(&str, &[&str]); 6] = [
        ("touch /a/f; chown 33:44 /a/f; chown 5 /a", &["d 755 5:0 a", "f 644 33:44 a/f"]),
        // what lies below is changed in its owner alone
        ("chown 7:8 /etc/passwd", &["f 644 7:8 etc/passwd"]),
        ("chown 7:8 /etc/passwd; chown 0:0 /etc/passwd", &[]),
        (
            "umask 027; mknod /a/c c 1 3; mknod -m 666 /a/b b 8 17; mv /a/c /a/d; chown 0:6 /a/b; ls -l /a/c 2>/dev/null; mknod /a/d c 1 3 2>/dev/null || true",
            &["b8,17 666 0:6 a/b", "c1,3 640 0:0 a/d", "d 755 0:0 a"],
        ),
        ("touch /a/f; chown 3:4 /a/f; chmod 4755 /a/f", &["d 755 0:0 a", "f 4755 3:4 a/f"]),
        (
            "echo u:x:1000:1001::/:/bin/sh >> /etc/passwd; mkdir /a/h; chown 1000 /a/h; busybox su u -c 'touch /a/h/f; mkdir /a/h/d'",
            &[
                "d 755 0:0 a",
                "d 755 1000:0 a/h",
                "d 755 1000:1001 a/h/d",
                "f 644 0:0 etc/passwd",
                "f 644 1000:1001 a/h/f",
            ],
        ),
    ];
    for (rootfs, (script, want)) in RECORDING.into_iter().flat_map(|rootfs| rows.map(|row| (rootfs, row))) {
        let job = on(rootfs, &bench, script);
        let mut tar = tempfile::tempfile().unwrap();
        let mut said = Vec::new();
        let told = std::sync::Mutex::new(&mut said);
        let outcome = bench
            .sandbox
            .run(&job, tar.try_clone().unwrap(), &|_, bytes| told.lock().unwrap().extend_from_slice(bytes))
            .unwrap();
        assert_eq!(outcome.exit, Exit::Code(0), "{rootfs:?}: {script}: {}", String::from_utf8_lossy(&said));
        tar.rewind().unwrap();
        assert_eq!(entries(tar), *want, "{rootfs:?}: {script}");
    }
}

fn a_command_may_begin_as_anybody() {
    let scratch = tempfile::tempdir().unwrap();
    let bench = one_id(scratch.path());
    for rootfs in RECORDING {
        let mut job = on(
            rootfs,
            &bench,
            "id -u; id -g; id -G; touch /tmp/x; busybox stat -c %u:%g /tmp/x /srv /srv/w; chown 0 /tmp/x || echo no; echo y > /dev/stdout",
        );
        (job.process.uid, job.process.gid, job.process.groups) = (1000, 1001, Some(vec![1003, 1002]));
        "/srv/w".clone_into(&mut job.process.cwd);
        let ran = bench.run(&job);
        assert_eq!(ran.exit(), Exit::Code(0), "{rootfs:?}: {}", ran.stderr);
        // a working directory that was missing is made by root
        assert_eq!(ran.stdout, "1000\n1001\n1001 1002 1003\n1000:1001\n0:0\n0:0\nno\ny\n", "{rootfs:?}");
        // beyond any range
        job.process.uid = 4_000_000_000;
        "id -u; exit 3".clone_into(&mut job.process.args[2]);
        let ran = bench.run(&job);
        assert_eq!((ran.exit(), &*ran.stdout), (Exit::Code(3), "4000000000\n"), "{rootfs:?}");
    }
}

fn users_change_by_programs() {
    let scratch = tempfile::tempdir().unwrap();
    let bench = one_id(scratch.path());
    let accounts = "echo 'nobody:x:65534:65533::/:/bin/sh' >> /etc/passwd; echo 'nogroup:x:65533:nobody' > /etc/group; export PATH=/bin; ";
    let rows = [
        ("busybox su nobody -c 'id -u; id -g; id -G'; id -u", "65534\n65533\n65533\n0\n"),
        (
            "busybox su nobody -c 'busybox start-stop-daemon -S -c root -x /bin/id -- -u' 2>/dev/null || echo no",
            "no\n",
        ),
        ("busybox start-stop-daemon -S -c nobody -x /bin/id -- -u", "65534\n"),
        (
            "busybox su nobody -c '(id -u > /tmp/late; sleep 0) & wait'; cat /tmp/late; busybox stat -c %u /tmp/late",
            "65534\n65534\n",
        ),
        (
            "mkdir /tmp/t; touch /tmp/t/f; chown -R 8:9 /tmp/t; busybox tar cf /tmp/t.tar -C /tmp t; rm -r /tmp/t; busybox tar xpf /tmp/t.tar -C /tmp; busybox stat -c %u:%g /tmp/t /tmp/t/f",
            "8:9\n8:9\n",
        ),
    ];
    for (rootfs, (script, want)) in RECORDING.into_iter().flat_map(|rootfs| rows.map(|row| (rootfs, row))) {
        let ran = bench.run(&on(rootfs, &bench, &format!("{accounts}{script}")));
        assert_eq!((ran.exit(), &*ran.stdout), (Exit::Code(0), want), "{rootfs:?}: {script}\n{}", ran.stderr);
    }
}

fn files_are_those_of_the_callers_mounts() {
    let scratch = tempfile::tempdir().unwrap();
    let bench = one_id(scratch.path());
    // each sees 5:6 of its own file, and what follows the one of the root, which nobody gave away
    let look = "busybox stat -c %u:%g ";
    let rows = [
        "unshare -m sh -c 'mount -t tmpfs t /a; touch /a/f; chown 5:6 /a/f; LOOK /a/f; cd /a; LOOK f'",
        "unshare -m sh -c 'mount -t tmpfs t /a; mkdir /a/bin /a/old /a/proc; cp /bin/busybox /a/bin; busybox pivot_root /a /a/old; \
            exec /bin/busybox sh -c \"busybox touch /f; busybox chown 5:6 /f; LOOK /f; LOOK ../f\"'",
        "unshare -m sh -c 'mount -t tmpfs t /a; touch /a/f; sleep 1000' & sleep 0; p=$!; \
            until ! busybox nsenter -m -t $p test -e /a/g && busybox nsenter -m -t $p test -e /a/f; do :; done; \
            busybox nsenter -m -t $p sh -c 'chown 5:6 /a/f; LOOK /a/f; LOOK /a/f'; kill $p",
    ];
    for (rootfs, seccomp) in RECORDING.into_iter().zip([Seccomp::Default, Seccomp::Unconfined]) {
        for row in rows {
            let script = format!("touch /a/f /a/g /f; {row}; LOOK /a/f; LOOK /f").replace("LOOK ", look);
            let mut job = on(rootfs, &bench, &script);
            job.confinement.security.capabilities.push("CAP_SYS_ADMIN".to_owned());
            job.confinement.security.seccomp = seccomp.clone();
            let ran = bench.run(&job);
            let want = "5:6\n5:6\n0:0\n0:0\n";
            assert_eq!((ran.exit(), &*ran.stdout), (Exit::Code(0), want), "{script}\n{}", ran.stderr);
        }
    }
}

/// A file system of one file, whose server asks for itself and for a file before each answer, while others look there.
const SERVED: &str = r#"
import ctypes, os, signal, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
os.mkdir("/tmp/served")
fuse = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
if libc.mount(b"served", b"/tmp/served", b"fuse", 0, options) != 0:
    sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
server = os.fork()
if server == 0:
    while True:
        request = os.read(fuse, 1 << 20)
        _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
        asked = os.getresuid(), os.stat("/etc/passwd").st_uid, os.stat("/bin").st_uid
        attributes = lambda number, mode: struct.pack("<6Q10I", number, 0, 0, 1, 1, 1, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
        answers = {
            26: lambda: struct.pack("<4I2HII2H8I", 7, 31, 0, 0, 0, 0, 4096, 0, 0, 0, *[0] * 8),
            1: lambda: struct.pack("<QQQQII", 2, 0, 0, 0, 0, 0) + attributes(2, 0o100644),
            3: lambda: struct.pack("<QII", 0, 0, 0) + (attributes(1, 0o40755) if node == 1 else attributes(2, 0o100644)),
        }
        if opcode in (2, 36, 42):
            continue
        body = answers[opcode]() if opcode in answers else b""
        os.write(fuse, struct.pack("<IiQ", 16 + len(body), 0 if opcode in answers else -38, unique) + body)
os.close(fuse)
users = []
for user in range(1, 7):
    if (pid := os.fork()) == 0:
        os.setuid(user)
        seen = {os.stat("/tmp/served/f").st_uid for _ in range(20)}
        assert seen == {0} and os.getuid() == user, (seen, os.getuid())
        os._exit(0)
    users.append(pid)
codes = [os.waitpid(pid, 0)[1] for pid in users]
os.chown("/tmp/served/f", 5, 6)
print(codes, os.stat("/tmp/served/f").st_uid, os.getuid())
os.kill(server, signal.SIGKILL)
"#;

fn a_step_may_serve_a_file_system_itself() {
    if !has_python() {
        println!("skipped: needs python3");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let bench = one_id(scratch.path());
    let program = bench.dir.join("served.py");
    std::fs::write(&program, SERVED).unwrap();
    let mut job = python(&bench, &program);
    job.confinement.security.capabilities.push("CAP_SYS_ADMIN".to_owned());
    job.confinement.devices.push(Device { source: "/dev/fuse".into(), target: "/dev/fuse".to_owned() });
    let ran = bench.run(&job);
    let want = "[0, 0, 0, 0, 0, 0] 5 0\n";
    assert_eq!((ran.exit(), &*ran.stdout), (Exit::Code(0), want), "{}", ran.stderr);
}

/// Reads, changes and moves what another user keeps to itself.
const TRESPASS: &str = r#"
import os
os.makedirs("/a/d", 0o700)
with open("/a/d/f", "w") as file:
    file.write("kept")
os.chmod("/a/d/f", 0o600)
os.setresuid(65534, 65534, 65534)
print(os.getuid(), os.access("/a/d/f", os.R_OK | os.W_OK), open("/a/d/f").read())
with open("/a/d/f", "a") as file:
    file.write(" and more")
os.rename("/a/d/f", "/a/d/g")
print(os.stat("/a/d/g").st_uid, oct(os.stat("/a/d/g").st_mode), open("/a/d/g").read())
"#;

/// What is promised of rights, and what is not: nobody is refused what all ids would grant, nor what they would refuse.
fn files_are_open_to_everybody() {
    if !has_python() {
        println!("skipped: needs python3");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let bench = one_id(scratch.path());
    for rootfs in RECORDING {
        let said = told(&bench, rootfs, Seccomp::Default, TRESPASS);
        assert_eq!(said, ["65534 True kept", "0 0o100600 kept and more"], "{rootfs:?}");
    }
}

/// What a procfs has in a process's directory, and who sent a message.
const UNANSWERED: &str = r#"
import errno, os, socket, struct
os.setresgid(34, 34, 34), os.setresuid(33, 33, 33)
ids = [line.split() for line in open("/proc/self/status") if line.startswith(("Uid:", "Gid:"))]
print(os.stat(f"/proc/{os.getpid()}").st_uid, ids)
one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
other.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
def sent(uid, gid):
    data = struct.pack("3i", os.getpid(), uid, gid)
    try:
        one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, data)])
    except OSError as error:
        return errno.errorcode[error.errno]
    return struct.unpack("3i", other.recvmsg(1, 64)[1][0][2])[1:]
one.send(b"x")
print(struct.unpack("3i", other.recvmsg(1, 64)[1][0][2])[1:], sent(0, 0), sent(33, 34))
"#;

/// As `src/sandbox/identity/mod.rs` says: in these places everybody is root.
fn what_is_not_answered_is_the_kernel_s() {
    if !has_python() {
        println!("skipped: needs python3");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let bench = one_id(scratch.path());
    for rootfs in RECORDING {
        let said = told(&bench, rootfs, Seccomp::Default, UNANSWERED);
        let ids = "33 [['Uid:', '0', '0', '0', '0'], ['Gid:', '0', '0', '0', '0']]";
        assert_eq!(said, [ids, "(0, 0) (0, 0) EINVAL"], "{rootfs:?}");
    }
}

fn the_kernel_driver_says_what_to_take() {
    let scratch = tempfile::tempdir().unwrap();
    let bench = one_id(scratch.path());
    let job = Job { rootfs: RootfsChoice::Kernel, ..bench.job("true") };
    let refusal = bench.run(&job).refusal();
    assert!(refusal.contains("one id is mapped") && refusal.contains("--rootfs fuse"), "{refusal}");
}
