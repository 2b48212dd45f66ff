//! What a file occupies: truncation, allocation, holes, copies inside the file system, and the file system's own
//! figures.

use rustix::fs::{FallocateFlags, SeekFrom, StatVfs};

use super::attributes::Attributes;
use super::copy_up::{ON_DISK, Own, copy_range};
use super::data::{Stored, errno};
use super::tree::{Data, Id, Tree};
use super::{Errno, Overlay};

/// Where to seek to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    Data,
    Hole,
}

/// One call copies at most this, in bytes, so that it can be interrupted; callers loop.
const COPY: u64 = 16 << 20;

impl Overlay {
    /// Makes `id` `size` bytes long.
    pub fn truncate(&self, id: Id, size: u64) -> Result<(), Errno> {
        if i64::try_from(size).is_err() {
            return Err(Errno::FBIG);
        }
        loop {
            let mut tree = self.tree_mut();
            if tree.data(id)?.size() == size {
                tree.inode_mut(id)?.modified();
                return Ok(());
            }
            if size == 0 && matches!(tree.data(id)?, Data::Below { .. }) {
                *tree.data_mut(id)? = Data::EMPTY;
            }
            if tree.resize_memory(id, size)? == Stored::Yes {
                return Ok(());
            }
            drop(tree);
            if let Own::File(file) = self.own(id, size, size)? {
                file.set_len(size).map_err(|error| errno(&error))?;
                let mut tree = self.tree_mut();
                *tree.data_mut(id)? = Data::Backed { size, dense: false };
                tree.inode_mut(id)?.modified();
                return Ok(());
            }
        }
    }

    /// `fallocate(2)` with the flags FUSE passes on: keep size, punch hole, zero range.
    pub fn allocate(&self, id: Id, offset: u64, length: u64, flags: FallocateFlags) -> Result<(), Errno> {
        let known = FallocateFlags::KEEP_SIZE | FallocateFlags::PUNCH_HOLE | FallocateFlags::ZERO_RANGE;
        if !known.contains(flags) {
            return Err(Errno::OPNOTSUPP);
        }
        let Own::File(file) = self.own(id, u64::MAX, ON_DISK)? else { return Err(Errno::IO) };
        rustix::fs::fallocate(&file, flags, offset, length)?;
        let end = if flags.contains(FallocateFlags::KEEP_SIZE) { 0 } else { offset + length };
        self.tree_mut().allocated(id, end)
    }

    /// The next data or hole of `id` at or after `offset`; a file's end counts as a hole.
    pub fn seek(&self, id: Id, offset: u64, to: Seek) -> Result<u64, Errno> {
        let tree = self.tree();
        let data = tree.data(id)?;
        let size = data.size();
        if offset >= size {
            return Err(Errno::NXIO);
        }
        match (data, to) {
            (Data::Memory(_), Seek::Data) => Ok(offset),
            (Data::Memory(_), Seek::Hole) => Ok(size),
            (Data::Below { layer, ino, .. }, _) => {
                tree.reads(*layer, *ino);
                let extents =
                    self.stack.layers()[*layer].index.extents(*ino).map(|(start, _, count)| (start, count));
                seek_extents(extents, size, offset, to)
            }
            (Data::Backed { .. }, _) => {
                let file = self.backing.open(id).map_err(|error| errno(&error))?;
                let target = match to {
                    Seek::Data => SeekFrom::Data(offset),
                    Seek::Hole => SeekFrom::Hole(offset),
                };
                // It moves the descriptor's offset, which nothing else here uses.
                rustix::fs::seek(&file, target)
            }
        }
    }

    /// Copies up to `count` bytes from one file to another (or elsewhere in the same); returns how many.
    pub fn copy_between(&self, from: (Id, u64), to: (Id, u64), count: u64) -> Result<u64, Errno> {
        let size = self.tree().data(from.0)?.size();
        let count = size.saturating_sub(from.1).min(count).min(COPY);
        if count == 0 {
            return Ok(0);
        }
        if let (Some(source), Own::File(target)) = (self.backed(from.0)?, self.own(to.0, u64::MAX, ON_DISK)?)
        {
            copy_range(&source, from.1, &target, to.1, count).map_err(|error| errno(&error))?;
            self.tree_mut().grow(to.0, to.1, to.1 + count)?;
            return Ok(count);
        }
        let mut copied = 0;
        let mut buffer = vec![0; usize::try_from(count.min(1 << 20)).map_err(|_| Errno::INVAL)?];
        while copied < count {
            let chunk = usize::try_from(count - copied).unwrap_or(usize::MAX).min(buffer.len());
            let read = self.read(from.0, from.1 + copied, &mut buffer[..chunk])?;
            match self.write(to.0, to.1 + copied, &buffer[..read]) {
                Ok(0) => break,
                Ok(written) => copied += written as u64,
                Err(_) if copied > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(copied)
    }

    fn backed(&self, id: Id) -> Result<Option<std::sync::Arc<std::fs::File>>, Errno> {
        if matches!(self.tree().data(id)?, Data::Backed { .. }) {
            return self.backing.open(id).map(Some).map_err(|error| errno(&error));
        }
        Ok(None)
    }

    /// `attributes` with what a file with holes really occupies. Where that cannot be asked, they keep what a file without
    /// holes would occupy: whoever reads the bytes is told what is wrong, and whoever lists a directory gets its names.
    pub fn measured(&self, tree: &Tree, mut attributes: Attributes) -> Attributes {
        let occupied = match tree.data(attributes.id) {
            Ok(Data::Backed { dense: false, .. }) => {
                let file = self.backing.open(attributes.id).ok();
                file.and_then(|file| rustix::fs::fstat(&*file).ok())
                    .map(|stat| stat.st_blocks.cast_unsigned())
            }
            Ok(&Data::Below { layer, ino, .. }) => {
                let extents = self.stack.layers()[layer].index.extents(ino);
                Some(extents.map(|(_, _, count)| count.div_ceil(512)).sum())
            }
            _ => None,
        };
        attributes.blocks = occupied.unwrap_or(attributes.blocks);
        attributes
    }

    /// The figures of the file system the file data is on.
    pub fn statistics(&self) -> Result<StatVfs, Errno> {
        rustix::fs::statvfs(self.backing.directory())
    }
}

/// `extents`: (offset, length) of the data, sorted; what lies between are holes.
fn seek_extents(
    extents: impl Iterator<Item = (u64, u64)>,
    size: u64,
    offset: u64,
    to: Seek,
) -> Result<u64, Errno> {
    let mut at = offset;
    for (start, count) in extents {
        match to {
            Seek::Data if start + count > offset => return Ok(start.max(offset)),
            Seek::Hole if at < start => return Ok(at),
            Seek::Hole if at < start + count => at = start + count,
            _ => {}
        }
    }
    match to {
        Seek::Data => Err(Errno::NXIO),
        Seek::Hole => Ok(at.min(size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_and_holes_are_found() {
        // 10 bytes of data at 10, 10 at 20, a hole, 5 at 40, a hole to 50.
        let extents = [(10, 10), (20, 10), (40, 5)];
        for (offset, data, hole) in [
            (0, Ok(10), Ok(0)),
            (10, Ok(10), Ok(30)),
            (15, Ok(15), Ok(30)),
            (29, Ok(29), Ok(30)),
            (30, Ok(40), Ok(30)),
            (44, Ok(44), Ok(45)),
            (45, Err(Errno::NXIO), Ok(45)),
        ] {
            assert_eq!(seek_extents(extents.into_iter(), 50, offset, Seek::Data), data, "data from {offset}");
            assert_eq!(seek_extents(extents.into_iter(), 50, offset, Seek::Hole), hole, "hole from {offset}");
        }
    }
}
