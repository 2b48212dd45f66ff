//! A file that is read for the second time: the first time its bytes became part of a cache key, and a layer behind that
//! key must have the same ones.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::StepError;
use super::tree::{Item, Tree};

/// Read this much at once of what nobody else reads, in bytes.
const CHUNK: usize = 8 << 10;

/// A file that is hashed while it is read. Clones share one place in it.
#[derive(Clone)]
pub(super) struct Checked<'a> {
    tree: &'a Tree,
    item: &'a Item,
    reading: Arc<Mutex<Reading<'a>>>,
}

struct Reading<'a> {
    source: Box<dyn Read + Send + 'a>,
    hasher: blake3::Hasher,
}

impl<'a> Checked<'a> {
    pub(super) fn open(tree: &'a Tree, item: &'a Item) -> Result<Self, StepError> {
        let reading = Reading { source: tree.open(item)?, hasher: blake3::Hasher::new() };
        Ok(Self { tree, item, reading: Arc::new(Mutex::new(reading)) })
    }

    /// Reads what is left. Errors with [`StepError::Changed`] unless all of it has the digest `expected`.
    pub(super) fn expect(mut self, expected: &[u8; 32]) -> Result<(), StepError> {
        let mut rest = [0; CHUNK];
        loop {
            match self.read(&mut rest) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.tree.unreadable(&self.item.path, source)),
            }
        }
        let found = self.reading.lock().unwrap_or_else(PoisonError::into_inner).hasher.finalize();
        if found == *expected { Ok(()) } else { Err(self.changed()) }
    }

    /// The error of a file that is another one now.
    pub(super) fn changed(&self) -> StepError {
        let path = String::from_utf8_lossy(&self.item.path).into_owned();
        StepError::Changed { path, tree: self.tree.name().to_owned() }
    }
}

impl Read for Checked<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let length = reading.source.read(buf)?;
        reading.hasher.update(&buf[..length]);
        Ok(length)
    }
}
