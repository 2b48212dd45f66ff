//! The user namespace of the process: a direct child of ours, made by the caller. `ioctl_ns(2)`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags, fstat, fstatfs, open, openat, readlinkat};
use rustix::io::Errno;

use crate::{Failure, target};

/// `linux/magic.h`, `linux/nsfs.h`.
const NSFS_MAGIC: u64 = 0x6e73_6673;
const NS_GET_PARENT: libc::Ioctl = 0xb702;
const NS_GET_OWNER_UID: libc::Ioctl = 0xb704;

/// Checks the user namespace of the process whose `/proc` directory `dir` is.
pub fn verify(dir: BorrowedFd<'_>, caller: u32) -> Result<(), Failure> {
    let ours = open("/proc/self/ns/user", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Failure::system("open /proc/self/ns/user", errno))?;
    let theirs = of_process(dir)?;
    if identity(&theirs)? == identity(&ours)? {
        return Err(Failure::Refused(
            "the process is in the caller's own user namespace, not in a new one".into(),
        ));
    }
    let child_of_ours = match parent(theirs.as_fd()) {
        Ok(parent) => identity(&parent)? == identity(&ours)?,
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => false, // above or beside ours
        Err(error) => return Err(Failure::system("parent of the user namespace", error)),
    };
    if !child_of_ours {
        return Err(Failure::Refused(
            "the user namespace of the process is not a child of the caller's".into(),
        ));
    }
    let owner =
        owner(theirs.as_fd()).map_err(|error| Failure::system("owner of the user namespace", error))?;
    if owner != caller {
        return Err(Failure::Refused(format!(
            "the user namespace belongs to uid {owner}, not to the caller {caller}"
        )));
    }
    Ok(())
}

/// Opens `ns/user`, a link that has to be followed; its own text says which inode must be found behind it,
/// so that nothing mounted over the link is taken for it.
fn of_process(dir: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    let failed = |errno| match errno {
        Errno::ACCESS | Errno::PERM => {
            Failure::Refused("the user namespace is not the caller's to look at".into())
        }
        _ => Failure::system("open ns/user of the process", errno),
    };
    let link = target::open(dir, "ns/user", OFlags::PATH)?;
    let text = readlinkat(&link, c"", Vec::new()).map_err(failed)?;
    let namespace =
        openat(dir, c"ns/user", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    let system = fstatfs(&namespace).map_err(failed)?;
    let inode = fstat(&namespace).map_err(failed)?.st_ino;
    if system.f_type.cast_unsigned() != NSFS_MAGIC || text.to_bytes() != format!("user:[{inode}]").as_bytes()
    {
        return Err(Failure::Refused("something is mounted over ns/user of the process".into()));
    }
    Ok(namespace)
}

fn identity(namespace: &OwnedFd) -> Result<(u64, u64), Failure> {
    let stat = fstat(namespace).map_err(|errno| Failure::system("fstat of a user namespace", errno))?;
    Ok((stat.st_dev, stat.st_ino))
}

fn parent(namespace: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: NS_GET_PARENT takes no argument; on a live descriptor it only returns a number.
    let parent = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_PARENT) };
    if parent < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, close-on-exec, and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(parent) })
}

fn owner(namespace: BorrowedFd<'_>) -> io::Result<u32> {
    let mut uid: libc::uid_t = 0;
    // SAFETY: NS_GET_OWNER_UID writes one uid_t through the pointer, which is live for the call.
    match unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_OWNER_UID, &raw mut uid) } {
        0 => Ok(uid),
        _ => Err(io::Error::last_os_error()),
    }
}
