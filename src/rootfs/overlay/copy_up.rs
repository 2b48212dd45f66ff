//! Copy-up: give a file its own bytes before its first change.
//!
//! Only bytes are ever copied, and only those that stay: a truncation to nothing copies nothing, a `chmod` neither.
//! The tree learns of the copy when it is complete, so a disk that fills up midway leaves the file as it was below.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::data::{Source, errno};
use super::tree::{Data, Id};
use super::{Errno, Overlay};
use crate::layer::{Ino, Layer};

/// Where a file's own bytes are. `Memory` says no more than "try there": others may be quicker.
pub enum Own {
    Memory,
    File(Arc<File>),
}

/// Asked as `size` of [`Overlay::own`]: larger than what memory takes.
pub const ON_DISK: u64 = u64::MAX;

impl Overlay {
    /// Makes the bytes of `id` its own, keeping at most `kept` of them, in a place that can hold `size`.
    pub fn own(&self, id: Id, kept: u64, size: u64) -> Result<Own, Errno> {
        if matches!(self.tree().data(id)?, Data::Backed { .. }) {
            return Ok(Own::File(self.backing.open(id).map_err(|error| errno(&error))?));
        }
        let _one_at_a_time = self.copying();
        let tree = self.tree();
        match tree.data(id)? {
            Data::Backed { .. } => Ok(Own::File(self.backing.open(id).map_err(|error| errno(&error))?)),
            Data::Memory(bytes) if tree.has_room(bytes.len() as u64, size) => Ok(Own::Memory),
            Data::Memory(_) => {
                drop(tree);
                self.spill(id)
            }
            &Data::Below { layer, ino, size: held } => {
                let kept = kept.min(held);
                let to_memory = tree.has_room(0, kept.max(size));
                if kept > 0 {
                    tree.reads(layer, ino);
                }
                drop(tree);
                let source = Arc::clone(&self.stack.layers()[layer]);
                if to_memory { self.raise(id, source, ino, kept) } else { self.copy(id, &source, ino, kept) }
            }
        }
    }

    /// Moves a small file from memory to the disk, because it grows or memory is short. The tree stays locked: what
    /// moves is no more than [`SMALL`](super::data::SMALL), and a write between would be lost.
    fn spill(&self, id: Id) -> Result<Own, Errno> {
        let mut tree = self.tree_mut();
        let Data::Memory(bytes) = tree.data(id)? else { return Ok(Own::Memory) };
        let size = bytes.len() as u64;
        let file = self.backing.create(id).map_err(|error| errno(&error))?;
        if let Err(error) = file.write_all_at(bytes, 0) {
            self.backing.remove(id);
            return Err(errno(&error));
        }
        *tree.data_mut(id)? = Data::Backed { size, dense: true };
        tree.memory -= size;
        Ok(Own::File(file))
    }

    /// Reads a small file of the stack into memory.
    fn raise(&self, id: Id, layer: Arc<Layer>, ino: Ino, kept: u64) -> Result<Own, Errno> {
        let mut bytes = vec![0; usize::try_from(kept).map_err(|_| Errno::FBIG)?];
        read_exact(&Source::Below(layer, ino), &mut bytes, 0).map_err(|error| errno(&error))?;
        let mut tree = self.tree_mut();
        if matches!(tree.data(id)?, Data::Below { .. }) {
            *tree.data_mut(id)? = Data::Memory(bytes);
            tree.memory += kept;
        }
        Ok(Own::Memory)
    }

    /// Copies the first `kept` bytes of a file of the stack to the disk.
    fn copy(&self, id: Id, layer: &Arc<Layer>, ino: Ino, kept: u64) -> Result<Own, Errno> {
        let file = self.backing.create(id).map_err(|error| errno(&error))?;
        if let Err(error) = copy_extents(layer, ino, &file, kept) {
            self.backing.remove(id);
            return Err(errno(&error));
        }
        let mut tree = self.tree_mut();
        let data = tree.data_mut(id)?;
        if !matches!(data, Data::Below { .. }) {
            // Truncated to nothing meanwhile: that copies nothing and waits for nobody.
            self.backing.remove(id);
            return Ok(Own::Memory);
        }
        *data = Data::Backed { size: kept, dense: false };
        Ok(Own::File(file))
    }
}

/// Copies a file's first `kept` bytes out of its layer's tar; holes stay holes.
fn copy_extents(layer: &Layer, ino: Ino, to: &File, kept: u64) -> io::Result<()> {
    to.set_len(kept)?;
    for (offset, in_tar, length) in layer.index.extents(ino) {
        if offset >= kept {
            break;
        }
        copy_range(&layer.tar, in_tar, to, offset, length.min(kept - offset))?;
    }
    Ok(())
}

/// Copies `count` bytes between two files, in the kernel where it can.
pub fn copy_range(from: &File, mut at: u64, to: &File, mut target: u64, count: u64) -> io::Result<()> {
    let end = target + count;
    while target < end {
        let left = usize::try_from(end - target).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut target), left) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            // Not between these file systems, or not on this one.
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                return copy_through_memory(from, at, to, target, end);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_through_memory(from: &File, mut at: u64, to: &File, mut target: u64, end: u64) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    while target < end {
        let count = usize::try_from(end - target).unwrap_or(usize::MAX).min(buffer.len());
        from.read_exact_at(&mut buffer[..count], at)?;
        to.write_all_at(&buffer[..count], target)?;
        at += count as u64;
        target += count as u64;
    }
    Ok(())
}

fn read_exact(source: &Source, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match source.read_at(buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                offset += count as u64;
                buffer = &mut buffer[count..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
