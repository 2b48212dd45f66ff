//! Removal of what a step left in `live`, however deep.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, open, openat, unlinkat};
use rustix::io::Errno;

use super::descent::Descent;
use crate::rootfs::{Error, Named as _};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes `name` from `dir`, with all it holds.
pub(in crate::rootfs) fn remove_at(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        removed => return Ok(removed?),
    }
    empty(&mut Descent::new(openat(dir, name, DIRECTORY, Mode::empty())?)?)?;
    Ok(unlinkat(dir, name, AtFlags::REMOVEDIR)?)
}

/// Removes the directory `tree`, which lies in `parent`, with all it holds. Absent is removed.
pub(in crate::rootfs) fn remove_tree(parent: &Path, tree: &Path) -> Result<(), Error> {
    let top = match open(tree, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        result => result.named("open", tree)?,
    };
    Descent::new(top).and_then(|mut descent| empty(&mut descent)).named("remove", tree)?;
    let name = tree.strip_prefix(parent).unwrap_or(tree);
    let parent = open(parent, DIRECTORY, Mode::empty()).named("open", parent)?;
    unlinkat(parent, name, AtFlags::REMOVEDIR).named("rmdir", tree)
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
            unlinkat(descent.here(), &emptied, AtFlags::REMOVEDIR)?;
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
            _ => match unlinkat(descent.here(), &name, AtFlags::empty()) {
                Err(Errno::ISDIR) => directories.push(name),
                result => result?,
            },
        }
    }
    Ok(directories)
}
