//! One entry of a directory: what it is, and what of it belongs into an image.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use super::super::copy::tree::Item;
use super::directory::join;
use crate::layer::{EntryKind, Metadata, Timestamp, Xattrs};
use crate::store::{FileStamp, KnownFile};

/// Room for the names of a file's extended attributes, and for one value, in bytes: the kernel's
/// `XATTR_LIST_MAX` and `XATTR_SIZE_MAX`.
const XATTR_NAMES: usize = 64 << 10;
const XATTR_VALUE: usize = 64 << 10;

/// Something in an open directory, or with an empty name what is open itself.
pub(super) struct Place<'a> {
    pub(super) directory: BorrowedFd<'a>,
    pub(super) name: &'a [u8],
}

impl Place<'_> {
    pub(super) fn stat(&self) -> io::Result<Stat> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
        Ok(rustix::fs::statat(self.directory, self.name, flags)?)
    }

    /// The attributes that make sense in an image: users' own, and file capabilities. Security labels and ACLs
    /// belong to this host.
    fn xattrs(&self) -> io::Result<Xattrs> {
        // What is open by its name alone answers only so. The link leads to the open directory or file itself; a last
        // component is not followed.
        let mut path = format!("/proc/self/fd/{}", self.directory.as_raw_fd()).into_bytes();
        if !self.name.is_empty() {
            path = join(&path, self.name);
        }
        let mut found = BTreeMap::new();
        let names = match xattr_names(self, &path) {
            Ok(names) => names,
            Err(Errno::OPNOTSUPP) => return Ok(found),
            Err(errno) => return Err(errno.into()),
        };
        for name in names.split(|&b| b == 0).filter(|name| !name.is_empty()) {
            if !name.starts_with(b"user.") && name != b"security.capability" {
                continue;
            }
            let mut value = vec![0; XATTR_VALUE];
            let length = if self.name.is_empty() {
                rustix::fs::getxattr(&path, OsStr::from_bytes(name), &mut value[..])?
            } else {
                rustix::fs::lgetxattr(&path, OsStr::from_bytes(name), &mut value[..])?
            };
            value.truncate(length);
            found.insert(name.to_vec(), value);
        }
        Ok(found)
    }

    fn list(&self, path: &[u8], names: &mut [u8]) -> Result<usize, Errno> {
        if self.name.is_empty() {
            rustix::fs::listxattr(path, names)
        } else {
            rustix::fs::llistxattr(path, names)
        }
    }
}

/// What is at `place`, and is called `path`.
pub(super) fn item(
    path: Vec<u8>,
    place: &Place<'_>,
    stat: &Stat,
    known: Option<KnownFile>,
) -> io::Result<Item> {
    let file_type = FileType::from_raw_mode(stat.st_mode);
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let kind = match file_type {
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => {
            EntryKind::Symlink(rustix::fs::readlinkat(place.directory, place.name, Vec::new())?.into_bytes())
        }
        FileType::Fifo => EntryKind::Fifo,
        FileType::CharacterDevice => EntryKind::Char { major, minor },
        FileType::BlockDevice => EntryKind::Block { major, minor },
        // A socket cannot be copied; an empty file holds its place, as with BuildKit.
        FileType::Socket => EntryKind::File { size: 0 },
        FileType::RegularFile | FileType::Unknown => EntryKind::File { size: stat.st_size.cast_unsigned() },
    };
    let without_xattrs = known.is_some_and(|known| !known.has_xattrs);
    Ok(Item {
        path,
        kind,
        meta: Metadata {
            mode: stat.st_mode & 0o7777,
            uid: 0,
            gid: 0,
            mtime: Timestamp { secs: stat.st_mtime, nanos: nanos(stat.st_mtime_nsec) },
            xattrs: if without_xattrs { Xattrs::new() } else { place.xattrs()? },
        },
        link: (stat.st_nlink > 1 && file_type == FileType::RegularFile).then_some((stat.st_dev, stat.st_ino)),
        stamp: (known.is_none() && matches!(file_type, FileType::RegularFile | FileType::Directory))
            .then(|| Box::new(stamp_of(stat))),
        digest: known.filter(|_| file_type == FileType::RegularFile).map(|known| known.digest),
        node: None,
    })
}

/// The names, each ended by a NUL.
fn xattr_names(place: &Place<'_>, path: &[u8]) -> Result<Vec<u8>, Errno> {
    // Most files have none or few; room for all there may be would cost more than the call.
    let mut few = [0; 256];
    match place.list(path, &mut few) {
        Ok(length) => Ok(few[..length].to_vec()),
        Err(Errno::RANGE) => {
            let mut names = vec![0; XATTR_NAMES];
            let length = place.list(path, &mut names)?;
            names.truncate(length);
            Ok(names)
        }
        Err(errno) => Err(errno),
    }
}

/// By what it is known whether a file has changed.
pub(super) fn stamp_of(stat: &Stat) -> FileStamp {
    FileStamp {
        device: stat.st_dev,
        inode: stat.st_ino,
        size: stat.st_size.cast_unsigned(),
        mtime: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
        ctime: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
        mode: stat.st_mode,
    }
}

fn nanos<N: TryInto<u32>>(nanos: N) -> u32 {
    nanos.try_into().unwrap_or_else(|_| unreachable!("the kernel's nanoseconds are below a thousand million"))
}
