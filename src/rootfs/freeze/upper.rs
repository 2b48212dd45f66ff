//! The upper directory of an overlayfs: what its marks mean.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::BorrowedFd;

use super::descent::Descent;
use super::entry::{self, Body};
use super::walk::{Said, Source};
use crate::rootfs::Node;

const OPAQUE: &CStr = c"user.overlay.opaque";
const WHITEOUT: &CStr = c"user.overlay.whiteout";

/// All that an upper directory holds is a change.
pub(in crate::rootfs) struct Upper;

impl Source for Upper {
    fn names(&self, here: &Descent, _: Option<&Node>) -> io::Result<Vec<CString>> {
        Ok(here.list()?.into_iter().map(|(name, _)| name).collect())
    }

    fn read(&self, dir: BorrowedFd<'_>, name: &CStr, _: Option<&Node>) -> io::Result<Said> {
        let entry = entry::read(dir, name)?;
        Ok(match &entry.body {
            // "x" only says that whiteouts below may be attributes; "y" is opaque.
            Body::Directory(file) if entry::xattr(file, OPAQUE)?.is_some_and(|value| value == b"y") => {
                Said::Opaque(entry)
            }
            Body::File { file, size: 0 } if entry::xattr(file, WHITEOUT)?.is_some() => Said::Whiteout,
            Body::Char { major: 0, minor: 0 } => Said::Whiteout,
            _ => Said::Is(entry),
        })
    }
}
