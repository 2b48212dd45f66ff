//! The upper directory of an overlayfs: what its marks mean.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::BorrowedFd;

use super::descent::Descent;
use super::entry::{self, Body, Entry};
use super::is_same;
use super::walk::{Said, Source, metadata_in};
use crate::rootfs::trace::Trace;
use crate::rootfs::{Node, Stack};

const OPAQUE: &CStr = c"user.overlay.opaque";
const WHITEOUT: &CStr = c"user.overlay.whiteout";

/// All that an upper directory holds was changed, though it may be again as it was.
pub(in crate::rootfs) struct Upper<'a> {
    /// What lies below.
    pub stack: &'a Stack,
    /// Hears of what is compared.
    pub trace: Option<&'a Trace>,
}

impl Source for Upper<'_> {
    fn names(&self, here: &Descent, _: Option<&Node>) -> io::Result<Vec<CString>> {
        Ok(here.list()?.into_iter().map(|(name, _)| name).collect())
    }

    fn read(&self, dir: BorrowedFd<'_>, name: &CStr, below: Option<&Node>) -> io::Result<Said> {
        let entry = entry::read(dir, name)?;
        Ok(match &entry.body {
            // "x" only says that whiteouts below may be attributes; "y" is opaque.
            Body::Directory(file) if entry::xattr(file, OPAQUE)?.is_some_and(|value| value == b"y") => {
                Said::Opaque(entry)
            }
            Body::File { file, size: 0 } if entry::xattr(file, WHITEOUT)?.is_some() => Said::Whiteout,
            Body::Char { major: 0, minor: 0 } => Said::Whiteout,
            Body::Directory(_) => Said::Is(entry),
            _ => match below {
                Some(node) if self.is_alone(&entry, node) && self.is_same(&entry, node)? => Said::Unchanged,
                _ => Said::Is(entry),
            },
        })
    }
}

impl Upper<'_> {
    fn is_same(&self, entry: &Entry, node: &Node) -> io::Result<bool> {
        if let Some(trace) = self.trace.filter(|_| entry.meta == metadata_in(self.stack, node)) {
            let (layer, ino) = self.stack.file_id(node);
            trace.read(&self.stack.layers()[layer], ino);
        }
        is_same(entry, self.stack, node)
    }

    /// One name here and one below: where there are several, overlayfs has parted them, and the layer says what the step
    /// saw.
    fn is_alone(&self, entry: &Entry, node: &Node) -> bool {
        entry.identity.is_none() && self.stack.inode(node).nlink == 1
    }
}
