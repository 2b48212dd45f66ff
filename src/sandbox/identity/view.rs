//! Another process's files, by the names it uses for them.
//!
//! A path is looked up as its caller would: from the caller's root, working directory or descriptor, which a procfs leads
//! to. So that absolute symlinks lead the same way, the clerk's thread has the step's root as its own.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rbuild_userns::caller;
use rbuild_userns::mount::{Attributes, Tree};
use rbuild_userns::seccomp::notify::call::{File, From};
use rbuild_userns::status::{Status, Wanted};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags};

/// `AT_NO_AUTOMOUNT` and `AT_STATX_SYNC_TYPE`: of no weight here, and handed on.
const HARMLESS: u32 = 0x800 | 0x6000;
const NOFOLLOW: u32 = 0x100;
const EMPTY: u32 = 0x1000;

/// A file as the clerk can name it.
pub struct Place {
    /// From the procfs on.
    pub path: CString,
    /// For `statx` and `fchownat`.
    pub flags: u32,
}

impl Place {
    /// The flags of a call that follows symlinks or does not.
    pub fn at_flags(&self) -> rustix::fs::AtFlags {
        rustix::fs::AtFlags::from_bits_truncate(self.flags & NOFOLLOW)
    }
}

/// The clerk's view of a step.
pub struct View {
    proc: OwnedFd,
    /// The procfs numbers processes as this process's namespace does.
    is_own: bool,
    /// The device of the procfs itself.
    device: u64,
    roots: Roots,
}

/// Whether the thread's root is the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Roots {
    /// Not yet.
    Unknown,
    /// Every process of the step has the one that is entered.
    One,
    /// Somebody asked for another: each call has to look.
    Many,
}

impl View {
    /// For the thread that calls it, which from then on has a root and working directory of its own.
    pub fn open() -> std::io::Result<Self> {
        caller::unshare_directories()?;
        // where the outer one is masked no new one can be mounted, and the outer one numbers processes its own way
        let (proc, is_own) = match Tree::new("proc", &[], Attributes::empty()) {
            Ok(tree) => (tree.as_fd().try_clone_to_owned()?, true),
            Err(_) => (rustix::fs::open("/proc", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?, false),
        };
        let device = Status::of(proc.as_fd(), c"", EMPTY, Wanted::BASIC)?.device();
        Ok(Self { proc, is_own, device, roots: Roots::Unknown })
    }

    /// Where places start.
    pub fn from(&self) -> BorrowedFd<'_> {
        self.proc.as_fd()
    }

    /// From now on processes may differ in their roots.
    pub fn roots_differ(&mut self) {
        self.roots = Roots::Many;
    }

    /// The place of a file that a thread names. `None`: the kernel shall say what is wrong with it.
    pub fn place(&mut self, thread: i32, file: File) -> Option<Place> {
        let known = HARMLESS | NOFOLLOW | EMPTY;
        if file.flags & !known != 0 {
            return None;
        }
        let mut given = Vec::new();
        if file.path != 0 {
            caller::read_path(thread, file.path, &mut given).ok()?;
        }
        let start = || match file.from {
            From::Here => Some(format!("{}/cwd", self.name(thread)?)),
            From::Descriptor(number) => Some(format!("{}/fd/{number}", self.name(thread)?)),
        };
        let flags = file.flags & (HARMLESS | NOFOLLOW);
        if given.is_empty() {
            let path = CString::new(start().filter(|_| file.may_be_empty())?).ok()?;
            return Some(Place { path, flags: flags & HARMLESS });
        }
        let path = if given[0] != b'/' {
            [start()?.as_bytes(), b"/", &given].concat()
        } else if let Some((own, rest)) = of_the_caller(&given) {
            [self.name(thread)?.as_bytes(), own, rest].concat()
        } else {
            given
        };
        self.enter_root(thread)?;
        Some(Place { path: CString::new(path).ok()?, flags })
    }

    /// The attributes of what is there. `None`: nothing, or what is the procfs's own and differs from the caller's.
    pub fn status(&self, place: &Place, wanted: Wanted) -> Option<Status> {
        let status = Status::of(self.from(), &place.path, place.flags, wanted).ok()?;
        (status.device() != self.device).then_some(status)
    }

    /// A file of `/proc/<thread>`, as text.
    pub fn text(&self, thread: i32, file: &str) -> Option<String> {
        let path = format!("{}/{file}", self.name(thread)?);
        let file =
            rustix::fs::openat(&self.proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        std::io::read_to_string(std::fs::File::from(file)).ok()
    }

    /// A thread's directory in the procfs.
    fn name(&self, thread: i32) -> Option<String> {
        if self.is_own {
            return Some(thread.to_string());
        }
        // Linux 6.9 has descriptors of threads; before, only the first of a process has one
        let thread = Pid::from_raw(thread)?;
        let of_thread = PidfdFlags::from_bits_retain(OFlags::EXCL.bits());
        let open = |flags| rustix::process::pidfd_open(thread, flags);
        let pidfd = open(of_thread).or_else(|_| open(PidfdFlags::empty())).ok()?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&pidfd);
        let info = rustix::fs::openat(
            &self.proc,
            format!("self/fdinfo/{number}"),
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let info = std::io::read_to_string(std::fs::File::from(info.ok()?)).ok()?;
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim();
        pid.parse::<u32>().is_ok().then(|| pid.to_owned())
    }

    fn enter_root(&mut self, thread: i32) -> Option<()> {
        if self.roots == Roots::One {
            return Some(());
        }
        let root = format!("{}/root", self.name(thread)?);
        let root =
            rustix::fs::openat(&self.proc, root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        rustix::process::fchdir(&root).ok()?;
        rustix::process::chroot(".").ok()?;
        if self.roots == Roots::Unknown {
            self.roots = Roots::One;
        }
        Some(())
    }
}

/// Paths that lead to whoever asks, and so elsewhere for the caller than for the clerk: the part of the caller's directory
/// in the procfs, and what follows it. Not where it goes up again: the clerk's procfs shows what is outside of the step.
fn of_the_caller(path: &[u8]) -> Option<(&'static [u8], &[u8])> {
    let ways: [(&[u8], &[u8]); 5] = [
        (b"/proc/self/", b"/"),
        (b"/dev/fd/", b"/fd/"),
        (b"/dev/stdin", b"/fd/0"),
        (b"/dev/stdout", b"/fd/1"),
        (b"/dev/stderr", b"/fd/2"),
    ];
    let (own, rest) = ways.into_iter().find_map(|(prefix, own)| Some((own, path.strip_prefix(prefix)?)))?;
    rest.split(|&byte| byte == b'/').all(|component| component != b"..").then_some((own, rest))
}

/// The value of a line `name value` of a file of /proc.
pub fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_the_caller_is_known() {
        let rows: [(&str, Option<&str>); 9] = [
            ("/proc/self/fd/3", Some("/fd/3")),
            ("/proc/self/cwd/x", Some("/cwd/x")),
            ("/dev/fd/3/x", Some("/fd/3/x")),
            ("/dev/stdout", Some("/fd/1")),
            ("/proc/selfish", None),
            ("/dev/null", None),
            ("/proc/self/../1/root/x", None),
            ("/dev/fd/../../1", None),
            ("/dev/fd/3/..x", Some("/fd/3/..x")),
        ];
        for (path, want) in rows {
            let got = of_the_caller(path.as_bytes()).map(|(own, rest)| [own, rest].concat());
            assert_eq!(got.as_deref(), want.map(str::as_bytes), "{path}");
        }
    }
}
