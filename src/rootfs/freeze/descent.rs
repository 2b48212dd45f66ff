//! The way down a directory tree, with a bounded number of descriptors: a step may nest directories deeper than a
//! process may open files. Ancestors far up are closed, and found again through `..` (and checked) on the way back.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, openat};

/// How many descriptors one descent keeps.
const KEPT: usize = 32;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory, and the way back up to where the descent began.
pub(in crate::rootfs) struct Descent {
    /// The innermost directories, the current one last. Never empty.
    open: VecDeque<OwnedFd>,
    /// Device and inode of every directory from the top to the current one.
    identities: Vec<(u64, u64)>,
}

impl Descent {
    pub(in crate::rootfs) fn new(top: OwnedFd) -> io::Result<Self> {
        let identity = identity(&top)?;
        Ok(Self { open: VecDeque::from([top]), identities: vec![identity] })
    }

    /// The current directory.
    pub(in crate::rootfs) fn here(&self) -> BorrowedFd<'_> {
        self.open.back().expect("the current directory is always open").as_fd()
    }

    pub(in crate::rootfs) fn enter(&mut self, name: &CStr) -> io::Result<()> {
        let child = openat(self.here(), name, DIRECTORY, Mode::empty())?;
        self.identities.push(identity(&child)?);
        self.open.push_back(child);
        if self.open.len() > KEPT {
            self.open.pop_front();
        }
        Ok(())
    }

    /// Back to the parent. Errors if the directory has been moved meanwhile.
    pub(in crate::rootfs) fn leave(&mut self) -> io::Result<()> {
        if self.open.len() == 1 {
            let parent = openat(self.here(), c"..", DIRECTORY, Mode::empty())?;
            self.open.push_front(parent);
        }
        self.open.pop_back();
        self.identities.pop();
        if self.identities.last() != Some(&identity(self.here())?) {
            return Err(io::Error::other("a directory was moved while it was walked"));
        }
        Ok(())
    }

    /// What the current directory holds, sorted by name.
    pub(in crate::rootfs) fn list(&self) -> io::Result<Vec<(CString, FileType)>> {
        let mut rows = Vec::new();
        for row in Dir::read_from(self.here())? {
            let row = row?;
            if !matches!(row.file_name().to_bytes(), b"." | b"..") {
                rows.push((row.file_name().to_owned(), row.file_type()));
            }
        }
        rows.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(rows)
    }
}

fn identity(dir: impl AsFd) -> io::Result<(u64, u64)> {
    let stat = fstat(dir)?;
    Ok((stat.st_dev, stat.st_ino))
}
