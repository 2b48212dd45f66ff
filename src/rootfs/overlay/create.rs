//! New names: files, directories, symlinks, devices and further names of what exists.

use super::attributes::{Attributes, now};
use super::tree::{Data, Directory, Id, Inode, Kind, Tree};
use super::{Errno, Overlay};
use crate::layer::Xattrs;
use crate::rootfs::Owner;
use crate::rootfs::acl::{self, Acl};

/// Permission bits as `open`, `mkdir` or `mknod` was given them, and the caller's umask, which a default ACL of the
/// directory overrides. Where the kernel took the umask off already, it is 0 here.
#[derive(Clone, Copy, Debug)]
pub struct Modes {
    pub mode: u32,
    pub umask: u32,
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
    /// Creates `name` in `parent`.
    pub fn create(
        &self,
        parent: Id,
        name: &[u8],
        new: New<'_>,
        modes: Modes,
        owner: Owner,
    ) -> Result<Attributes, Errno> {
        let mut tree = self.tree_mut();
        tree.expect_free(parent, name)?;
        let inode = tree.fresh(parent, new, modes, owner)?;
        let id = tree.insert(inode);
        tree.name(parent, name, id)?;
        tree.referenced(id)
    }

    /// Creates a file without a name (`O_TMPFILE`), as if in `parent`. It is gone with its last reference, unless
    /// [`Self::link`] gives it a name before.
    pub fn create_unnamed(&self, parent: Id, modes: Modes, owner: Owner) -> Result<Attributes, Errno> {
        let mut tree = self.tree_mut();
        if tree.inode(parent)?.nlink == 0 {
            return Err(Errno::NOENT);
        }
        let mut inode = tree.fresh(parent, New::File, modes, owner)?;
        inode.nlink = 0;
        let id = tree.insert(inode);
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

    pub fn fresh(&mut self, parent: Id, new: New<'_>, modes: Modes, owner: Owner) -> Result<Inode, Errno> {
        let above = self.inode(parent)?;
        let inherits = above.mode & 0o2000 != 0;
        let gid = if inherits { above.gid } else { owner.gid };
        let is_directory = matches!(new, New::Directory);
        let (mode, xattrs) = match new {
            New::Symlink(_) => (modes.mode, Xattrs::new()),
            _ => self.permissions(parent, is_directory, modes)?,
        };
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
            gid,
            atime: time,
            mtime: time,
            ctime: time,
            xattrs: Some(xattrs),
            nlink: 1,
            lookups: 0,
            below: None,
        })
    }

    /// Mode and lists of what is made in `parent`: its default list takes the place of the umask.
    fn permissions(&mut self, parent: Id, is_directory: bool, modes: Modes) -> Result<(u32, Xattrs), Errno> {
        let mut xattrs = Xattrs::new();
        let Some(default) = self.xattrs(parent)?.get(acl::DEFAULT).cloned() else {
            return Ok((modes.mode & !modes.umask, xattrs));
        };
        let access = Acl::parse(&default)?.inherited(modes.mode);
        if !access.is_minimal() {
            xattrs.insert(acl::ACCESS.to_vec(), access.to_bytes());
        }
        if is_directory {
            xattrs.insert(acl::DEFAULT.to_vec(), default);
        }
        Ok((access.to_mode(modes.mode), xattrs))
    }

    /// Enters `name` into `parent`, whose content thereby changed.
    pub fn name(&mut self, parent: Id, name: &[u8], id: Id) -> Result<(), Errno> {
        self.count_out(parent, name)?;
        let directory = self.directory_mut(parent)?;
        directory.attach(name, id);
        self.inode_mut(parent)?.modified();
        if let Kind::Directory(moved) = &mut self.inode_mut(id)?.kind {
            moved.parent = parent;
            self.directory_mut(parent)?.subdirectories += 1;
        }
        Ok(())
    }

    /// `name` is about to lead elsewhere: a directory is one subdirectory less.
    fn count_out(&mut self, parent: Id, name: &[u8]) -> Result<(), Errno> {
        let Some(id) = self.directory(parent)?.find(name) else { return Ok(()) };
        if matches!(self.inode(id)?.kind, Kind::Directory(_)) {
            let directory = self.directory_mut(parent)?;
            directory.subdirectories = directory.subdirectories.saturating_sub(1);
        }
        Ok(())
    }

    /// Takes `name` out of `parent`, also the stack's.
    pub fn hide(&mut self, parent: Id, name: &[u8]) -> Result<(), Errno> {
        let below = self.inode(parent)?.below.as_ref();
        let is_below = below.is_some_and(|below| self.stack.child(below, name).is_some());
        self.count_out(parent, name)?;
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
