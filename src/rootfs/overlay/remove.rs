//! Names taken away.

use super::attributes::now;
use super::tree::{Id, Kind, Tree};
use super::{Errno, Overlay};

impl Overlay {
    pub fn unlink(&self, parent: Id, name: &[u8]) -> Result<(), Errno> {
        let mut tree = self.tree_mut();
        let id = tree.child(parent, name)?.ok_or(Errno::NOENT)?;
        if matches!(tree.inode(id)?.kind, Kind::Directory(_)) {
            return Err(Errno::ISDIR);
        }
        tree.unname(parent, name)?;
        let backed = tree.drop_name(id)?;
        drop(tree);
        if backed {
            self.backing.remove(id);
        }
        Ok(())
    }

    pub fn rmdir(&self, parent: Id, name: &[u8]) -> Result<(), Errno> {
        let mut tree = self.tree_mut();
        let id = tree.child(parent, name)?.ok_or(Errno::NOENT)?;
        tree.expect_empty(id)?;
        tree.unname(parent, name)?;
        tree.drop_name(id)?;
        Ok(())
    }
}

impl Tree {
    pub fn expect_empty(&mut self, id: Id) -> Result<(), Errno> {
        self.complete(id)?;
        if self.directory(id)?.is_empty() { Ok(()) } else { Err(Errno::NOTEMPTY) }
    }

    /// One name less leads to `id`. Returns whether its backing file may go.
    pub fn drop_name(&mut self, id: Id) -> Result<bool, Errno> {
        let inode = self.inode_mut(id)?;
        inode.nlink = inode.nlink.saturating_sub(1);
        inode.ctime = now();
        Ok(self.reap(id))
    }
}
