//! Namespaces: which ones a process leaves behind, and what a new one needs before it is of use.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::sched::CloneFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::error::{Error, refused};

/// A kind of namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// User and group ids, capabilities.
    User,
    /// Mounts.
    Mount,
    /// Process numbers: the *next* child is the first process of the new one.
    Pid,
    /// System V and POSIX message queues.
    Ipc,
    /// The host name.
    Uts,
    /// The view of the control groups.
    Cgroup,
    /// Network interfaces.
    Net,
}

impl Namespace {
    fn flag(self) -> CloneFlags {
        match self {
            Self::User => CloneFlags::CLONE_NEWUSER,
            Self::Mount => CloneFlags::CLONE_NEWNS,
            Self::Pid => CloneFlags::CLONE_NEWPID,
            Self::Ipc => CloneFlags::CLONE_NEWIPC,
            Self::Uts => CloneFlags::CLONE_NEWUTS,
            Self::Cgroup => CloneFlags::CLONE_NEWCGROUP,
            Self::Net => CloneFlags::CLONE_NEWNET,
        }
    }
}

/// Moves this process into new namespaces of the given kinds.
pub fn unshare(kinds: &[Namespace]) -> Result<(), Error> {
    let flags = kinds.iter().fold(CloneFlags::empty(), |flags, kind| flags | kind.flag());
    nix::sched::unshare(flags).map_err(refused(format!("unshare({kinds:?})")))
}

/// Moves this process into a namespace of somebody else, by its open file.
pub fn enter(kind: Namespace, file: BorrowedFd<'_>) -> Result<(), Error> {
    nix::sched::setns(file, kind.flag()).map_err(refused(format!("setns({kind:?})")))
}

/// Names the machine, as this uts namespace sees it.
pub fn set_host_name(name: &str) -> Result<(), Error> {
    rustix::system::sethostname(name.as_bytes()).map_err(refused(format!("sethostname({name:?})")))
}

/// Brings the loopback interface of a new network namespace up; the kernel then gives it its addresses.
pub fn bring_loopback_up() -> Result<(), Error> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(refused("socket(inet)"))?;
    // SAFETY: ifreq is plain old data, for which all zeros is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(*b"lo") {
        *place = libc::c_char::from_ne_bytes([byte]);
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).expect("IFF_UP is the lowest bit");
    // SAFETY: `request` is a live ifreq, which is what SIOCSIFFLAGS reads; `socket` is open.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if done == 0 { Ok(()) } else { Err(refused("bring interface lo up")(io::Error::last_os_error())) }
}
