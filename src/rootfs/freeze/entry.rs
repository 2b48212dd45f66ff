//! One entry of a directory on disk: what it is, and its attributes.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fgetxattr, flistxattr, fstat, getxattr, major, minor, openat,
    readlinkat, statat,
};
use rustix::io::Errno;

use crate::layer::{Metadata, Timestamp, Xattrs};
use crate::rootfs::{acl, is_carried};

/// Something that a directory holds.
pub(in crate::rootfs) struct Entry {
    pub meta: Metadata,
    pub identity: Identity,
    pub body: Body,
}

/// What it is.
pub(in crate::rootfs) enum Body {
    Directory(OwnedFd),
    File { file: OwnedFd, size: u64 },
    Symlink(Vec<u8>),
    Char { major: u32, minor: u32 },
    Block { major: u32, minor: u32 },
    Fifo,
    Socket,
}

/// Device and inode of what has several names; `None` for what has one.
pub(in crate::rootfs) type Identity = Option<(u64, u64)>;

/// Reads `name` in `dir`.
pub(in crate::rootfs) fn read(dir: impl AsFd, name: &CStr) -> io::Result<Entry> {
    let dir = dir.as_fd();
    let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let identity = (stat.st_nlink > 1).then_some((stat.st_dev, stat.st_ino));
    let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
    let open = |flags: OFlags| openat(dir, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let body = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Body::Directory(open(OFlags::RDONLY | OFlags::DIRECTORY)?),
        FileType::RegularFile => {
            Body::File { file: open(OFlags::RDONLY)?, size: stat.st_size.cast_unsigned() }
        }
        FileType::Symlink => Body::Symlink(readlinkat(dir, name, Vec::new())?.into_bytes()),
        FileType::CharacterDevice => Body::Char { major, minor },
        FileType::BlockDevice => Body::Block { major, minor },
        FileType::Fifo => Body::Fifo,
        FileType::Socket => Body::Socket,
        FileType::Unknown => {
            return Err(io::Error::other(format!("file type {:o} is unknown", stat.st_mode)));
        }
    };
    let meta = match &body {
        Body::Directory(file) | Body::File { file, .. } => metadata_of(file)?,
        // neither attributes that we carry, nor a place in a layer
        Body::Symlink(_) | Body::Socket => metadata(&stat, Xattrs::new()),
        // What cannot be opened safely has no `user.*` attributes, but lists.
        Body::Char { .. } | Body::Block { .. } | Body::Fifo => {
            metadata(&stat, lists(open(OFlags::PATH)?.as_fd())?)
        }
    };
    Ok(Entry { meta, identity, body })
}

/// The access lists of what is open as a path alone.
fn lists(file: BorrowedFd<'_>) -> io::Result<Xattrs> {
    let path = by_descriptor(file);
    // XATTR_SIZE_MAX
    let mut value = Vec::with_capacity(1 << 16);
    match getxattr(&path, acl::ACCESS, spare_capacity(&mut value)) {
        Ok(_) => Ok(Xattrs::from([(acl::ACCESS.to_vec(), value)])),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(Xattrs::new()),
        Err(errno) => Err(errno.into()),
    }
}

/// A path to what is open, for calls that take no descriptor of its kind.
pub(in crate::rootfs) fn by_descriptor(file: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
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
pub(in crate::rootfs) fn xattr_names(file: impl AsFd) -> io::Result<Vec<std::ffi::CString>> {
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
pub(super) fn xattr(file: impl AsFd, name: &CStr) -> io::Result<Option<Vec<u8>>> {
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
