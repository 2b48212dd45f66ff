//! The bytes of a stack's files.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use super::{Follow, Node, Stack};
use crate::layer::{Ino, Kind, Layer};
use crate::rootfs::Error;

impl Stack {
    /// A file's bytes as a stream; empty for what has no bytes.
    pub fn open(&self, node: &Node) -> Box<dyn Read + Send + '_> {
        match self.inode(node).kind {
            Kind::File => {
                let (layer, ino) = self.file_id(node);
                Box::new(FileReader { layer: Arc::clone(&self.layers[layer]), ino, offset: 0 })
            }
            _ => Box::new(io::empty()),
        }
    }

    /// Reads bytes of a file at `offset` into `buf`; holes are zeros; 0 at the end and for what has no bytes.
    pub fn read_at(&self, node: &Node, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let (layer, ino) = self.file_id(node);
        match self.inode(node).kind {
            Kind::File => self.layers[layer].read_at(ino, buf, offset),
            _ => Ok(0),
        }
    }

    /// Reads a small regular file (`/etc/passwd`), links followed; `None` if absent.
    ///
    /// Errors with [`Error::TooLarge`] beyond `limit` bytes, [`Error::NotRegular`] if it is something else, and as
    /// [`Stack::resolve`] does.
    pub fn read(&self, path: &[u8], limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(node) = self.resolve(path, Follow::Last)?.node else { return Ok(None) };
        let inode = self.inode(&node);
        let named = || OsStr::from_bytes(path).into();
        if inode.kind != Kind::File {
            return Err(Error::NotRegular { path: named() });
        }
        if inode.size > limit {
            return Err(Error::TooLarge { path: named(), size: inode.size, limit });
        }
        let mut bytes = Vec::new();
        self.open(&node).read_to_end(&mut bytes).map_err(|source| Error::At {
            verb: "read",
            path: named(),
            source,
        })?;
        Ok(Some(bytes))
    }
}

/// Reads a file from its start.
struct FileReader {
    layer: Arc<Layer>,
    ino: Ino,
    offset: u64,
}

impl Read for FileReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.layer.read_at(self.ino, buf, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
