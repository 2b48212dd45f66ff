//! A tar being unpacked by its caller: entries with their content.

use std::io::{self, Read};

use super::members::Members;
use super::sparse::Extent;
use super::spool::Spool;
use super::tape::Tape;
use super::{Entry, EntryKind, Error, Limits};

/// Reads a tar entry by entry. `.wh.` names are NOT interpreted here.
///
/// Reading from it gives the current entry's bytes, sparse files with their holes as zeros.
pub struct TarReader<R: Read> {
    members: Members<R>,
    /// What is left of the current entry's map, the next extent last.
    data: Vec<Extent>,
    /// Offset in the current file, and its length.
    at: u64,
    size: u64,
}

impl<R: Read> TarReader<R> {
    /// Reads the uncompressed tar `source`, see [`super::decompress`].
    pub fn new(source: R, limits: Limits) -> Self {
        let tape = Tape::new(source, Spool::pass());
        Self { members: Members::new(tape, limits), data: Vec::new(), at: 0, size: 0 }
    }

    /// Skips what is left of the current entry and returns the next; `None` at the end of the archive.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        (self.at, self.size) = (0, 0);
        let Some(member) = self.members.next()? else { return Ok(None) };
        if let EntryKind::File { size } = member.entry.kind {
            self.size = size;
        }
        self.data = member.data;
        self.data.reverse();
        Ok(Some(member.entry))
    }

    /// The extent at the current offset or after it.
    fn next_extent(&mut self) -> Option<Extent> {
        while self.data.last().is_some_and(|extent| extent.file + extent.len <= self.at) {
            self.data.pop();
        }
        self.data.last().copied()
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (hole_end, data_end) = match self.next_extent() {
            Some(extent) => (extent.file, extent.file + extent.len),
            None => (self.size, self.size),
        };
        let end = if self.at < hole_end { hole_end } else { data_end };
        let len = usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX).min(buf.len());
        let buf = &mut buf[..len];
        if self.at < hole_end {
            buf.fill(0);
        } else {
            self.members.read(buf).map_err(into_io)?;
        }
        self.at += len as u64;
        Ok(len)
    }
}

fn into_io(error: Error) -> io::Error {
    let kind = match &error {
        Error::Entry { .. } => io::ErrorKind::UnexpectedEof,
        Error::Read { source, .. } => source.kind(),
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
