//! A layer on disk: the tar and its index, opened to be read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{Error, Index, Ino, Limits, reindex};
use crate::oci::DiffId;

/// A layer ready to be read: an open tar and its index.
#[derive(Debug)]
pub struct Layer {
    /// SHA-256 of the tar.
    pub diff_id: DiffId,
    /// Length of the tar, in bytes.
    pub size: u64,
    /// What is in the tar, and where.
    pub index: Index,
    /// The tar.
    pub tar: File,
}

impl Layer {
    /// Opens both files, as the sandbox does. A missing or stale index is rebuilt in memory (the store also rewrites
    /// it), which reads the whole tar and errors with [`Error::DigestMismatch`] where it is not `diff_id`.
    pub fn open(diff_id: DiffId, tar: &Path, index: &Path) -> Result<Self, Error> {
        let opened = |path: &Path, source| Error::Open { path: path.to_owned(), source };
        let file = File::open(tar).map_err(|source| opened(tar, source))?;
        let size = file.metadata()?.len();
        let mapped = match File::open(index) {
            Ok(index) => Index::open(&index, diff_id, size),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::StaleIndex),
            Err(source) => Err(opened(index, source)),
        };
        let index = match mapped {
            Err(Error::StaleIndex) => {
                let written = reindex(&file, &Limits::default())?;
                if written.diff_id != diff_id {
                    let path = tar.to_owned();
                    return Err(Error::DigestMismatch { path, expected: diff_id, found: written.diff_id });
                }
                Index::from_bytes(written.index)?
            }
            mapped => mapped?,
        };
        Ok(Self { diff_id, size, index, tar: file })
    }

    /// Reads file bytes at `offset`, as many as there are and fit; holes are zeros; 0 at the end, and for what is no
    /// regular file. Errors with `UnexpectedEof` where the tar has become shorter than its index says.
    pub fn read_at(&self, ino: Ino, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.index.inode(ino).size.saturating_sub(offset);
        let len = usize::try_from(rest).unwrap_or(usize::MAX).min(buf.len());
        let buf = &mut buf[..len];
        let mut filled = 0;
        for extent in self.index.extents_from(ino, offset) {
            let at = offset + filled as u64;
            let hole =
                usize::try_from(extent.file.saturating_sub(at)).unwrap_or(usize::MAX).min(len - filled);
            buf[filled..filled + hole].fill(0);
            filled += hole;
            if filled == len {
                break;
            }
            let skipped = (offset + filled as u64).saturating_sub(extent.file);
            let data =
                usize::try_from(extent.len.saturating_sub(skipped)).unwrap_or(usize::MAX).min(len - filled);
            self.tar.read_exact_at(&mut buf[filled..filled + data], extent.tar.saturating_add(skipped))?;
            filled += data;
        }
        buf[filled..].fill(0);
        Ok(len)
    }
}
