//! New names: files, directories, symlinks, devices and further names of what exists.

use super::attributes::{Attributes, now};
use super::tree::{Data, Directory, Id, Inode, Kind, Tree};
use super::{Errno, Overlay};
use crate::layer::Xattrs;

/// Who creates, as the kernel tells it: ids inside the mount's user namespace.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// What to create.
#[derive(Clone, Copy, Debug)]
pub enum New<'a> {
    File,
    Directory,
    Symlink(&'a [u8]),
    Char(u32),
    Block(u32),
    Fifo,
    Socket,
}

impl Overlay {
    /// Creates `name` in `parent`. `mode`: permission bits, the umask already taken off.
    pub fn create(
        &self,
        parent: Id,
        name: &[u8],
        new: New<'_>,
        mode: u32,
        owner: Owner,
    ) -> Result<Attributes, Errno> {
        let mut tree = self.tree_mut();
        tree.expect_free(parent, name)?;
        let inode = tree.fresh(parent, new, mode, owner)?;
        let id = tree.insert(inode);
        tree.name(parent, name, id)?;
        tree.referenced(id)
    }

    /// Gives inode `id` the further name `name` in `parent`.
    pub fn link(&self, id: Id, parent: Id, name: &[u8]) -> Result<Attributes, Errno> {
        let mut tree = self.tree_mut();
        tree.expect_free(parent, name)?;
        let inode = tree.inode_mut(id)?;
        if matches!(inode.kind, Kind::Directory(_)) {
            return Err(Errno::PERM);
        }
        inode.nlink += 1;
        inode.ctime = now();
        tree.name(parent, name, id)?;
        tree.referenced(id)
    }
}

impl Tree {
    fn expect_free(&mut self, parent: Id, name: &[u8]) -> Result<(), Errno> {
        if self.inode(parent)?.nlink == 0 {
            return Err(Errno::NOENT); // a directory that was removed while somebody works in it
        }
        match self.child(parent, name)? {
            Some(_) => Err(Errno::EXIST),
            None => Ok(()),
        }
    }

    fn fresh(&self, parent: Id, new: New<'_>, mode: u32, owner: Owner) -> Result<Inode, Errno> {
        let above = self.inode(parent)?;
        let inherits = above.mode & 0o2000 != 0;
        let is_directory = matches!(new, New::Directory);
        let kind = match new {
            New::File => Kind::File(Data::EMPTY),
            New::Directory => Kind::Directory(Directory::new(parent)),
            New::Symlink(target) => Kind::Symlink(target.into()),
            New::Char(device) => Kind::Char(device),
            New::Block(device) => Kind::Block(device),
            New::Fifo => Kind::Fifo,
            New::Socket => Kind::Socket,
        };
        let time = now();
        Ok(Inode {
            kind,
            mode: (mode & 0o7777) | if inherits && is_directory { 0o2000 } else { 0 },
            uid: owner.uid,
            gid: if inherits { above.gid } else { owner.gid },
            atime: time,
            mtime: time,
            ctime: time,
            xattrs: Some(Xattrs::new()),
            nlink: 1,
            lookups: 0,
            below: None,
        })
    }

    /// Enters `name` into `parent`, whose content thereby changed.
    pub fn name(&mut self, parent: Id, name: &[u8], id: Id) -> Result<(), Errno> {
        self.directory_mut(parent)?.attach(name, id);
        self.inode_mut(parent)?.modified();
        if let Kind::Directory(directory) = &mut self.inode_mut(id)?.kind {
            directory.parent = parent;
        }
        Ok(())
    }

    /// Takes `name` out of `parent`, also the stack's.
    pub fn hide(&mut self, parent: Id, name: &[u8]) -> Result<(), Errno> {
        let below = self.inode(parent)?.below.as_ref();
        let is_below = below.is_some_and(|below| self.stack.child(below, name).is_some());
        let directory = self.directory_mut(parent)?;
        directory.detach(name);
        if is_below {
            directory.gone.insert(name.into());
        }
        Ok(())
    }

    /// Takes `name` out of `parent`, whose content thereby changed.
    pub fn unname(&mut self, parent: Id, name: &[u8]) -> Result<(), Errno> {
        self.hide(parent, name)?;
        self.inode_mut(parent)?.modified();
        Ok(())
    }
}
