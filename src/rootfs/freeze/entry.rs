//! One entry of the upper directory: what overlayfs means by it, and its attributes.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fgetxattr, flistxattr, fstat, major, minor, openat, readlinkat,
    statat,
};
use rustix::io::Errno;

use crate::layer::{Metadata, Timestamp, Xattrs};
use crate::rootfs::is_carried;

/// What an entry of the upper directory says.
pub(super) enum Said {
    Whiteout,
    /// Left out of every layer.
    Socket,
    Directory {
        meta: Metadata,
        opaque: bool,
    },
    File {
        file: OwnedFd,
        meta: Metadata,
        size: u64,
        identity: Identity,
    },
    Symlink {
        target: Vec<u8>,
        meta: Metadata,
        identity: Identity,
    },
    Char {
        major: u32,
        minor: u32,
        meta: Metadata,
        identity: Identity,
    },
    Block {
        major: u32,
        minor: u32,
        meta: Metadata,
        identity: Identity,
    },
    Fifo {
        meta: Metadata,
        identity: Identity,
    },
}

/// Device and inode of what has several names; `None` for what has one.
pub(super) type Identity = Option<(u64, u64)>;

const OPAQUE: &CStr = c"user.overlay.opaque";
const WHITEOUT: &CStr = c"user.overlay.whiteout";

/// Reads `name` in `dir`.
pub(super) fn read(dir: impl AsFd, name: &CStr) -> io::Result<Said> {
    let dir = dir.as_fd();
    let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let identity = (stat.st_nlink > 1).then_some((stat.st_dev, stat.st_ino));
    let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
    // What cannot be opened safely (a device, a fifo) or at all (a link) can have no `user.*` attributes either.
    let plain = || metadata(&stat, Xattrs::new());
    let open = |flags: OFlags| openat(dir, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            let file = open(OFlags::RDONLY | OFlags::DIRECTORY)?;
            // "x" only says that whiteouts below may be attributes; "y" is opaque.
            let opaque = xattr(&file, OPAQUE)?.is_some_and(|value| value == b"y");
            Said::Directory { meta: metadata_of(&file)?, opaque }
        }
        FileType::RegularFile => {
            let file = open(OFlags::RDONLY)?;
            if stat.st_size == 0 && xattr(&file, WHITEOUT)?.is_some() {
                return Ok(Said::Whiteout);
            }
            Said::File { meta: metadata_of(&file)?, size: stat.st_size.cast_unsigned(), file, identity }
        }
        FileType::Symlink => {
            Said::Symlink { target: readlinkat(dir, name, Vec::new())?.into_bytes(), meta: plain(), identity }
        }
        FileType::CharacterDevice if (major, minor) == (0, 0) => Said::Whiteout,
        FileType::CharacterDevice => Said::Char { major, minor, meta: plain(), identity },
        FileType::BlockDevice => Said::Block { major, minor, meta: plain(), identity },
        FileType::Fifo => Said::Fifo { meta: plain(), identity },
        FileType::Socket => Said::Socket,
        FileType::Unknown => {
            return Err(io::Error::other(format!("file type {:o} is unknown", stat.st_mode)));
        }
    })
}

/// An open file's attributes.
pub(in crate::rootfs) fn metadata_of(file: impl AsFd) -> io::Result<Metadata> {
    let file = file.as_fd();
    let mut xattrs = Xattrs::new();
    for name in xattr_names(file)? {
        if let Some(value) = is_carried(name.to_bytes()).then(|| xattr(file, &name)).transpose()?.flatten() {
            xattrs.insert(name.into_bytes(), value);
        }
    }
    Ok(metadata(&fstat(file)?, xattrs))
}

fn metadata(stat: &Stat, xattrs: Xattrs) -> Metadata {
    Metadata {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: Timestamp { secs: stat.st_mtime, nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0) },
        xattrs,
    }
}

/// The names, in the kernel's order; none where the file system has none.
fn xattr_names(file: impl AsFd) -> io::Result<Vec<std::ffi::CString>> {
    let file = file.as_fd();
    let mut list = Vec::with_capacity(256);
    loop {
        match flistxattr(file, spare_capacity(&mut list)) {
            Ok(_) => break,
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            // XATTR_LIST_MAX is 64 KiB: the second try fits.
            Err(Errno::RANGE) if list.capacity() < 1 << 16 => list.reserve(1 << 16),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(list
        .split_inclusive(|&byte| byte == 0)
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
        .map(Into::into)
        .collect())
}

/// A value; `None` if there is none.
fn xattr(file: impl AsFd, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    let file = file.as_fd();
    let mut value = Vec::with_capacity(256);
    loop {
        match fgetxattr(file, name, spare_capacity(&mut value)) {
            Ok(_) => return Ok(Some(value)),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            // XATTR_SIZE_MAX is 64 KiB: the second try fits.
            Err(Errno::RANGE) if value.capacity() < 1 << 16 => value.reserve(1 << 16),
            Err(errno) => return Err(errno.into()),
        }
    }
}
