//! The process to map, as its directory in `/proc` shows it.
//!
//! Everything is opened relative to the descriptor, without crossing a mount or a link: the caller may
//! have opened it in a mount namespace where other files lie over `status` or `uid_map`.
//!
//! The process lives on while we look at it. What makes that harmless: the maps are the caller's own in
//! any case, and the kernel writes them only into the namespace that the opened `uid_map` belongs to,
//! only if its parent is ours, only if we (by the caller's uid) own it, and only once.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rbuild_userns::idmap::IdMap;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, fstatfs, openat2};
use rustix::io::Errno;

use crate::{Failure, user_ns};

/// `linux/magic.h`.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// A process by its directory.
pub struct Target {
    dir: OwnedFd,
    status: OwnedFd,
    uid_map: OwnedFd,
    gid_map: OwnedFd,
}

impl Target {
    /// Takes an inherited descriptor, which must be the directory on procfs of a process of the caller.
    pub fn of_descriptor(number: u16, caller: u32) -> Result<Self, Failure> {
        let dir =
            duplicate(number).map_err(|errno| Failure::system(&format!("descriptor {number}"), errno))?;
        let system = fstatfs(&dir).map_err(|errno| Failure::system("fstatfs", errno))?;
        if system.f_type.cast_unsigned() != PROC_SUPER_MAGIC {
            return Err(Failure::Refused(format!("descriptor {number} is not on procfs")));
        }
        let stat = fstat(&dir).map_err(|errno| Failure::system("fstat", errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(Failure::Refused(format!("descriptor {number} is not a directory")));
        }
        let status = open(&dir, "status", OFlags::RDONLY)?;
        // Root's also if it is another's in the kernel's eyes: not dumpable, say, after a setuid program.
        if stat.st_uid != caller {
            let owner = stat.st_uid;
            return Err(Failure::Refused(format!(
                "the process belongs to uid {owner}, not to the caller {caller}"
            )));
        }
        let uid_map = open(&dir, "uid_map", OFlags::RDWR)?;
        let gid_map = open(&dir, "gid_map", OFlags::RDWR)?;
        Ok(Self { dir, status, uid_map, gid_map })
    }

    /// Checks that the process is wholly the caller's, in a fresh user namespace which the caller made.
    pub fn verify(&self, caller: u32) -> Result<(), Failure> {
        let uids = uid_line(&read(&self.status, "status")?);
        let uids = uids.ok_or_else(|| Failure::System("status: no Uid line that can be read".into()))?;
        if uids != [caller; 4] {
            return Err(Failure::Refused(format!(
                "the process runs under uids {uids:?}, not only the caller's {caller}"
            )));
        }
        user_ns::verify(self.dir.as_fd(), caller)?;
        for (name, map) in [("uid_map", &self.uid_map), ("gid_map", &self.gid_map)] {
            if !read(map, name)?.is_empty() {
                return Err(Failure::Refused(format!("{name} of the process is already written")));
            }
        }
        Ok(())
    }

    pub fn write_uid_map(&self, map: &IdMap) -> Result<(), Failure> {
        write(&self.uid_map, "uid_map", &map.to_string())
    }

    pub fn write_gid_map(&self, map: &IdMap) -> Result<(), Failure> {
        write(&self.gid_map, "gid_map", &map.to_string())
    }

    /// To be called before the gid map is written: the kernel refuses it afterwards.
    pub fn deny_setgroups(&self) -> Result<(), Failure> {
        write(&open(&self.dir, "setgroups", OFlags::WRONLY)?, "setgroups", "deny")
    }
}

/// Our own close-on-exec copy of an inherited descriptor, whose original will not reach a child either.
fn duplicate(number: u16) -> Result<OwnedFd, Errno> {
    // SAFETY: the number is not -1, and it is borrowed for this function only, in which nothing is
    // closed. If the caller left it closed, the kernel answers EBADF.
    let inherited = unsafe { BorrowedFd::borrow_raw(number.into()) };
    let copy = rustix::io::fcntl_dupfd_cloexec(inherited, 3)?;
    rustix::io::fcntl_setfd(inherited, rustix::io::FdFlags::CLOEXEC)?;
    Ok(copy)
}

/// Opens a file of the directory itself.
pub fn open(dir: impl AsFd, name: &str, flags: OFlags) -> Result<OwnedFd, Failure> {
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    openat2(dir, name, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty(), resolve).map_err(|errno| {
        match errno {
            Errno::NOENT => Failure::Refused(format!("not the directory of a process: it has no {name}")),
            Errno::XDEV => Failure::Refused(format!("something is mounted over {name} of the process")),
            Errno::SRCH => Failure::Refused("the process has ended".into()),
            Errno::ACCESS | Errno::PERM => {
                Failure::Refused(format!("{name} of the process is not the caller's to open: {errno}"))
            }
            _ => Failure::system(&format!("open {name} of the process"), errno),
        }
    })
}

/// The text of a small file of procfs, read at offset 0 in one call, the way procfs makes it whole.
fn read(file: &OwnedFd, name: &str) -> Result<String, Failure> {
    let mut text = vec![0; 16 << 10];
    let length = rustix::io::pread(file, &mut text, 0).map_err(|errno| match errno {
        Errno::SRCH => Failure::Refused("the process has ended".into()),
        _ => Failure::system(&format!("read {name} of the process"), errno),
    })?;
    text.truncate(length);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn write(file: &OwnedFd, name: &str, text: &str) -> Result<(), Failure> {
    // Not pwrite, which these files refuse; and `read` has left them at offset 0.
    match rustix::io::write(file, text.as_bytes()) {
        Ok(length) if length == text.len() => Ok(()),
        Ok(length) => Err(Failure::System(format!("write {name}: {length} of {} bytes taken", text.len()))),
        Err(Errno::PERM) => Err(Failure::System(format!(
            "write {name}: not permitted; as root: setcap cap_setuid,cap_setgid=ep on this program"
        ))),
        Err(errno) => Err(Failure::system(&format!("write {name}"), errno)),
    }
}

/// Real, effective, saved and file-system uid, in our own namespace's numbers; `proc_pid_status(5)`.
fn uid_line(status: &str) -> Option<[u32; 4]> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let uids: Vec<u32> = line.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    uids.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uid_line_has_four_numbers() {
        for (status, uids) in [
            ("Name:\tx\nUid:\t1001\t1001\t1001\t1001\nGid:\t5\t5\t5\t5\n", Some([1001; 4])),
            ("Uid:\t1001\t0\t0\t0\n", Some([1001, 0, 0, 0])),
            ("Name:\tUid:\\nUid:\nUid:\t1\t2\t3\t4", Some([1, 2, 3, 4])),
            ("Uid:\t1001\t1001\t1001\n", None),
            ("Uid:\t1\t1\t1\t1\t1\n", None),
            ("Uid:\t1\t1\tx\t1\n", None),
            ("", None),
        ] {
            assert_eq!(uid_line(status), uids, "{status:?}");
        }
    }
}
