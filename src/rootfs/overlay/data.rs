//! Reading and writing the bytes of regular files.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::copy_up::Own;
use super::tree::{Data, Id, Tree};
use super::{Errno, Overlay};
use crate::layer::{Ino, Layer};

/// A file this small, in bytes, stays in memory, ...
pub const SMALL: u64 = 64 << 10;
/// ... as long as all of them together stay below this.
const MEMORY: u64 = 64 << 20;

/// Where to read from, once the tree is unlocked.
pub enum Source {
    Below(Arc<Layer>, Ino),
    File(Arc<File>),
}

impl Source {
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Below(layer, ino) => layer.read_at(*ino, buffer, offset),
            Self::File(file) => file.read_at(buffer, offset),
        }
    }
}

/// Whether a change found its file's bytes in memory and room for them there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    Yes,
    No,
}

impl Overlay {
    /// Fills `into` with the bytes of `id` from `offset` on; returns how far, less than all only at its end.
    pub fn read(&self, id: Id, offset: u64, into: &mut [u8]) -> Result<usize, Errno> {
        let (source, count) = {
            let tree = self.tree();
            let data = tree.data(id)?;
            let count = data.size().saturating_sub(offset).min(into.len() as u64);
            // Both fit: `count` came as a usize, and memory is indexed by what it holds.
            let count = usize::try_from(count).map_err(|_| Errno::INVAL)?;
            match data {
                _ if count == 0 => return Ok(0),
                Data::Memory(bytes) => {
                    let start = usize::try_from(offset).map_err(|_| Errno::INVAL)?;
                    into[..count].copy_from_slice(&bytes[start..start + count]);
                    return Ok(count);
                }
                Data::Below { layer, ino, .. } => {
                    tree.reads(*layer, *ino);
                    (self.below(*layer, *ino), count)
                }
                Data::Backed { .. } => (Source::File(self.backing.open(id).map_err(|e| errno(&e))?), count),
            }
        };
        let mut filled = 0;
        while filled < count {
            match source.read_at(&mut into[filled..count], offset + filled as u64) {
                Ok(0) => break, // the file shrank meanwhile
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(errno(&error)),
            }
        }
        Ok(filled)
    }

    /// Writes `bytes` at `offset`. Returns how many were written: fewer only when the disk became full.
    pub fn write(&self, id: Id, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let end = offset.checked_add(bytes.len() as u64).filter(|end| i64::try_from(*end).is_ok());
        let end = end.ok_or(Errno::FBIG)?;
        loop {
            if self.tree_mut().write_memory(id, offset, bytes, end)? == Stored::Yes {
                return Ok(bytes.len());
            }
            // Memory: copied up just now. Somebody else may take that room first; then the file is next.
            if let Own::File(file) = self.own(id, u64::MAX, end)? {
                let written = write_at(&file, bytes, offset)?;
                self.tree_mut().grow(id, offset, offset + written as u64)?;
                return Ok(written);
            }
        }
    }

    pub fn below(&self, layer: usize, ino: Ino) -> Source {
        Source::Below(Arc::clone(&self.stack.layers()[layer]), ino)
    }

    /// Notes a write from the page cache that nobody can be told about any more.
    pub fn lose(&self, id: Id, error: Errno) {
        self.tree_mut().lost.get_or_insert((id, error));
    }
}

impl Tree {
    /// Whether a file in memory may be `size` bytes long, `held` of which it has already.
    pub fn has_room(&self, held: u64, size: u64) -> bool {
        size <= SMALL && self.memory + size.saturating_sub(held) <= MEMORY
    }

    fn write_memory(&mut self, id: Id, offset: u64, bytes: &[u8], end: u64) -> Result<Stored, Errno> {
        if !matches!(self.data(id)?, Data::Memory(_)) {
            return Ok(Stored::No);
        }
        let size = self.data(id)?.size();
        if end > size && self.resize_memory(id, end)? == Stored::No {
            return Ok(Stored::No);
        }
        if let Data::Memory(held) = self.data_mut(id)? {
            // Memory files end below SMALL, and the file now reaches `end`.
            let start = usize::try_from(offset).map_err(|_| Errno::FBIG)?;
            held[start..start + bytes.len()].copy_from_slice(bytes);
        }
        self.inode_mut(id)?.modified();
        Ok(Stored::Yes)
    }

    /// Makes a file in memory `size` bytes long, if it is one and has room.
    pub fn resize_memory(&mut self, id: Id, size: u64) -> Result<Stored, Errno> {
        let held = match self.data(id)? {
            Data::Memory(bytes) => bytes.len() as u64,
            _ => return Ok(Stored::No),
        };
        if !self.has_room(held, size) {
            return Ok(Stored::No);
        }
        self.memory = self.memory - held + size;
        if let Data::Memory(bytes) = self.data_mut(id)? {
            bytes.resize(usize::try_from(size).map_err(|_| Errno::FBIG)?, 0);
        }
        self.inode_mut(id)?.modified();
        Ok(Stored::Yes)
    }

    /// A backed file was written from `start` to `end`.
    pub fn grow(&mut self, id: Id, start: u64, end: u64) -> Result<(), Errno> {
        if let Data::Backed { size, dense } = self.data_mut(id)? {
            *dense &= start <= *size;
            *size = end.max(*size);
        }
        self.inode_mut(id)?.modified();
        Ok(())
    }

    /// A backed file reaches at least `end` now, and occupies more or less than it is long.
    pub fn allocated(&mut self, id: Id, end: u64) -> Result<(), Errno> {
        self.grow(id, u64::MAX, end)
    }
}

/// Writes as much as there is room for; an error only if nothing could be written.
fn write_at(file: &File, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
    let mut written = 0;
    while written < bytes.len() {
        match file.write_at(&bytes[written..], offset + written as u64) {
            Ok(0) => break,
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) if written > 0 => break,
            Err(error) => return Err(errno(&error)),
        }
    }
    Ok(written)
}

/// The number behind an error of ours; EIO where there is none.
pub fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
