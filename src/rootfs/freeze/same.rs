//! Whether something on disk is, after all, what the stack has there: a `chown -R` that changes no owner copies up what
//! it touches, and a layer should not hold it twice.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;

use super::entry::{Body, Entry};
use super::walk::metadata_in;
use crate::layer::Kind;
use crate::rootfs::{Node, Stack};

/// Bytes compared at once.
const CHUNK: usize = 256 << 10;

/// Whether `entry`, which is no directory, says what `node` says. Bytes are read only where all else is the same, the
/// time of modification to the nanosecond included.
pub(in crate::rootfs) fn is_same(entry: &Entry, stack: &Stack, node: &Node) -> io::Result<bool> {
    let inode = stack.inode(node);
    if entry.meta != metadata_in(stack, node) {
        return Ok(false);
    }
    Ok(match (&entry.body, inode.kind) {
        (Body::File { file, size }, Kind::File) => *size == inode.size && same_bytes(stack, node, file)?,
        (Body::Symlink(target), Kind::Symlink(below)) => target == below,
        (Body::Char { major, minor }, Kind::Char { major: at, minor: below })
        | (Body::Block { major, minor }, Kind::Block { major: at, minor: below }) => {
            (*major, *minor) == (at, below)
        }
        (Body::Fifo, Kind::Fifo) => true,
        _ => false,
    })
}

/// The file's position stays: it is still to be read into the layer.
fn same_bytes(stack: &Stack, node: &Node, file: impl AsFd) -> io::Result<bool> {
    let file = File::from(file.as_fd().try_clone_to_owned()?);
    let (mut below, mut here) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut offset = 0;
    loop {
        let count = stack.read_at(node, &mut below, offset)?;
        if count == 0 {
            return Ok(true);
        }
        match file.read_exact_at(&mut here[..count], offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        if here[..count] != below[..count] {
            return Ok(false);
        }
        offset += count as u64;
    }
}
