//! Another process's files, by the names it uses for them.
//!
//! A path is looked up as its caller would: from the caller's root, working directory or descriptor, which a procfs leads
//! to. So that absolute symlinks lead the same way, the clerk's thread has the step's root as its own.

use std::ffi::CString;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rbuild_userns::caller;
use rbuild_userns::mount::{Attributes, Tree};
use rbuild_userns::seccomp::notify::call::{File, From};
use rbuild_userns::status::{Status, Wanted};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags};

use super::caller::Caller;

/// `AT_NO_AUTOMOUNT` and `AT_STATX_SYNC_TYPE`: of no weight here, and handed on.
const HARMLESS: u32 = 0x800 | SYNC;
const SYNC: u32 = 0x6000;
const DONT_SYNC: u32 = 0x4000;
const NOFOLLOW: u32 = 0x100;
const EMPTY: u32 = 0x1000;
/// As many as the kernel follows in a path.
const MOST_LINKS: usize = 40;

/// How new the attributes of a file have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fresh {
    /// As new as its caller asks for.
    AsAsked,
    /// Kind, number and bits, which the kernel has in any case: FUSE would send a message for more.
    AsKnown,
}

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
    /// The thread has a process's root as its own.
    is_inside: bool,
    /// Somebody asked for another root or other mounts: each call has to look.
    differ: Arc<AtomicBool>,
}

impl View {
    /// For the thread that calls it, which from then on has a root and working directory of its own.
    pub fn open(differ: Arc<AtomicBool>) -> std::io::Result<Self> {
        caller::unshare_directories()?;
        // where the outer one is masked no new one can be mounted, and the outer one numbers processes its own way
        let (proc, is_own) = match Tree::new("proc", &[], Attributes::empty()) {
            Ok(tree) => (tree.as_fd().try_clone_to_owned()?, true),
            Err(_) => (rustix::fs::open("/proc", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?, false),
        };
        let device = Status::of(proc.as_fd(), c"", EMPTY, Wanted::BASIC)?.device();
        Ok(Self { proc, is_own, device, is_inside: false, differ })
    }

    /// Where places start.
    pub fn from(&self) -> BorrowedFd<'_> {
        self.proc.as_fd()
    }

    /// A file that a caller names, and its attributes. `None`: the kernel shall say what is wrong with it.
    pub fn find(
        &mut self,
        caller: &Caller<'_>,
        file: File,
        wanted: Wanted,
        fresh: Fresh,
    ) -> Option<(Place, Status)> {
        let place = self.place(caller, file)?;
        let flags = match fresh {
            Fresh::AsAsked => place.flags,
            Fresh::AsKnown => place.flags & !SYNC | DONT_SYNC,
        };
        let place = Place { flags, ..place };
        let status = self.status(&place, wanted)?;
        Some((place, status))
    }

    /// The same where symlinks at the end lead by the caller's own directory in the procfs, as those to `/dev/stdout` do:
    /// nobody but the caller can follow them.
    pub fn find_by_links(
        &mut self,
        caller: &Caller<'_>,
        file: File,
        wanted: Wanted,
    ) -> Option<(Place, Status)> {
        let Place { mut path, flags } =
            self.place(caller, file).filter(|place| place.flags & NOFOLLOW == 0)?;
        for _ in 0..MOST_LINKS {
            let target = rustix::fs::readlinkat(&self.proc, &path, Vec::new()).ok()?.into_bytes();
            if let Some(own) = self.of_the_caller(caller.thread, &target) {
                let place = Place { path: CString::new(own).ok()?, flags };
                let status = self.status(&place, wanted)?;
                return Some((place, status));
            }
            let directory = match path.as_bytes().iter().rposition(|&byte| byte == b'/') {
                Some(slash) if target.first() != Some(&b'/') => &path.as_bytes()[..=slash],
                _ => &[],
            };
            path = CString::new([directory, &target].concat()).ok()?;
        }
        None
    }

    /// The place of a file that a caller names. `None`: the kernel shall say what is wrong with it.
    pub fn place(&mut self, caller: &Caller<'_>, file: File) -> Option<Place> {
        let thread = caller.thread;
        let known = HARMLESS | NOFOLLOW | EMPTY;
        if file.flags & !known != 0 {
            return None;
        }
        let given = if file.path == 0 { Vec::new() } else { caller.read_path(file.path).ok()? };
        if given.is_empty() && !file.may_be_empty() {
            return None;
        }
        self.lead(thread, file.from, given, file.flags & (HARMLESS | NOFOLLOW))
    }

    /// Where a path leads that a thread gives; an empty one is what it starts from.
    pub fn lead(&mut self, thread: i32, from: From, given: Vec<u8>, flags: u32) -> Option<Place> {
        if given.is_empty() {
            let path = CString::new(self.start(thread, from)?).ok()?;
            return Some(Place { path, flags: flags & HARMLESS });
        }
        self.enter_root(thread)?;
        let path = if given[0] == b'/' {
            self.of_the_caller(thread, &given).unwrap_or(given)
        } else {
            [self.start(thread, from)?.as_bytes(), b"/", &given].concat()
        };
        Some(Place { path: CString::new(path).ok()?, flags })
    }

    /// Where a relative path starts.
    fn start(&self, thread: i32, from: From) -> Option<String> {
        let name = self.name(thread)?;
        Some(match from {
            From::Here => format!("{name}/cwd"),
            From::Descriptor(number) => format!("{name}/fd/{number}"),
        })
    }

    /// The attributes of what is there. `None`: nothing, or what is the procfs's own and differs from the caller's.
    pub fn status(&self, place: &Place, wanted: Wanted) -> Option<Status> {
        let status = Status::of(self.from(), &place.path, place.flags, wanted).ok()?;
        (status.device() != self.device).then_some(status)
    }

    /// A file of `/proc/<thread>`, as text.
    pub fn text(&self, thread: i32, file: &str) -> Option<String> {
        String::from_utf8(self.bytes(thread, file)?).ok()
    }

    /// A file of `/proc/<thread>`.
    pub fn bytes(&self, thread: i32, file: &str) -> Option<Vec<u8>> {
        let path = format!("{}/{file}", self.name(thread)?);
        let file =
            rustix::fs::openat(&self.proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut bytes = Vec::new();
        std::fs::File::from(file).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// The process that a thread belongs to, where its number is known.
    pub fn process(&self, thread: i32) -> Option<i32> {
        let status = self.is_own.then(|| self.text(thread, "status")).flatten()?;
        field(&status, "Tgid:")?.parse().ok()
    }

    /// Whether the procfs numbers processes as this process's namespace does.
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// Where a link of `/proc/<thread>` leads.
    pub fn link(&self, thread: i32, link: &str) -> Option<CString> {
        rustix::fs::readlinkat(&self.proc, format!("{}/{link}", self.name(thread)?), Vec::new()).ok()
    }

    /// The number in the procfs of the process behind a descriptor that this thread has open.
    pub fn behind(&self, pidfd: BorrowedFd<'_>) -> Option<i32> {
        let number = std::os::fd::AsRawFd::as_raw_fd(&pidfd);
        // this thread has a table of its own
        let path = format!("thread-self/fdinfo/{number}");
        let info = rustix::fs::openat(&self.proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let info = std::io::read_to_string(std::fs::File::from(info.ok()?)).ok()?;
        info.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok().filter(|pid| *pid > 0)
    }

    /// A path that leads to whoever asks, as the clerk has to ask for it. `None`: it does not.
    fn of_the_caller(&self, thread: i32, path: &[u8]) -> Option<Vec<u8>> {
        let (own, rest) = of_the_caller(path)?;
        let proc = rustix::fs::statfs(c"/proc").ok()?;
        // another root may have none, and files of its own in /dev
        let is_proc = proc.f_type == rustix::fs::PROC_SUPER_MAGIC;
        let links = path.strip_prefix(b"/dev/").map(|name| name.split(|&byte| byte == b'/').next());
        let leads_there = links.flatten().is_none_or(|link| {
            let link = [b"/dev/", link].concat();
            rustix::fs::readlink(&*link, Vec::new())
                .is_ok_and(|target| target.as_bytes().starts_with(b"/proc/self/"))
        });
        (is_proc && leads_there).then_some(())?;
        Some([self.name(thread)?.as_bytes(), own, rest].concat())
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
        self.behind(pidfd.as_fd()).map(|number| number.to_string())
    }

    fn enter_root(&mut self, thread: i32) -> Option<()> {
        let differ = self.differ.load(Ordering::Acquire);
        if self.is_inside && !differ {
            return Some(());
        }
        let root = format!("{}/root", self.name(thread)?);
        let root =
            rustix::fs::openat(&self.proc, root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        rustix::process::fchdir(&root).ok()?;
        rustix::process::chroot(".").ok()?;
        self.is_inside = true;
        Some(())
    }
}

/// Paths that lead to whoever asks, and so elsewhere for the caller than for the clerk: the part of the caller's directory
/// in the procfs, and what follows it. Not where it goes up again: the clerk's procfs shows what is outside of the step.
fn of_the_caller(path: &[u8]) -> Option<(&'static [u8], &[u8])> {
    let ways: [(&[u8], &[u8]); 6] = [
        (b"/proc/self/", b"/"),
        (b"/proc/thread-self/", b"/"),
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
        let rows: [(&str, Option<&str>); 10] = [
            ("/proc/self/fd/3", Some("/fd/3")),
            ("/proc/self/cwd/x", Some("/cwd/x")),
            ("/dev/fd/3/x", Some("/fd/3/x")),
            ("/dev/stdout", Some("/fd/1")),
            ("/proc/thread-self/fd/3", Some("/fd/3")),
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
