//! Copies that keep every attribute: what mv(1) falls back to.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, mknodat};

use super::look::{list_xattrs, xattr};
use super::make::make;
use super::plain::Standing;
use super::tree::{Made, What};

/// A copy of a whole tree in the making.
pub struct Tree<'a> {
    pub plain: Option<&'a mut Standing>,
    /// Where the first name of a file with several went.
    links: HashMap<u64, PathBuf>,
    /// Devices that may not be made here.
    pub left_out: usize,
}

impl<'a> Tree<'a> {
    pub fn new(plain: Option<&'a mut Standing>) -> Self {
        Self { plain, links: HashMap::new(), left_out: 0 }
    }

    pub fn copy(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let stat = fs::symlink_metadata(from)?;
        let kind = stat.file_type();
        if kind.is_dir() {
            fs::create_dir(to)?;
            let mut names =
                fs::read_dir(from)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
            names.sort();
            names.iter().try_for_each(|name| self.copy(&from.join(name), &to.join(name)))?;
            return attributes(from, to, &stat);
        }
        if let Some(first) = self.links.get(&stat.ino()) {
            return fs::hard_link(first, to);
        }
        match self.device(&stat) {
            Some(what) => {
                let path = to.to_str().expect("names of the table are UTF-8").to_owned();
                let made = Made {
                    path,
                    what,
                    mode: stat.mode() & 0o7777,
                    owner: (stat.uid(), stat.gid()),
                    xattrs: &[],
                };
                match make(&made, self.plain.as_deref_mut()) {
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        self.left_out += 1;
                        return Ok(());
                    }
                    made => made?,
                }
                attributes(from, to, &stat)?;
            }
            None => file(from, to)?,
        }
        if stat.nlink() > 1 {
            self.links.insert(stat.ino(), to.to_owned());
        }
        Ok(())
    }

    fn device(&self, stat: &fs::Metadata) -> Option<What> {
        let known = self.plain.as_ref().and_then(|plain| plain.of(stat.ino())).and_then(|known| known.device);
        let (major, minor) = (rustix::fs::major(stat.rdev()), rustix::fs::minor(stat.rdev()));
        match (known, stat.file_type()) {
            (Some(("char", major, minor)), _) => Some(What::Char(major, minor)),
            (Some((_, major, minor)), _) => Some(What::Block(major, minor)),
            (None, kind) if kind.is_char_device() => Some(What::Char(major, minor)),
            (None, kind) if kind.is_block_device() => Some(What::Block(major, minor)),
            _ => None,
        }
    }
}

/// Copies what is neither a directory nor a device.
pub fn file(from: &Path, to: &Path) -> io::Result<()> {
    let stat = fs::symlink_metadata(from)?;
    let kind = stat.file_type();
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
    } else if kind.is_file() {
        fs::write(to, fs::read(from)?)?;
    } else {
        let kind = if kind.is_fifo() { FileType::Fifo } else { FileType::Socket };
        mknodat(CWD, to, kind, Mode::from_raw_mode(0o600), 0)?;
    }
    attributes(from, to, &stat)
}

fn attributes(from: &Path, to: &Path, stat: &fs::Metadata) -> io::Result<()> {
    lchown(to, Some(stat.uid()), Some(stat.gid()))?;
    if !stat.is_symlink() {
        fs::set_permissions(to, fs::Permissions::from_mode(stat.mode() & 0o7777))?;
        for name in list_xattrs(from)? {
            let name = std::ffi::OsStr::from_bytes(&name);
            rustix::fs::lsetxattr(to, name, &xattr(from, name.as_bytes())?, XattrFlags::empty())?;
        }
    }
    set_time(to, time(stat))
}

pub fn time(stat: &fs::Metadata) -> (i64, u32) {
    (stat.mtime(), u32::try_from(stat.mtime_nsec()).expect("below 10^9"))
}

pub fn set_time(path: &Path, (secs, nanos): (i64, u32)) -> io::Result<()> {
    let time = Timespec { tv_sec: secs, tv_nsec: nanos.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
