//! What the kernel shows a step: `/proc`, `/sys` and `/dev`, with the parts hidden or read-only that containers do not
//! see or change.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rbuild_userns::mount::{Attributes, Depth, Setting, Tree};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::root::StepRoot;
use super::target;
use super::{Error, SCRATCH};
use crate::runtime::{Confinement, Limits, Masks, Namespace};

/// No setuid programs and no device nodes.
const PLAIN: Attributes = Attributes::MOUNT_ATTR_NOSUID.union(Attributes::MOUNT_ATTR_NODEV);
/// And nothing that can be executed.
const INERT: Attributes = PLAIN.union(Attributes::MOUNT_ATTR_NOEXEC);
const INERT_READ_ONLY: Attributes = INERT.union(Attributes::MOUNT_ATTR_RDONLY);

/// The host's devices that every container has, by name, major and minor (Linux, Documentation/admin-guide/devices.txt).
const DEVICES: [Device; 6] = [
    NULL,
    Device("zero", 1, 5),
    Device("full", 1, 7),
    Device("random", 1, 8),
    Device("urandom", 1, 9),
    Device("tty", 5, 0),
];
const NULL: Device = Device("null", 1, 3);

#[derive(Clone, Copy)]
struct Device(&'static str, u32, u32);

/// Symlinks of `/dev`.
const LINKS: [(&str, &str); 6] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
];

/// Hidden, where they exist: what tells of the host or reaches its hardware and memory.
const MASKED_PROC: [&str; 10] = [
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];
const MASKED_SYS: [&str; 4] = ["dev/block", "devices/virtual/powercap", "firmware", "fs/selinux"];

/// Readable only.
const READ_ONLY_PROC: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// Mounts all of it. What is hidden or read-only is found from the root of its own file system, whatever the image has
/// where that is mounted.
pub(super) fn mount_all(root: &mut StepRoot<'_>, confinement: &Confinement) -> Result<(), Error> {
    let masks = &confinement.security.masks;
    let in_proc = |path: &&str| !masks.shows(&format!("/proc/{path}"));
    let in_sys = |path: &&str| !masks.shows(&format!("/sys/{path}"));
    let proc = proc()?;
    root.mount_kernel(&proc, "proc")?;
    READ_ONLY_PROC.into_iter().filter(in_proc).try_for_each(|path| make_read_only(&proc, path))?;
    MASKED_PROC.into_iter().filter(in_proc).try_for_each(|path| mask(proc.as_fd(), path))?;
    let (sys, cgroups) = sys()?;
    root.mount_kernel(&sys, "sys")?;
    if let (Some(cgroups), Some(place)) =
        (cgroups, target::open_existing(sys.as_fd(), Path::new("fs/cgroup"))?)
    {
        cgroups.attach(place.as_fd())?;
    }
    MASKED_SYS.into_iter().filter(in_sys).try_for_each(|path| mask(sys.as_fd(), path))?;
    mount_dev(root, confinement)
}

/// Hides what was asked for by name, wherever it is: after the volumes.
pub(super) fn mask_more(root: &StepRoot<'_>, masks: &Masks) -> Result<(), Error> {
    masks.hidden.iter().try_for_each(|path| mask(root.as_fd(), path))
}

/// A new procfs shows this pid namespace alone. Where the kernel refuses one, because parts of the outer one are hidden
/// (a container whose engine masks them), the outer one is shown with its masks.
fn proc() -> Result<Tree, Error> {
    match Tree::new("proc", &[], INERT) {
        Err(error) if is_permission(&error) => {
            Ok(Tree::copy_without(Path::new("/proc"), Path::new(SCRATCH))?)
        }
        other => Ok(other?),
    }
}

/// A new sysfs belongs to the network namespace, and only its owner may mount one; without one of our own the host's is
/// shown. A new one lacks the control groups, which come from the host.
fn sys() -> Result<(Tree, Option<Tree>), Error> {
    match Tree::new("sysfs", &[], INERT_READ_ONLY) {
        Ok(sys) => {
            let cgroups = Path::new("/sys/fs/cgroup");
            if !cgroups.exists() {
                return Ok((sys, None));
            }
            let cgroups = Tree::copy_of(cgroups, Depth::All)?;
            cgroups.restrict(INERT_READ_ONLY, Depth::All)?;
            Ok((sys, Some(cgroups)))
        }
        Err(error) if is_permission(&error) => {
            let sys = Tree::copy_of(Path::new("/sys"), Depth::All)?;
            sys.restrict(INERT_READ_ONLY, Depth::All)?;
            Ok((sys, None))
        }
        Err(error) => Err(error.into()),
    }
}

fn is_permission(error: &rbuild_userns::Error) -> bool {
    error.errno() == Some(Errno::PERM.raw_os_error())
}

fn mount_dev(root: &mut StepRoot<'_>, confinement: &Confinement) -> Result<(), Error> {
    let settings = [Setting::Text("mode", "0755"), Setting::Text("size", "64m")];
    let dev = Tree::new("tmpfs", &settings, Attributes::MOUNT_ATTR_NOSUID)?;
    root.mount_kernel(&dev, "dev")?;
    for device in DEVICES {
        let name = device.0;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDONLY | OFlags::CLOEXEC;
        let stub = rustix::fs::openat(&dev, name, flags, Mode::from_raw_mode(0o666))
            .map_err(Error::file("create in /dev:", name))?;
        device
            .of_host()?
            .attach(stub.as_fd())
            .map_err(Error::from)
            .map_err(Error::mounting("device", name))?;
    }
    for (name, text) in LINKS {
        rustix::fs::symlinkat(text, &dev, name).map_err(Error::file("link in /dev:", name))?;
    }
    let (shm, mqueue) = if confinement.namespaces.ipc == Namespace::Host {
        (of_host("/dev/shm")?, of_host("/dev/mqueue")?)
    } else {
        (Some(shared_memory(&confinement.limits)?), Some(Tree::new("mqueue", &[], INERT)?))
    };
    for (name, tree) in [("pts", Some(terminals()?)), ("shm", shm), ("mqueue", mqueue)] {
        let Some(tree) = tree else { continue };
        rustix::fs::mkdirat(&dev, name, Mode::from_raw_mode(0o755))
            .map_err(Error::file("create in /dev:", name))?;
        let place = rustix::fs::openat(&dev, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(Error::file("open in /dev:", name))?;
        tree.attach(place.as_fd()).map_err(Error::from).map_err(Error::mounting(name, "/dev"))?;
    }
    Ok(())
}

/// Pseudo terminals, owned by group 5 (`tty` in every distribution) where that id is mapped.
fn terminals() -> Result<Tree, Error> {
    let settings = [
        Setting::Flag("newinstance"),
        Setting::Text("ptmxmode", "0666"),
        Setting::Text("mode", "0620"),
        Setting::Text("gid", "5"),
    ];
    let attributes = Attributes::MOUNT_ATTR_NOSUID | Attributes::MOUNT_ATTR_NOEXEC;
    match Tree::new("devpts", &settings, attributes) {
        Err(error) if error.errno() == Some(Errno::INVAL.raw_os_error()) => {
            Ok(Tree::new("devpts", &settings[..3], attributes)?)
        }
        other => Ok(other?),
    }
}

/// What belongs to the host's ipc namespace, if the host has it mounted.
fn of_host(path: &'static str) -> Result<Option<Tree>, Error> {
    if !Path::new(path).is_dir() {
        return Ok(None);
    }
    let tree = Tree::copy_of(Path::new(path), Depth::One)?;
    tree.restrict(INERT, Depth::One)?;
    Ok(Some(tree))
}

fn shared_memory(limits: &Limits) -> Result<Tree, Error> {
    let size = limits.shared_memory.to_string();
    let settings = [Setting::Text("mode", "1777"), Setting::Text("size", &size)];
    Ok(Tree::new("tmpfs", &settings, INERT)?)
}

fn make_read_only(system: &Tree, path: &str) -> Result<(), Error> {
    let Some(place) = target::open_existing(system.as_fd(), Path::new(path))? else { return Ok(()) };
    let tree = Tree::copy_of_open(place.as_fd(), Depth::All)?;
    tree.restrict(INERT_READ_ONLY, Depth::All)?;
    tree.attach(place.as_fd()).map_err(Error::from).map_err(Error::mounting("read-only", path))
}

/// Lays an empty file system over a directory, and the null device over a file.
fn mask(beneath: BorrowedFd<'_>, path: &str) -> Result<(), Error> {
    let Some(place) = target::open_existing(beneath, Path::new(path))? else { return Ok(()) };
    let stat = rustix::fs::fstat(&place).map_err(Error::file("stat", path))?;
    let mask = if FileType::from_raw_mode(stat.st_mode).is_dir() {
        Tree::new("tmpfs", &[Setting::Text("mode", "0555")], INERT_READ_ONLY)?
    } else {
        NULL.of_host()?
    };
    mask.attach(place.as_fd()).map_err(Error::from).map_err(Error::mounting("a mask", path))
}

/// The null device of the step, to read nothing from. It is looked at before it is opened: a volume may lie over it.
pub(super) fn null(root: &StepRoot<'_>) -> Result<OwnedFd, Error> {
    let open = |flags| {
        let literal = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(root, "dev/null", flags | OFlags::CLOEXEC, Mode::empty(), literal)
            .map_err(Error::file("open", NULL.path()))
    };
    NULL.verify(open(OFlags::PATH)?)?;
    open(OFlags::RDONLY)
}

impl Device {
    fn path(self) -> PathBuf {
        Path::new("/dev").join(self.0)
    }

    /// The host's, whatever the image has under this name: it is looked up before the step's root is entered.
    fn of_host(self) -> Result<Tree, Error> {
        let tree = Tree::copy_of(&self.path(), Depth::One)?;
        self.verify(&tree)?;
        Ok(tree)
    }

    /// A host that is a container itself may have anything there.
    fn verify(self, found: impl AsFd) -> Result<(), Error> {
        let stat = rustix::fs::fstat(found).map_err(Error::file("stat", self.path()))?;
        let number = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        let is_char = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
        if is_char && number == (self.1, self.2) {
            Ok(())
        } else {
            Err(Error::NotTheDevice(self.path(), self.1, self.2))
        }
    }
}
