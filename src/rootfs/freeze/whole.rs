//! A directory of the host as it is, packed as a tar of its own.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use super::descent::Descent;
use super::entry;
use super::ignore::Ignore;
use super::walk::{Said, Source, write};
use crate::layer::{LayerWriter, Metadata, Written};
use crate::rootfs::{Error, Node, Stack};

/// Writes all that `top` holds, and its own attributes, into `tar` (from its start), names sorted. Sockets are left out.
///
/// Errors with [`crate::layer::Error`] for a name that has a meaning in a layer (`.wh.`).
pub(crate) fn pack(top: &Path, tar: File) -> Result<Written, Error> {
    let mut writer = LayerWriter::create(tar);
    // no directory has these: its own are always a change
    let before = Metadata { mode: u32::MAX, ..Metadata::default() };
    write(&Whole, top, &before, &Stack::new(Vec::new()), &Ignore::new(&[]), &mut writer)?;
    Ok(writer.finish()?)
}

/// Everything is new.
struct Whole;

impl Source for Whole {
    fn names(&self, here: &Descent, _: Option<&Node>) -> io::Result<Vec<CString>> {
        Ok(here.list()?.into_iter().map(|(name, _)| name).collect())
    }

    fn read(&self, dir: BorrowedFd<'_>, name: &CStr, _: Option<&Node>) -> io::Result<Said> {
        entry::read(dir, name).map(Said::Is)
    }
}
