//! The difference between the tree and the baseline, name by name.

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::baseline::{Baseline, Row, Stamp};
use super::owners::Owners;
use crate::layer::Metadata;
use crate::rootfs::freeze::{self, Body, Descent, Entry, Said, Source};
use crate::rootfs::{Device, Node, Stack};

/// Compares a whole tree with what it was made of.
pub(super) struct Difference<'a> {
    pub stack: &'a Stack,
    pub baseline: &'a Baseline,
    /// Whether something immutable was seen.
    pub fixed: Cell<bool>,
    /// Where the owners on disk mean nothing.
    pub owners: Option<&'a Owners>,
}

impl Source for Difference<'_> {
    fn top(&self, dir: BorrowedFd<'_>) -> io::Result<Metadata> {
        let meta = freeze::metadata_of(dir)?;
        Ok(match self.owners {
            Some(owners) => owners.correct_directory(&Stamp::of(dir)?, meta),
            None => meta,
        })
    }

    /// What is there, and what was.
    fn names(&self, here: &Descent, below: Option<&Node>) -> io::Result<Vec<CString>> {
        let mut names: Vec<CString> = here.list()?.into_iter().map(|(name, _)| name).collect();
        for (name, _) in below.map(|node| self.stack.read_dir(node)).unwrap_or_default() {
            names.push(CString::new(name)?);
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn read(&self, dir: BorrowedFd<'_>, name: &CStr, below: Option<&Node>) -> io::Result<Said> {
        let stamp = match Stamp::at(dir, name) {
            Err(Errno::NOENT) => return Ok(Said::Whiteout),
            stamp => stamp?,
        };
        self.fixed.set(self.fixed.get() || stamp.fixed);
        let row = self.baseline.row(&stamp);
        let same = below.filter(|node| row.is_some_and(|row| row.id == self.stack.file_id(node)));
        let untouched = row.is_some_and(|row| self.baseline.is_untouched(row, &stamp));
        if untouched && same.is_some_and(|node| !self.stack.is_dir(node)) {
            return Ok(Said::Unchanged);
        }
        let entry = as_meant(freeze::read(dir, name)?, row);
        let entry = match self.owners {
            Some(owners) => owners.correct(&stamp, entry),
            None => entry,
        };
        let replaced = same.is_none() && below.is_some_and(|node| self.stack.is_dir(node));
        match &entry.body {
            Body::Directory(_) if replaced => Ok(Said::Opaque(entry)),
            Body::Directory(_) => Ok(Said::Is(entry)),
            // A file with several names is written under all of them once it was touched: one of them may be new.
            _ if stamp.names > 1 => Ok(Said::Is(entry)),
            _ => match same {
                Some(node) if freeze::is_same(&entry, self.stack, node)? => Ok(Said::Unchanged),
                _ => Ok(Said::Is(entry)),
            },
        }
    }
}

/// The entry as the image would have it.
fn as_meant(entry: Entry, row: Option<&Row>) -> Entry {
    let Some(substitute) = row.and_then(|row| row.substitute.as_ref()) else { return entry };
    let body = match (entry.body, substitute.device) {
        (Body::File { size: 0, .. }, Some(Device::Char { major, minor })) => Body::Char { major, minor },
        (Body::File { size: 0, .. }, Some(Device::Block { major, minor })) => Body::Block { major, minor },
        (body, _) => body,
    };
    Entry { meta: substitute.meant_by(entry.meta), body, ..entry }
}
