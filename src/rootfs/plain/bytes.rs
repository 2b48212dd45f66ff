//! The bytes of a file: from the layer's tar to a file of their own.
//!
//! The tar lies on the same file system, so `copy_file_range(2)` copies inside the kernel, and shares the blocks where the
//! file system can (btrfs, xfs, bcachefs). Sharing wants both offsets on a block's boundary, and a tar aligns data to 512
//! bytes: of blocks of 4 KiB one file in eight happens to lie right. FICLONERANGE has the same rule.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rustix::fs::copy_file_range;
use rustix::io::Errno;

use crate::layer::{Ino, Layer};

/// Up to here, in bytes, a read and a write cost less than `copy_file_range(2)`, which sets up a pipe.
const SMALL: u64 = 64 << 10;
/// Bytes copied at once.
const CHUNK: usize = 256 << 10;

/// Writes a file of the layer into `to`, which is empty. Holes stay holes.
pub(super) fn copy(layer: &Layer, ino: Ino, to: &File) -> io::Result<()> {
    let mut end = 0;
    for (at, from, len) in layer.index.extents(ino) {
        if len <= SMALL || !copy_inside(&layer.tar, from, to, at, len)? {
            copy_through(&layer.tar, from, to, at, len)?;
        }
        end = at + len;
    }
    let size = layer.index.inode(ino).size;
    if end < size { to.set_len(size) } else { Ok(()) }
}

/// Returns whether the kernel can do it here.
fn copy_inside(from: &File, start: u64, to: &File, at: u64, len: u64) -> io::Result<bool> {
    let (mut from_at, mut to_at) = (start, at);
    while to_at < at + len {
        let left = usize::try_from(at + len - to_at).unwrap_or(usize::MAX);
        match copy_file_range(from, Some(&mut from_at), to, Some(&mut to_at), left) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            // Two file systems, or one that cannot, or a kernel before 4.5.
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) if to_at == at => {
                return Ok(false);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(true)
}

fn copy_through(from: &File, start: u64, to: &File, at: u64, len: u64) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK.min(usize::try_from(len).unwrap_or(CHUNK))];
    let mut done = 0;
    while done < len {
        let count = chunk.len().min(usize::try_from(len - done).unwrap_or(CHUNK));
        from.read_exact_at(&mut chunk[..count], start + done)?;
        to.write_all_at(&chunk[..count], at + done)?;
        done += count as u64;
    }
    Ok(())
}
