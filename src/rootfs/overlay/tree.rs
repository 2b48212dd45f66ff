//! The tree in memory: inodes by number, and what a directory knows of its names.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Errno;
use crate::layer::{Ino, Timestamp, Xattrs};
use crate::rootfs::stack::Links;
use crate::rootfs::trace::Trace;
use crate::rootfs::{Ids, Node, Stack};

/// An inode's number, as `stat` shows it; never given twice.
pub type Id = u64;

/// The root directory: what FUSE calls `FUSE_ROOT_ID`.
pub const ROOT: Id = 1;

/// A file, directory or anything else that names lead to.
pub struct Inode {
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: 0o7777.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub atime: Timestamp,
    pub mtime: Timestamp,
    pub ctime: Timestamp,
    /// `None`: as below, not read yet.
    pub xattrs: Option<Xattrs>,
    /// Names that lead here, also those of the stack that nobody has looked up. 0: removed, still open somewhere.
    pub nlink: u32,
    /// References the kernel holds, given back with `FORGET`.
    pub lookups: u64,
    /// What the stack has for this inode: its bytes, its attributes, a directory's names.
    pub below: Option<Node>,
}

/// What an inode is.
pub enum Kind {
    File(Data),
    Directory(Directory),
    Symlink(Box<[u8]>),
    /// A device number in the kernel's 32-bit encoding.
    Char(u32),
    Block(u32),
    Fifo,
    Socket,
}

/// Where a regular file's bytes are.
pub enum Data {
    /// In a layer's tar: never written so far.
    Below { layer: usize, ino: Ino, size: u64 },
    /// Here. Bounded per file and in sum: see `space`.
    Memory(Vec<u8>),
    /// In `live/<id>`. `dense`: no byte was left out, so it occupies what it is long.
    Backed { size: u64, dense: bool },
}

impl Data {
    pub fn size(&self) -> u64 {
        match self {
            Self::Below { size, .. } | Self::Backed { size, .. } => *size,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }
}

/// A directory's names: those known here, those taken away, and (through [`Inode::below`]) the stack's.
#[derive(Default)]
pub struct Directory {
    pub parent: Id,
    names: HashMap<Arc<[u8]>, Entry>,
    /// Names in the order they appeared. A reader's position is a key of this map, so it stays right whatever
    /// comes and goes.
    order: BTreeMap<u64, Arc<[u8]>>,
    /// The position the next new name takes. Never one that was taken before.
    next: u64,
    /// Names of the stack that are hidden; one that is also in `names` has been made anew.
    pub gone: HashSet<Box<[u8]>>,
    /// All of the stack's names have been read into `names`.
    pub complete: bool,
    /// Stubs were made in it for the step and have been taken out again, which changed its time.
    pub held_stubs: bool,
    /// Directories that the step made or moved here.
    pub subdirectories: u32,
}

#[derive(Clone, Copy)]
struct Entry {
    id: Id,
    cookie: u64,
}

/// Cookies 1 and 2 are `.` and `..`.
const FIRST_COOKIE: u64 = 3;

impl Directory {
    pub fn new(parent: Id) -> Self {
        Self { parent, ..Self::default() }
    }

    pub fn find(&self, name: &[u8]) -> Option<Id> {
        self.names.get(name).map(|entry| entry.id)
    }

    /// Whether the stack may still have `name` although it is not known here.
    pub fn may_have(&self, name: &[u8]) -> bool {
        !self.complete && !self.gone.contains(name)
    }

    /// Adds `name`, or makes it lead to another inode.
    pub fn attach(&mut self, name: &[u8], id: Id) {
        if let Some(entry) = self.names.get_mut(name) {
            entry.id = id;
            return;
        }
        let cookie = self.next.max(FIRST_COOKIE);
        self.next = cookie + 1;
        let name: Arc<[u8]> = name.into();
        self.order.insert(cookie, Arc::clone(&name));
        self.names.insert(name, Entry { id, cookie });
    }

    pub fn detach(&mut self, name: &[u8]) {
        if let Some(entry) = self.names.remove(name) {
            self.order.remove(&entry.cookie);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Names and inodes, unsorted.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], Id)> {
        self.names.iter().map(|(name, entry)| (&**name, entry.id))
    }

    /// (cookie, name, inode) of what follows the position `after`.
    pub fn entries_after(&self, after: u64) -> impl Iterator<Item = (u64, &Arc<[u8]>, Id)> {
        let from = after.saturating_add(1).max(FIRST_COOKIE);
        self.order.range(from..).filter_map(|(cookie, name)| Some((*cookie, name, self.find(name)?)))
    }
}

/// All inodes. Methods that may have to read the stack take `&mut self`.
pub struct Tree {
    pub(super) stack: Stack,
    pub(super) ids: Ids,
    inodes: HashMap<Id, Inode>,
    next: Id,
    /// How many names the stack's files have; counted when the first file is asked for.
    pub(super) links: Option<Links>,
    /// Inodes of the stack's files that are here already, so that two names of one file meet in one inode.
    pub(super) adopted: HashMap<(usize, Ino), Id>,
    /// Bytes of small files held in memory.
    pub(super) memory: u64,
    /// The first write from the page cache that could not be stored. Nobody was told: the freeze must.
    pub(super) lost: Option<(Id, Errno)>,
    /// What is told of the stack, where somebody wants to know.
    pub(super) trace: Option<Arc<Trace>>,
}

impl Tree {
    pub fn new(stack: Stack, ids: Ids, trace: Option<Arc<Trace>>) -> Self {
        let mut tree = Self {
            inodes: HashMap::new(),
            next: ROOT,
            links: None,
            adopted: HashMap::new(),
            memory: 0,
            lost: None,
            trace,
            stack,
            ids,
        };
        let root = tree.stack.root();
        tree.adopt(root, ROOT);
        tree
    }

    pub fn inode(&self, id: Id) -> Result<&Inode, Errno> {
        self.inodes.get(&id).ok_or(Errno::STALE)
    }

    pub fn inode_mut(&mut self, id: Id) -> Result<&mut Inode, Errno> {
        self.inodes.get_mut(&id).ok_or(Errno::STALE)
    }

    pub fn directory(&self, id: Id) -> Result<&Directory, Errno> {
        match &self.inode(id)?.kind {
            Kind::Directory(directory) => Ok(directory),
            _ => Err(Errno::NOTDIR),
        }
    }

    pub fn directory_mut(&mut self, id: Id) -> Result<&mut Directory, Errno> {
        match &mut self.inode_mut(id)?.kind {
            Kind::Directory(directory) => Ok(directory),
            _ => Err(Errno::NOTDIR),
        }
    }

    pub fn data(&self, id: Id) -> Result<&Data, Errno> {
        match &self.inode(id)?.kind {
            Kind::File(data) => Ok(data),
            Kind::Directory(_) => Err(Errno::ISDIR),
            _ => Err(Errno::INVAL),
        }
    }

    pub fn data_mut(&mut self, id: Id) -> Result<&mut Data, Errno> {
        match &mut self.inode_mut(id)?.kind {
            Kind::File(data) => Ok(data),
            Kind::Directory(_) => Err(Errno::ISDIR),
            _ => Err(Errno::INVAL),
        }
    }

    pub fn insert(&mut self, inode: Inode) -> Id {
        let id = self.next;
        self.next += 1;
        self.inodes.insert(id, inode);
        id
    }

    /// Drops `id` if neither a name nor the kernel refers to it. Returns whether its backing file may go too.
    ///
    #[must_use]
    pub fn reap(&mut self, id: Id) -> bool {
        let Some(inode) = self.inodes.get(&id) else { return false };
        if inode.nlink > 0 || inode.lookups > 0 || id == ROOT {
            return false;
        }
        let backed = match &inode.kind {
            Kind::File(Data::Memory(bytes)) => {
                self.memory -= bytes.len() as u64;
                false
            }
            Kind::File(Data::Backed { .. }) => true,
            _ => false,
        };
        if let Some(below) = &inode.below {
            self.adopted.remove(&self.stack.file_id(below));
        }
        self.inodes.remove(&id);
        backed
    }
}
