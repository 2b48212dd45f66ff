//! The index file: little-endian, fixed-size records, read where they lie.
//!
//! | section  | each       | what |
//! |----------|-----------:|------|
//! | header   |  128 bytes | magic, version, BLAKE3 of all that follows it, diff id, tar size, counts |
//! | inodes   |   48 bytes | attributes and one payload word; inode 0 is the root |
//! | names    |   12 bytes | of one directory side by side, sorted: where the name lies, its length, a mark, its inode |
//! | extents  |   24 bytes | of one sparse file side by side, sorted: offset in file, offset in tar, length |
//! | strings  |            | names, link targets, attribute sets |
//!
//! | payload of      | first word             | second word |
//! |-----------------|------------------------|-------------|
//! | directory       | first name             | how many    |
//! | symlink, link   | target in the strings  | its length  |
//! | device          | major                  | minor       |
//! | sparse file     | first extent           | how many    |
//! | other file      | offset in the tar, both words together | |
//!
//! The section lengths follow from the counts, and the file is exactly as long as their sum. Every accessor still
//! checks its bounds: whatever the bytes are, reading them may give nonsense but never panics.

use super::Timestamp;
use super::sparse::Extent;

/// First bytes of every index.
pub(super) const MAGIC: &[u8; 8] = b"rbuildix";
/// Changes with every change of the layout; another version is stale.
pub(super) const VERSION: u32 = 1;
/// Length of the header.
pub(super) const HEADER: usize = 128;
/// Where the checksum lies, and where what it covers begins.
pub(super) const CHECKSUM: std::ops::Range<usize> = 16..48;
/// Length of one inode.
pub(super) const INODE: usize = 48;
/// Length of one name.
pub(super) const NAME: usize = 12;
/// Length of one extent.
pub(super) const EXTENT: usize = 24;

/// Inode mark: a directory that hides everything below.
pub(super) const OPAQUE: u8 = 1;
/// Inode mark: a directory without entry of its own.
pub(super) const IMPLICIT: u8 = 2;
/// Inode mark: a file in several extents.
pub(super) const SPARSE: u8 = 4;
/// Name mark: a whiteout; its inode means nothing.
pub(super) const WHITEOUT: u16 = 1;

/// What an inode's first byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Type {
    File = 0,
    Directory = 1,
    Symlink = 2,
    Char = 3,
    Block = 4,
    Fifo = 5,
    LinkBelow = 6,
}

impl Type {
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        let all = [
            Self::File,
            Self::Directory,
            Self::Symlink,
            Self::Char,
            Self::Block,
            Self::Fifo,
            Self::LinkBelow,
        ];
        all.get(usize::from(byte)).copied()
    }
}

/// One inode. `links` and, of a directory, `payload` are known at the end only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) kind: Type,
    pub(super) marks: u8,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Timestamp,
    pub(super) size: u64,
    pub(super) payload: [u32; 2],
    pub(super) links: u32,
    /// Where the attribute set lies in the strings; 0 is none (the strings begin with a byte that nothing uses).
    pub(super) xattrs: u32,
}

impl Record {
    /// A directory that was only named as a parent.
    pub(super) const IMPLICIT_DIRECTORY: Self = Self {
        kind: Type::Directory,
        marks: IMPLICIT,
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: Timestamp { secs: 0, nanos: 0 },
        size: 0,
        payload: [0, 0],
        links: 0,
        xattrs: 0,
    };

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.kind as u8, self.marks]);
        out.extend_from_slice(&self.mode.to_le_bytes());
        put(out, [self.uid, self.gid]);
        out.extend_from_slice(&self.mtime.secs.to_le_bytes());
        put(out, [self.mtime.nanos]);
        out.extend_from_slice(&self.size.to_le_bytes());
        put(out, self.payload);
        put(out, [self.links, self.xattrs]);
    }

    pub(super) fn read(bytes: &[u8; INODE]) -> Option<Self> {
        let secs = u64_at(bytes, 12).cast_signed();
        Some(Self {
            kind: Type::from_byte(bytes[0])?,
            marks: bytes[1],
            mode: u16_at(bytes, 2),
            uid: u32_at(bytes, 4),
            gid: u32_at(bytes, 8),
            mtime: Timestamp { secs, nanos: u32_at(bytes, 20) },
            size: u64_at(bytes, 24),
            payload: [u32_at(bytes, 32), u32_at(bytes, 36)],
            links: u32_at(bytes, 40),
            xattrs: u32_at(bytes, 44),
        })
    }
}

/// A file's one extent begins at this offset in the tar.
pub(super) fn payload_of(tar: u64) -> [u32; 2] {
    let bytes = tar.to_le_bytes();
    [u32_at(&bytes, 0), u32_at(&bytes, 4)]
}

/// The inverse of [`payload_of`].
pub(super) fn offset_of(payload: [u32; 2]) -> u64 {
    u64::from(payload[1]) << 32 | u64::from(payload[0])
}

pub(super) fn write_extent(extent: Extent, out: &mut Vec<u8>) {
    for value in [extent.file, extent.tar, extent.len] {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

pub(super) fn read_extent(bytes: &[u8; EXTENT]) -> Extent {
    Extent { file: u64_at(bytes, 0), tar: u64_at(bytes, 8), len: u64_at(bytes, 16) }
}

/// Appends words.
pub(super) fn put<const N: usize>(out: &mut Vec<u8>, words: [u32; N]) {
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

/// The number at an offset; 0 where there is none.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u16::from_le_bytes(*chunk))
}

/// The number at an offset; 0 where there is none.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}

/// The number at an offset; 0 where there is none.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u64::from_le_bytes(*chunk))
}
