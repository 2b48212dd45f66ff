//! Owners where one id is mapped: kept in the tree, while the kernel is shown root.

use super::attributes::{Attributes, now};
use super::create::{Modes, New};
use super::privileges::CAPABILITY;
use super::tree::{Id, Tree};
use super::{Errno, Overlay};
use crate::rootfs::{Files, Ids, Inode, Maker, Owner, Ownership, Record};

impl Tree {
    /// What `stat` shows of `id`.
    pub fn shown(&self, id: Id) -> Result<Attributes, Errno> {
        let attributes = self.inode(id)?.attributes(id);
        Ok(match self.ids {
            Ids::Mapped => attributes,
            // An owner that is not mapped would forbid root itself to write.
            Ids::Recorded(_) => Attributes { uid: 0, gid: 0, ..attributes },
        })
    }
}

impl Overlay {
    /// The owner of what `thread` makes, whom the kernel calls `caller`.
    pub fn creator(&self, thread: u32, caller: Owner) -> Owner {
        match &self.ids {
            Ids::Mapped => caller,
            Ids::Recorded(creators) => creators.owner(thread),
        }
    }
}

/// A mounted overlay's owners.
pub struct Recorded {
    pub overlay: std::sync::Arc<Overlay>,
    /// `st_dev` of the mount.
    pub device: u64,
}

impl Ownership for Recorded {
    fn holds(&self, device: u64) -> bool {
        self.device == device
    }

    fn record(&self, inode: &Inode) -> Option<Record> {
        let tree = self.overlay.tree();
        let inode = tree.inode(inode.number).ok()?;
        let owner = Owner { uid: inode.uid, gid: inode.gid };
        Some(Record { owner, changed: Some((inode.ctime.secs, inode.ctime.nanos)), device: None })
    }

    fn set_owner(&self, inode: &Inode, owner: Owner) -> Result<(), Errno> {
        let mut tree = self.overlay.tree_mut();
        let inode = tree.inode_mut(inode.number)?;
        (inode.uid, inode.gid) = (owner.uid, owner.gid);
        inode.ctime = now();
        Ok(())
    }

    fn files(&self) -> Files<'_> {
        Files::Served(self)
    }
}

impl Maker for Recorded {
    fn has_capabilities(&self, inode: &Inode) -> bool {
        self.overlay.xattr(inode.number, CAPABILITY).is_ok()
    }

    fn make_device(
        &self,
        directory: &Inode,
        name: &[u8],
        (mode, umask): (u32, u32),
        device: u32,
        owner: Owner,
    ) -> Result<(), Errno> {
        let new = match rustix::fs::FileType::from_raw_mode(mode) {
            rustix::fs::FileType::CharacterDevice => New::Char(device),
            rustix::fs::FileType::BlockDevice => New::Block(device),
            _ => return Err(Errno::INVAL),
        };
        let made = self.overlay.create(directory.number, name, new, Modes { mode, umask }, owner)?;
        // the kernel knows nothing of it yet
        self.overlay.forget(made.id, 1);
        Ok(())
    }
}
