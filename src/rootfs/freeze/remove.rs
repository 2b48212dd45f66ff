//! Removal of what a step left in `live`, however deep.

use std::ffi::CString;
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, open, unlinkat};
use rustix::io::Errno;

use super::descent::Descent;
use crate::rootfs::{Error, Named as _};

/// Removes the directory `tree`, which lies in `parent`, with all it holds. Absent is removed.
pub(in crate::rootfs) fn remove_tree(parent: &Path, tree: &Path) -> Result<(), Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = match open(tree, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        result => result.named("open", tree)?,
    };
    Descent::new(top).and_then(|mut descent| empty(&mut descent)).named("remove", tree)?;
    let name = tree.strip_prefix(parent).unwrap_or(tree);
    let parent = open(parent, flags, Mode::empty()).named("open", parent)?;
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
