//! Searching an index where it lies. The layout is in [`super::format`].

use std::fmt;
use std::fs::File;
use std::ops::{Deref, Range};

use rbuild_userns::map::Map;

use super::format::{self, CHECKSUM, EXTENT, HEADER, INODE, MAGIC, NAME, Record, Type, VERSION};
use super::sparse::Extent;
use super::{Child, Error, Ino, Inode, Kind, Timestamp};
use crate::oci::{DiffId, Digest};

/// A layer's index: memory-mapped (or in memory), read without a parse.
///
/// An inode number that this index does not have is answered like an empty file without name.
pub struct Index {
    bytes: Bytes,
    inodes: Range<usize>,
    names: Range<usize>,
    extents: Range<usize>,
    strings: Range<usize>,
}

enum Bytes {
    Mapped(Map),
    Owned(Vec<u8>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl Index {
    /// The root directory's inode.
    pub const ROOT: Ino = Ino(0);

    /// Maps `file`. Errors with [`Error::StaleIndex`] (rebuild it) where magic, version, diff id, tar size or checksum
    /// disagree.
    pub fn open(file: &File, diff_id: DiffId, tar_size: u64) -> Result<Self, Error> {
        let index = Self::new(Bytes::Mapped(Map::new(file)?))?;
        if index.diff_id() != diff_id || index.tar_size() != tar_size {
            return Err(Error::StaleIndex);
        }
        Ok(index)
    }

    /// An index that was just made ([`super::Written::index`]). Errors with [`Error::StaleIndex`] where magic, version
    /// or checksum disagree.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Error> {
        Self::new(Bytes::Owned(bytes))
    }

    fn new(bytes: Bytes) -> Result<Self, Error> {
        let covered = bytes.get(CHECKSUM.end..).ok_or(Error::StaleIndex)?;
        let known = bytes.starts_with(MAGIC) && format::u32_at(&bytes, MAGIC.len()) == VERSION;
        if !known || bytes[CHECKSUM] != *blake3::hash(covered).as_bytes() {
            return Err(Error::StaleIndex);
        }
        Self::lay_out(bytes).ok_or(Error::StaleIndex)
    }

    /// Where the sections lie, by the counts in the header.
    fn lay_out(bytes: Bytes) -> Option<Self> {
        let mut end = HEADER;
        let mut section = |count_at: usize, each: usize| {
            let start = end;
            let count = usize::try_from(format::u32_at(&bytes, count_at)).ok()?;
            end = count.checked_mul(each)?.checked_add(start)?;
            Some(start..end)
        };
        let inodes = section(88, INODE)?;
        let names = section(92, NAME)?;
        let extents = section(96, EXTENT)?;
        let strings = section(100, 1)?;
        (strings.end == bytes.len() && !inodes.is_empty()).then_some(Self {
            bytes,
            inodes,
            names,
            extents,
            strings,
        })
    }

    /// The tar this index belongs to.
    pub fn diff_id(&self) -> DiffId {
        let bytes = self.bytes.get(CHECKSUM.end..).and_then(<[u8]>::first_chunk);
        DiffId(Digest::from_bytes(bytes.copied().unwrap_or_default()))
    }

    /// The length of that tar, in bytes.
    pub fn tar_size(&self) -> u64 {
        format::u64_at(&self.bytes, 80)
    }

    /// How many inodes there are: they are numbered from 0.
    pub fn inodes(&self) -> u32 {
        format::u32_at(&self.bytes, 88)
    }

    /// The attributes of `ino`.
    pub fn inode(&self, ino: Ino) -> Inode<'_> {
        let Some(record) = self.record(ino) else { return NOTHING };
        let [first, second] = record.payload;
        let kind = match record.kind {
            Type::File => Kind::File,
            Type::Directory => Kind::Directory,
            Type::Symlink => Kind::Symlink(self.text(first, second)),
            Type::Char => Kind::Char { major: first, minor: second },
            Type::Block => Kind::Block { major: first, minor: second },
            Type::Fifo => Kind::Fifo,
            Type::LinkBelow => Kind::LinkBelow(self.text(first, second)),
        };
        Inode {
            kind,
            mode: u32::from(record.mode),
            uid: record.uid,
            gid: record.gid,
            mtime: record.mtime,
            size: record.size,
            nlink: record.links,
            opaque: record.marks & format::OPAQUE != 0,
            implicit: record.marks & format::IMPLICIT != 0,
        }
    }

    /// What this layer says of `name` in directory `dir`. A binary search.
    pub fn lookup(&self, dir: Ino, name: &[u8]) -> Option<Child> {
        let names = self.names_of(dir);
        let at = names.binary_search_by(|row| self.name(row).cmp(name)).ok()?;
        names.get(at).map(child)
    }

    /// The names in directory `dir`, sorted by their bytes; whiteouts included.
    pub fn children(&self, dir: Ino) -> Box<dyn Iterator<Item = (&[u8], Child)> + '_> {
        Box::new(self.names_of(dir).iter().map(|row| (self.name(row), child(row))))
    }

    /// The extended attributes of `ino`, sorted by name.
    pub fn xattrs(&self, ino: Ino) -> Box<dyn Iterator<Item = (&[u8], &[u8])> + '_> {
        let at = self.record(ino).map_or(0, |record| record.xattrs);
        let mut set = match at {
            0 => &[][..],
            at => self.text(at.saturating_add(4), format::u32_at(self.strings(), at as usize)),
        };
        Box::new(std::iter::from_fn(move || {
            let (lengths, rest) = set.split_at_checked(8)?;
            let (name, rest) = rest.split_at_checked(format::u32_at(lengths, 0) as usize)?;
            let (value, rest) = rest.split_at_checked(format::u32_at(lengths, 4) as usize)?;
            set = rest;
            Some((name, value))
        }))
    }

    /// Where a file's bytes lie: (offset in file, offset in tar, length); holes are absent. Sorted.
    pub fn extents(&self, ino: Ino) -> Box<dyn Iterator<Item = (u64, u64, u64)> + '_> {
        Box::new(self.extents_from(ino, 0).map(|extent| (extent.file, extent.tar, extent.len)))
    }

    /// The extents that end behind `offset`: a binary search, then in order.
    pub(super) fn extents_from(&self, ino: Ino, offset: u64) -> impl Iterator<Item = Extent> + '_ {
        let record = self.record(ino).filter(|record| record.kind == Type::File);
        let sparse = record.is_some_and(|record| record.marks & format::SPARSE != 0);
        let whole = record.filter(|record| !sparse && record.size > offset).map(|record| Extent {
            file: 0,
            tar: format::offset_of(record.payload),
            len: record.size,
        });
        let [first, count] = record.filter(|_| sparse).map_or([0, 0], |record| record.payload);
        let rows = rows::<EXTENT>(self.section(&self.extents), first, count);
        let behind = rows.partition_point(|row| {
            let extent = format::read_extent(row);
            extent.file.saturating_add(extent.len) <= offset
        });
        whole.into_iter().chain(rows.iter().skip(behind).map(format::read_extent))
    }

    fn record(&self, ino: Ino) -> Option<Record> {
        Record::read(rows::<INODE>(self.section(&self.inodes), ino.0, 1).first()?)
    }

    fn names_of(&self, dir: Ino) -> &[[u8; NAME]] {
        let directory = self.record(dir).filter(|record| record.kind == Type::Directory);
        let [first, count] = directory.map_or([0, 0], |record| record.payload);
        rows(self.section(&self.names), first, count)
    }

    fn name(&self, row: &[u8; NAME]) -> &[u8] {
        self.text(format::u32_at(row, 0), u32::from(format::u16_at(row, 4)))
    }

    /// A piece of the strings; empty where they have none there.
    fn text(&self, start: u32, len: u32) -> &[u8] {
        let start = start as usize;
        self.strings().get(start..start.saturating_add(len as usize)).unwrap_or_default()
    }

    fn strings(&self) -> &[u8] {
        self.section(&self.strings)
    }

    fn section(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }
}

/// `count` rows from number `first`; none where not all are there.
fn rows<const N: usize>(section: &[u8], first: u32, count: u32) -> &[[u8; N]] {
    let (rows, _) = section.as_chunks::<N>();
    let first = first as usize;
    rows.get(first..first.saturating_add(count as usize)).unwrap_or_default()
}

fn child(row: &[u8; NAME]) -> Child {
    if format::u16_at(row, 6) & format::WHITEOUT != 0 {
        Child::Whiteout
    } else {
        Child::Node(Ino(format::u32_at(row, 8)))
    }
}

const NOTHING: Inode<'static> = Inode {
    kind: Kind::File,
    mode: 0,
    uid: 0,
    gid: 0,
    mtime: Timestamp { secs: 0, nanos: 0 },
    size: 0,
    nlink: 0,
    opaque: false,
    implicit: false,
};

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("diff_id", &self.diff_id())
            .field("tar_size", &self.tar_size())
            .field("inodes", &self.inodes())
            .finish_non_exhaustive()
    }
}
