//! Looking at inodes and changing their attributes. Who may do what is the kernel's business
//! (`default_permissions`); so is clearing setuid, setgid and capabilities.

use std::time::{SystemTime, UNIX_EPOCH};

use super::privileges::By;
use super::tree::{Data, Id, Inode, Kind, Tree};
use super::{Errno, Overlay};
pub use crate::fuse::{Attributes, FileType};
use crate::layer::Timestamp;
use crate::rootfs::Ids;

/// What `SETATTR` asks for; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes {
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub size: Option<u64>,
    pub atime: Option<Timestamp>,
    pub mtime: Option<Timestamp>,
    pub ctime: Option<Timestamp>,
    /// Setuid, setgid and capabilities go, since this one changes the file.
    pub loses_privileges: Option<By>,
}

/// The clock, as new times of files take it.
pub fn now() -> Timestamp {
    // A host clock before 1970 shows as 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp { secs: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: since.subsec_nanos() }
}

impl Inode {
    pub fn attributes(&self, id: Id) -> Attributes {
        let (kind, size, device) = match &self.kind {
            Kind::File(data) => (FileType::File, data.size(), 0),
            Kind::Directory(_) => (FileType::Directory, 0, 0),
            Kind::Symlink(target) => (FileType::Symlink, target.len() as u64, 0),
            Kind::Char(device) => (FileType::Char, 0, *device),
            Kind::Block(device) => (FileType::Block, 0, *device),
            Kind::Fifo => (FileType::Fifo, 0, 0),
            Kind::Socket => (FileType::Socket, 0, 0),
        };
        Attributes {
            id,
            kind,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            nlink: self.shown_links(),
            device,
            size,
            blocks: size.div_ceil(512),
            atime: self.atime.into(),
            mtime: self.mtime.into(),
            ctime: self.ctime.into(),
        }
    }

    /// A directory's links are its name, its `.` and each `..` in it. One that comes from the stack shows 1, as merged
    /// directories of overlayfs do: it says "not counted", and spares reading all its names.
    fn shown_links(&self) -> u32 {
        match &self.kind {
            Kind::Directory(directory) if self.nlink > 0 && self.below.is_none() => {
                2 + directory.subdirectories
            }
            _ => self.nlink,
        }
    }

    /// The content changed now.
    pub fn modified(&mut self) {
        self.mtime = now();
        self.ctime = self.mtime;
    }
}

impl Tree {
    /// The attributes of `id`, counting one more reference of the kernel's.
    pub fn referenced(&mut self, id: Id) -> Result<Attributes, Errno> {
        self.inode_mut(id)?.lookups += 1;
        self.shown(id)
    }
}

impl Overlay {
    /// The inode behind a name; `None` if there is nothing, which the kernel may remember too.
    pub fn lookup(&self, parent: Id, name: &[u8]) -> Result<Option<Attributes>, Errno> {
        let mut tree = self.tree_mut();
        match tree.child(parent, name)? {
            Some(id) => tree.referenced(id).map(|found| Some(self.measured(&tree, found))),
            None => Ok(None),
        }
    }

    /// The kernel gave back `count` references.
    pub fn forget(&self, id: Id, count: u64) {
        let mut tree = self.tree_mut();
        let Ok(inode) = tree.inode_mut(id) else { return };
        inode.lookups = inode.lookups.saturating_sub(count);
        if tree.reap(id) {
            drop(tree);
            self.backing.remove(id);
        }
    }

    pub fn attributes(&self, id: Id) -> Result<Attributes, Errno> {
        let tree = self.tree();
        Ok(self.measured(&tree, tree.shown(id)?))
    }

    pub fn set_attributes(&self, id: Id, changes: &Changes) -> Result<Attributes, Errno> {
        // The size first: it is the one change that can fail, and a failed call changes nothing.
        if let Some(size) = changes.size {
            self.truncate(id, size)?;
        }
        let mut tree = self.tree_mut();
        if let Some(mode) = changes.mode {
            tree.change_mode(id, mode)?;
        }
        if let Some(by) = changes.loses_privileges {
            tree.clear_privileges(id, by)?;
        }
        let inode = tree.inode_mut(id)?;
        if let Ids::Mapped = self.ids {
            inode.uid = changes.uid.unwrap_or(inode.uid);
            inode.gid = changes.gid.unwrap_or(inode.gid);
        }
        inode.atime = changes.atime.unwrap_or(inode.atime);
        inode.mtime = changes.mtime.unwrap_or(inode.mtime);
        inode.ctime = changes.ctime.unwrap_or_else(now);
        Ok(self.measured(&tree, tree.shown(id)?))
    }

    pub fn read_link(&self, id: Id) -> Result<Box<[u8]>, Errno> {
        match &self.tree().inode(id)?.kind {
            Kind::Symlink(target) => Ok(target.clone()),
            _ => Err(Errno::INVAL),
        }
    }
}

impl Data {
    /// A file without bytes.
    pub const EMPTY: Self = Self::Memory(Vec::new());
}
