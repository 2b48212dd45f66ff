//! Removal of what a step left in `live`, however deep, and whatever `chattr` made of it.
//!
//! Real root with `CAP_LINUX_IMMUTABLE` may make a file immutable or a directory append-only. No layer has such flags; they
//! would keep everybody from removing the file.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, IFlags, Mode, OFlags, ioctl_getflags, ioctl_setflags, open, openat, statat, unlinkat,
};
use rustix::io::Errno;

use super::descent::Descent;
use crate::rootfs::{Error, Named as _};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes `name` from `dir`, with all it holds.
pub(in crate::rootfs) fn remove_at(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    match unlink(dir, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        removed => return Ok(removed?),
    }
    empty(&mut Descent::new(openat(dir, name, DIRECTORY, Mode::empty())?)?)?;
    Ok(unlink(dir, name, AtFlags::REMOVEDIR)?)
}

/// Removes the directory `tree`, which lies in `parent`, with all it holds. Absent is removed.
pub(crate) fn remove_tree(parent: &Path, tree: &Path) -> Result<(), Error> {
    let top = match open(tree, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        result => result.named("open", tree)?,
    };
    Descent::new(top).and_then(|mut descent| empty(&mut descent)).named("remove", tree)?;
    let name = tree.strip_prefix(parent).unwrap_or(tree);
    let parent = open(parent, DIRECTORY, Mode::empty()).named("open", parent)?;
    let name = CString::new(name.as_os_str().as_bytes()).map_err(|_| Errno::INVAL).named("rmdir", tree)?;
    unlink(parent.as_fd(), &name, AtFlags::REMOVEDIR).named("rmdir", tree)
}

/// Removes everything below the current directory. `pending` holds, for every directory on the way, those of its own
/// that are still to be removed.
fn empty(descent: &mut Descent) -> io::Result<()> {
    let mut pending = vec![unlink_files(descent)?];
    while let Some(directories) = pending.last() {
        if let Some(name) = directories.last() {
            descent.enter(name)?;
            pending.push(unlink_files(descent)?);
            continue;
        }
        pending.pop();
        if let Some(emptied) = pending.last_mut().and_then(Vec::pop) {
            descent.leave()?;
            unlink(descent.here(), &emptied, AtFlags::REMOVEDIR)?;
        }
    }
    Ok(())
}

/// Removes what is no directory here; returns the names of what is one.
fn unlink_files(descent: &Descent) -> io::Result<Vec<CString>> {
    let mut directories = Vec::new();
    for (name, kind) in descent.list()? {
        match kind {
            FileType::Directory => directories.push(name),
            // A file system that does not tell types: unlink(2) does (EISDIR).
            _ => match unlink(descent.here(), &name, AtFlags::empty()) {
                Err(Errno::ISDIR) => directories.push(name),
                result => result?,
            },
        }
    }
    Ok(directories)
}

/// unlinkat(2), also where the directory or the entry is immutable or append-only.
fn unlink(dir: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> Result<(), Errno> {
    match unlinkat(dir, name, flags) {
        Err(Errno::PERM) => {}
        done => return done,
    }
    loosen(dir)?;
    let kind = FileType::from_raw_mode(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
    // nothing else can have such flags, and a device is better not opened
    if matches!(kind, FileType::RegularFile | FileType::Directory) {
        let entry = openat(dir, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        loosen(entry.as_fd())?;
    }
    unlinkat(dir, name, flags)
}

/// Takes the flags away that keep a file or the entries of a directory from being removed.
fn loosen(file: BorrowedFd<'_>) -> Result<(), Errno> {
    const FIXED: IFlags = IFlags::IMMUTABLE.union(IFlags::APPEND);
    match ioctl_getflags(file) {
        Ok(flags) if flags.intersects(FIXED) => ioctl_setflags(file, flags - FIXED),
        // a file system without flags
        Ok(_) | Err(Errno::NOTTY | Errno::OPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno),
    }
}
