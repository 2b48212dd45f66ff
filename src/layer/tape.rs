//! A tar stream that is read once, front to back; what passes is kept by a [`Spool`] where one is wanted.

use std::io::{self, Read};
use std::sync::Arc;

use super::Error;
use super::spool::Spool;
use crate::oci::Digest;

/// A source and the chunk of it that is being looked at.
pub(super) struct Tape<R> {
    source: R,
    spool: Spool,
    chunk: Arc<Vec<u8>>,
    /// Bytes of `chunk` that were consumed.
    used: usize,
    /// Bytes consumed since the start.
    position: u64,
    ended: bool,
    /// What ended the source early. It is told when all that came before it has been read.
    failure: Option<io::Error>,
}

impl<R: Read> Tape<R> {
    pub(super) fn new(source: R, spool: Spool) -> Self {
        Self { source, spool, chunk: Arc::default(), used: 0, position: 0, ended: false, failure: None }
    }

    /// Bytes consumed since the start.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Fills `buf`; less only at the end of the source.
    pub(super) fn fill(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while filled < buf.len() {
            let rest = self.peek()?;
            let n = rest.len().min(buf.len() - filled);
            if n == 0 {
                break;
            }
            buf[filled..filled + n].copy_from_slice(&rest[..n]);
            filled += n;
            self.advance(n);
        }
        Ok(filled)
    }

    /// Passes over `len` bytes; returns how many there were, less only at the end of the source.
    pub(super) fn skip(&mut self, len: u64) -> Result<u64, Error> {
        let mut skipped = 0;
        while skipped < len {
            let n = usize::try_from(len - skipped).unwrap_or(usize::MAX).min(self.peek()?.len());
            if n == 0 {
                break;
            }
            skipped += n as u64;
            self.advance(n);
        }
        Ok(skipped)
    }

    /// Digest and length of everything that passed.
    pub(super) fn finish(self) -> (Digest, u64) {
        self.spool.finish()
    }

    /// What is left of the chunk, or the next one; empty at the end.
    fn peek(&mut self) -> Result<&[u8], Error> {
        if self.used == self.chunk.len() && !self.ended {
            self.next_chunk()?;
        }
        Ok(&self.chunk[self.used..])
    }

    fn advance(&mut self, n: usize) {
        self.used += n;
        self.position += n as u64;
    }

    fn next_chunk(&mut self) -> Result<(), Error> {
        // Give the old chunk back first: the spool lends it again.
        self.chunk = Arc::default();
        self.used = 0;
        if let Some(source) = self.failure.take() {
            return Err(Error::Read { offset: self.position, source });
        }
        let mut chunk = self.spool.spare();
        let mut filled = 0;
        let outcome = fill(&mut self.source, &mut chunk, &mut filled);
        match outcome {
            Err(source) if filled == 0 => return Err(Error::Read { offset: self.position, source }),
            outcome => self.failure = outcome.err(),
        }
        self.ended = filled < chunk.len() && self.failure.is_none();
        chunk.truncate(filled);
        self.chunk = self.spool.commit(chunk)?;
        Ok(())
    }
}

/// Reads until `buf` is full or the source ends.
pub(super) fn fill_from(source: &mut (impl Read + ?Sized), buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    fill(source, buf, &mut filled).map(|()| filled)
}

/// The same; `filled` counts also what came before an error.
fn fill(source: &mut (impl Read + ?Sized), buf: &mut [u8], filled: &mut usize) -> io::Result<()> {
    while *filled < buf.len() {
        match source.read(&mut buf[*filled..]) {
            Ok(0) => break,
            Ok(n) => *filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
