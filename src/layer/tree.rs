//! The index in the making: names and inodes in the order of the tar, then laid out for searching.
//!
//! Two million entries must fit into some hundred megabytes, so names lie in one arena, a name costs 20 bytes and an
//! inode 56, and one hash table finds a name by its directory. What was replaced stays behind unreachable and is left
//! out at the end.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use super::format::{self, EXTENT, INODE, NAME, Record, Type};
use super::sparse::Extent;
use super::{Entry, EntryKind, Fault, Metadata, Name, Xattrs, path};

/// Symlinks followed on the way to one parent, as many as Linux follows.
const SYMLINKS: usize = 40;
/// No inode, no name.
const NONE: u32 = u32::MAX;
const ROOT: u32 = 0;

/// Grows by [`Tree::insert`], ends as an index's bytes.
pub(super) struct Tree {
    pub(super) inodes: Vec<Record>,
    pub(super) names: Vec<Link>,
    pub(super) extents: Vec<Extent>,
    pub(super) strings: Vec<u8>,
    /// From the hash of a directory and a name to the first of the names that have it.
    table: HashMap<u64, u32>,
    hasher: RandomState,
    /// Attribute sets that are in the strings already: most files of a labelled system have the same.
    xattrs: HashMap<Vec<u8>, u32>,
    /// The parent of the last entry; the next one's is mostly the same.
    parent: (Vec<u8>, u32),
    limit: u64,
}

/// A name in a directory.
pub(super) struct Link {
    pub(super) directory: u32,
    pub(super) start: u32,
    pub(super) len: u8,
    /// The layers below are not to show through.
    pub(super) whiteout: bool,
    /// The inode, or [`NONE`].
    pub(super) inode: u32,
    /// The next name with the same hash, or [`NONE`].
    next: u32,
}

/// Whether a walk makes the directories that are not there.
#[derive(Clone, Copy)]
enum Missing {
    Create,
    Stop,
}

impl Tree {
    /// An empty root directory. The index will not be larger than `limit` bytes.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            inodes: vec![Record::IMPLICIT_DIRECTORY],
            names: Vec::new(),
            extents: Vec::new(),
            strings: vec![0],
            table: HashMap::new(),
            hasher: RandomState::new(),
            xattrs: HashMap::new(),
            parent: (Vec::new(), ROOT),
            // Places in the strings are 32 bits wide.
            limit: limit.min(u64::from(u32::MAX)),
        }
    }

    /// Takes in the next entry of the tar, whose bytes lie at `data`.
    pub(super) fn insert(&mut self, entry: &Entry, data: &[Extent]) -> Result<(), Fault> {
        self.place(entry, data)?;
        let size = self.inodes.len() * INODE + self.names.len() * NAME + self.extents.len() * EXTENT;
        if (format::HEADER + size + self.strings.len()) as u64 > self.limit {
            return Err(Fault::IndexTooLarge { limit: self.limit });
        }
        Ok(())
    }

    fn place(&mut self, entry: &Entry, data: &[Extent]) -> Result<(), Fault> {
        let Some((parent, name)) = path::split(&entry.path) else {
            if entry.kind != EntryKind::Directory {
                return Err(Fault::RootNotDirectory);
            }
            self.describe(ROOT, &entry.meta);
            return Ok(());
        };
        // AUFS kept hard links under a reserved name; its tree is built like any other, and left out at the end.
        let reserved = |name: &[u8]| name.starts_with(path::WHITEOUT) && !name.starts_with(path::RESERVED);
        if path::components(parent).any(reserved) {
            return Err(Fault::Reserved);
        }
        let directory = self.parent_of(parent)?;
        if name == path::OPAQUE {
            self.inodes[directory as usize].marks |= format::OPAQUE;
            return Ok(());
        }
        if reserved(name) {
            let hidden = &name[path::WHITEOUT.len()..];
            if matches!(hidden, b"" | b"." | b"..") {
                return Err(Fault::Reserved);
            }
            let link = self.link(directory, hidden);
            self.names[link].whiteout = true;
            return Ok(());
        }
        match &entry.kind {
            EntryKind::Directory => self.directory(directory, name, &entry.meta),
            EntryKind::Hardlink(target) => self.hard_link(directory, name, target, &entry.meta)?,
            kind => {
                let record = self.record(kind, &entry.meta, data);
                self.replace(directory, name, record);
            }
        }
        Ok(())
    }

    fn directory(&mut self, parent: u32, name: &[u8], meta: &Metadata) {
        let existing = self.find(parent, name).map(|link| self.names[link].inode);
        let inode = match existing {
            Some(inode) if self.is_directory(inode) => inode,
            _ => self.replace(parent, name, Record::IMPLICIT_DIRECTORY),
        };
        self.describe(inode, meta);
    }

    /// Within the layer a hard link is one more name of an inode; its own attributes say nothing new.
    fn hard_link(&mut self, parent: u32, name: &[u8], target: &[u8], meta: &Metadata) -> Result<(), Fault> {
        match self.lookup(target)? {
            Some(inode) if self.is_directory(inode) => Err(Fault::LinkToDirectory(Name::from(target))),
            Some(inode) => {
                let link = self.link(parent, name);
                self.point(link, inode);
                Ok(())
            }
            None => {
                let payload = self.string(target);
                let record = self.attributes(Type::LinkBelow, meta, payload);
                self.replace(parent, name, record);
                Ok(())
            }
        }
    }

    fn record(&mut self, kind: &EntryKind, meta: &Metadata, data: &[Extent]) -> Record {
        match kind {
            EntryKind::Symlink(target) => {
                let payload = self.string(target);
                self.attributes(Type::Symlink, meta, payload)
            }
            EntryKind::Char { major, minor } => self.attributes(Type::Char, meta, [*major, *minor]),
            EntryKind::Block { major, minor } => self.attributes(Type::Block, meta, [*major, *minor]),
            EntryKind::File { size } => self.file(*size, meta, data),
            EntryKind::Fifo | EntryKind::Directory | EntryKind::Hardlink(_) => {
                self.attributes(Type::Fifo, meta, [0, 0])
            }
        }
    }

    fn file(&mut self, size: u64, meta: &Metadata, data: &[Extent]) -> Record {
        let (marks, payload) = match data {
            [whole] if whole.file == 0 && whole.len == size => (0, format::payload_of(whole.tar)),
            [] if size == 0 => (0, [0, 0]),
            extents => {
                let first = self.extents.len();
                self.extents.extend_from_slice(extents);
                (format::SPARSE, [narrow(first), narrow(extents.len())])
            }
        };
        Record { marks, size, ..self.attributes(Type::File, meta, payload) }
    }

    fn attributes(&mut self, kind: Type, meta: &Metadata, payload: [u32; 2]) -> Record {
        let implicit = Record::IMPLICIT_DIRECTORY;
        let xattrs = self.xattr_set(&meta.xattrs);
        let mode = u16::try_from(meta.mode & 0o7777).unwrap_or(0);
        let Metadata { uid, gid, mtime, .. } = *meta;
        Record { kind, marks: 0, mode, uid, gid, mtime, payload, xattrs, ..implicit }
    }

    /// Gives a directory that is there its own attributes; its name's place and its opaque mark stay.
    fn describe(&mut self, directory: u32, meta: &Metadata) {
        let described = self.attributes(Type::Directory, meta, [0, 0]);
        let record = &mut self.inodes[directory as usize];
        *record = Record { marks: record.marks & format::OPAQUE, ..described };
    }

    /// A new inode under a name, whatever the name was before.
    fn replace(&mut self, parent: u32, name: &[u8], mut record: Record) -> u32 {
        let link = self.link(parent, name);
        let before = self.names[link].inode;
        if record.kind == Type::Directory && before != NONE {
            // Unpacked in order, the file has hidden what was below, and the directory starts empty.
            record.marks |= format::OPAQUE;
        }
        let inode = narrow(self.inodes.len());
        self.inodes.push(record);
        self.point(link, inode);
        inode
    }

    fn point(&mut self, link: usize, inode: u32) {
        let before = std::mem::replace(&mut self.names[link].inode, inode);
        if before != NONE {
            // The remembered parent may have led through it.
            self.parent = (Vec::new(), ROOT);
        }
    }

    /// The directory at `path`, made where it is missing.
    fn parent_of(&mut self, path: &[u8]) -> Result<u32, Fault> {
        if self.parent.0 != path {
            let inode = self.walk(path, Missing::Create)?.unwrap_or(ROOT);
            self.parent = (path.to_vec(), inode);
        }
        Ok(self.parent.1)
    }

    /// The inode at `path`, if this layer has it.
    pub(super) fn lookup(&mut self, path: &[u8]) -> Result<Option<u32>, Fault> {
        let Some((parent, name)) = path::split(path) else { return Ok(Some(ROOT)) };
        let Some(parent) = self.walk(parent, Missing::Stop)? else { return Ok(None) };
        Ok(self.find(parent, name).map(|link| self.names[link].inode).filter(|inode| *inode != NONE))
    }

    /// Goes down to a directory, through the symlinks of this layer, never above the root.
    fn walk(&mut self, path: &[u8], missing: Missing) -> Result<Option<u32>, Fault> {
        let mut above = vec![ROOT];
        let mut todo: Vec<Vec<u8>> = path::components(path).rev().map(<[u8]>::to_vec).collect();
        let mut followed = 0;
        while let Some(name) = todo.pop() {
            let directory = above.last().copied().unwrap_or(ROOT);
            match name.as_slice() {
                b"." => continue,
                b".." => {
                    above.truncate(above.len().saturating_sub(1).max(1));
                    continue;
                }
                _ => {}
            }
            let inode = self.find(directory, &name).map_or(NONE, |link| self.names[link].inode);
            let record = self.inodes.get(inode as usize).copied();
            match (record.map(|record| (record.kind, record.payload)), missing) {
                (Some((Type::Directory, _)), _) => above.push(inode),
                (Some((Type::Symlink, target)), _) => {
                    followed += 1;
                    if followed > SYMLINKS {
                        return Err(Fault::SymlinkLoop);
                    }
                    let target = self.text(target);
                    if target.first() == Some(&b'/') {
                        above.truncate(1);
                    }
                    todo.extend(path::components(target).rev().map(<[u8]>::to_vec));
                }
                (_, Missing::Stop) => return Ok(None),
                (_, Missing::Create) => {
                    above.push(self.replace(directory, &name, Record::IMPLICIT_DIRECTORY));
                }
            }
        }
        Ok(above.last().copied())
    }

    fn is_directory(&self, inode: u32) -> bool {
        self.inodes.get(inode as usize).is_some_and(|record| record.kind == Type::Directory)
    }

    /// Where a name of a directory is, if it is.
    fn find(&self, directory: u32, name: &[u8]) -> Option<usize> {
        let mut at = *self.table.get(&self.hasher.hash_one((directory, name)))?;
        while at != NONE {
            let link = &self.names[at as usize];
            if link.directory == directory && self.name(link) == name {
                return Some(at as usize);
            }
            at = link.next;
        }
        None
    }

    /// Where a name of a directory is; made where it is missing.
    fn link(&mut self, directory: u32, name: &[u8]) -> usize {
        if let Some(at) = self.find(directory, name) {
            return at;
        }
        let at = self.names.len();
        let [start, _] = self.string(name);
        let len = u8::try_from(name.len()).unwrap_or(u8::MAX); // `path::clean` lets no more through
        let hash = self.hasher.hash_one((directory, name));
        let next = self.table.insert(hash, narrow(at)).unwrap_or(NONE);
        self.names.push(Link { directory, start, len, whiteout: false, inode: NONE, next });
        at
    }

    pub(super) fn name(&self, link: &Link) -> &[u8] {
        self.text([link.start, u32::from(link.len)])
    }

    pub(super) fn text(&self, [start, len]: [u32; 2]) -> &[u8] {
        &self.strings[start as usize..][..len as usize]
    }

    fn string(&mut self, text: &[u8]) -> [u32; 2] {
        let start = narrow(self.strings.len());
        self.strings.extend_from_slice(text);
        [start, narrow(text.len())]
    }

    /// The length of the set, then for each attribute its lengths, its name and its value.
    fn xattr_set(&mut self, xattrs: &Xattrs) -> u32 {
        if xattrs.is_empty() {
            return 0;
        }
        let mut set = Vec::new();
        for (name, value) in xattrs {
            format::put(&mut set, [narrow(name.len()), narrow(value.len())]);
            set.extend_from_slice(name);
            set.extend_from_slice(value);
        }
        if let Some(at) = self.xattrs.get(&set) {
            return *at;
        }
        let at = narrow(self.strings.len());
        format::put(&mut self.strings, [narrow(set.len())]);
        self.strings.extend_from_slice(&set);
        self.xattrs.insert(set, at);
        at
    }
}

/// Lengths and places are below the tree's limit, which fits 32 bits, when they are used: [`Tree::insert`] refuses
/// before the tree is laid out.
pub(super) fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(NONE)
}
