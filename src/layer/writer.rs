//! Writing a layer: one pass over the bytes.

use std::fs::File;
use std::io::{self, Read};

use super::header::{self, Fields};
use super::members::BLOCK;
use super::sparse::Extent;
use super::spool::{CHUNK, Spool};
use super::tree::Tree;
use super::{Content, Entry, EntryKind, Error, Fault, Limits, Metadata, Name, Written, path};
use crate::oci::DiffId;

/// Writes a tar from the start of a file, hashing and indexing as it goes. Deterministic: same calls, same bytes.
///
/// After an error the tar is incomplete and the writer of no further use. Nothing is synced: whoever names the file
/// does that.
pub struct LayerWriter {
    spool: Spool,
    chunk: Vec<u8>,
    filled: usize,
    /// Bytes written, those still in `chunk` included.
    position: u64,
    tree: Tree,
    limits: Limits,
    entries: u64,
    /// Kept for its memory.
    headers: Vec<u8>,
}

impl LayerWriter {
    /// Writes to `tar`, which should be empty.
    pub fn create(tar: File) -> Self {
        let mut spool = Spool::write_to(tar);
        // What we write we must be able to read back.
        let limits = Limits::default();
        Self {
            chunk: spool.spare(),
            spool,
            filled: 0,
            position: 0,
            tree: Tree::new(limits.index),
            limits,
            entries: 0,
            headers: Vec::new(),
        }
    }

    /// `path`: clean, relative, no leading or trailing slash, no `.`/`..`; empty = the root directory (written `./`).
    /// Parents need not be written; the index holds them as implicit. A later entry of the same path replaces the
    /// earlier.
    ///
    /// Errors with [`Error::Append`] where path or attributes cannot be written or the content is not as long as
    /// announced, with [`Error::Content`] where it cannot be read, with [`Error::Write`] where the tar cannot be written.
    pub fn append(&mut self, path: &[u8], meta: &Metadata, content: Content<'_>) -> Result<(), Error> {
        let refuse = |fault| Error::Append { path: path.into(), fault };
        path::check(path, self.limits.path).map_err(refuse)?;
        let (kind, fields) = state(path, meta, &content);
        self.check(&kind).map_err(refuse)?;
        let slashed = match kind {
            EntryKind::Directory if path.is_empty() => b"./".to_vec(),
            EntryKind::Directory => [path, b"/"].concat(),
            _ => path.to_vec(),
        };
        let data = self.open_entry(path, &Fields { path: &slashed, ..fields })?;
        let entry = Entry { path: path.to_vec(), meta: meta.clone(), kind };
        self.tree.insert(&entry, data.as_slice()).map_err(refuse)?;
        if let Content::File { size, data } = content {
            self.copy(path, size, data)?;
        }
        Ok(())
    }

    /// Hides `path` of the layers below (`dir/.wh.name`).
    pub fn whiteout(&mut self, path: &[u8]) -> Result<(), Error> {
        let Some((parent, name)) = path::split(path) else {
            return Err(Error::Append { path: path.into(), fault: Fault::NotClean });
        };
        self.mark(path, &path::join(parent, &[path::WHITEOUT, name].concat()))
    }

    /// Hides all that the layers below have in directory `path` (`dir/.wh..wh..opq`).
    pub fn opaque(&mut self, path: &[u8]) -> Result<(), Error> {
        self.mark(path, &path::join(path, path::OPAQUE))
    }

    /// Ends the tar with two zero blocks.
    pub fn finish(mut self) -> Result<Written, Error> {
        self.put(&[0; 2 * BLOCK])?;
        self.chunk.truncate(self.filled);
        self.spool.commit(std::mem::take(&mut self.chunk))?;
        let (digest, size) = self.spool.finish();
        let diff_id = DiffId(digest);
        Ok(Written { diff_id, size, entries: self.entries, index: self.tree.finish(diff_id, size) })
    }

    /// An empty file that says something about `path`.
    fn mark(&mut self, path: &[u8], marker: &[u8]) -> Result<(), Error> {
        let refuse = |fault| Error::Append { path: path.into(), fault };
        path::check(path, self.limits.path).map_err(refuse)?;
        // A name of 252 bytes is fine, its whiteout is too long for a file system, and no tool could unpack it.
        path::clean(marker, self.limits.path).map_err(refuse)?;
        let meta = Metadata::default();
        let fields = Fields { path: marker, meta: &meta, kind: b'0', size: 0, link: b"", device: [0, 0] };
        self.open_entry(path, &fields)?;
        let entry = Entry { path: marker.to_vec(), meta: meta.clone(), kind: EntryKind::File { size: 0 } };
        self.tree.insert(&entry, &[]).map_err(refuse)
    }

    fn check(&self, kind: &EntryKind) -> Result<(), Fault> {
        match kind {
            EntryKind::Symlink(target) | EntryKind::Hardlink(target) if target.is_empty() => {
                Err(Fault::NoTarget)
            }
            EntryKind::Symlink(target) if target.contains(&0) => Err(Fault::Nul),
            EntryKind::Symlink(target) if target.len() > self.limits.path => {
                Err(Fault::PathTooLong { len: target.len(), limit: self.limits.path })
            }
            EntryKind::Hardlink(target) => path::check(target, self.limits.path)
                .map_err(|why| Fault::Link { target: Name(target.clone()), why: Box::new(why) }),
            _ => Ok(()),
        }
    }

    /// Writes an entry's headers; its data comes next.
    fn open_entry(&mut self, path: &[u8], fields: &Fields<'_>) -> Result<Option<Extent>, Error> {
        let refuse = |fault| Error::Append { path: path.into(), fault };
        if self.entries >= self.limits.entries {
            return Err(refuse(Fault::TooManyEntries { limit: self.limits.entries }));
        }
        let limit = self.limits.size;
        if fields.size > limit.saturating_sub(self.position) {
            return Err(refuse(Fault::TooLarge { size: fields.size, limit }));
        }
        let mut headers = std::mem::take(&mut self.headers);
        headers.clear();
        header::write(fields, &mut headers).map_err(refuse)?;
        if headers.len() as u64 > self.limits.pax {
            let size = headers.len() as u64;
            return Err(refuse(Fault::ExtensionsTooLarge { size, limit: self.limits.pax }));
        }
        self.put(&headers)?;
        self.headers = headers;
        self.entries += 1;
        Ok((fields.size > 0).then_some(Extent { file: 0, tar: self.position, len: fields.size }))
    }

    /// Reads straight into the chunk.
    fn copy(&mut self, path: &[u8], size: u64, data: &mut dyn Read) -> Result<(), Error> {
        let mut left = size;
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK - self.filled);
            let n = read(data, &mut self.chunk[self.filled..self.filled + room], path)?;
            if n == 0 {
                let fault = Fault::Short { announced: size, found: size - left };
                return Err(Error::Append { path: path.into(), fault });
            }
            left -= n as u64;
            self.advance(n)?;
        }
        if read(data, &mut [0], path)? > 0 {
            return Err(Error::Append { path: path.into(), fault: Fault::Long { announced: size } });
        }
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        self.put(&[0; BLOCK][..usize::try_from(padding).unwrap_or(0)])
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.filled));
            self.chunk[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.advance(now.len())?;
            bytes = later;
        }
        Ok(())
    }

    /// Counts bytes that were put into the chunk; commits it when it is full.
    fn advance(&mut self, n: usize) -> Result<(), Error> {
        self.filled += n;
        self.position += n as u64;
        if self.filled == CHUNK {
            self.spool.commit(std::mem::take(&mut self.chunk))?;
            self.chunk = self.spool.spare();
            self.filled = 0;
        }
        Ok(())
    }
}

/// The entry's kind for the tree, and its header's fields.
fn state<'a>(path: &'a [u8], meta: &'a Metadata, content: &'a Content<'_>) -> (EntryKind, Fields<'a>) {
    let plain = Fields { path, meta, kind: b'0', size: 0, link: b"", device: [0, 0] };
    match *content {
        Content::File { size, .. } => (EntryKind::File { size }, Fields { size, ..plain }),
        Content::Directory => (EntryKind::Directory, Fields { kind: b'5', ..plain }),
        Content::Symlink(link) => (EntryKind::Symlink(link.to_vec()), Fields { kind: b'2', link, ..plain }),
        Content::Hardlink(link) => (EntryKind::Hardlink(link.to_vec()), Fields { kind: b'1', link, ..plain }),
        Content::Char { major, minor } => {
            (EntryKind::Char { major, minor }, Fields { kind: b'3', device: [major, minor], ..plain })
        }
        Content::Block { major, minor } => {
            (EntryKind::Block { major, minor }, Fields { kind: b'4', device: [major, minor], ..plain })
        }
        Content::Fifo => (EntryKind::Fifo, Fields { kind: b'6', ..plain }),
    }
}

fn read(data: &mut dyn Read, buf: &mut [u8], path: &[u8]) -> Result<usize, Error> {
    loop {
        match data.read(buf) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome.map_err(|source| Error::Content { path: path.into(), source }),
        }
    }
}
