//! Extended attributes: `user.*` and `security.*`, kept as they are given.

use super::attributes::now;
use super::tree::Id;
use super::{Errno, Overlay};

/// What `setxattr` allows (`XATTR_CREATE`, `XATTR_REPLACE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    Any,
    Create,
    Replace,
}

/// The kernel's bound on one value (`XATTR_SIZE_MAX`) and on the list of names (`XATTR_LIST_MAX`), in bytes.
const LARGEST: usize = 65_536;

impl Overlay {
    pub fn set_xattr(&self, id: Id, name: &[u8], value: &[u8], setting: Setting) -> Result<(), Errno> {
        expect_settable(name)?;
        let mut tree = self.tree_mut();
        let xattrs = tree.xattrs(id)?;
        match (setting, xattrs.contains_key(name)) {
            (Setting::Create, true) => return Err(Errno::EXIST),
            (Setting::Replace, false) => return Err(Errno::NODATA),
            _ => {}
        }
        let names: usize = xattrs.keys().map(|other| other.len() + 1).sum();
        if value.len() > LARGEST || names + name.len() + 1 > LARGEST {
            return Err(Errno::NOSPC);
        }
        xattrs.insert(name.to_vec(), value.to_vec());
        tree.inode_mut(id)?.ctime = now();
        Ok(())
    }

    pub fn xattr(&self, id: Id, name: &[u8]) -> Result<Vec<u8>, Errno> {
        if name.starts_with(b"system.") {
            return Err(Errno::OPNOTSUPP);
        }
        // Asked before every write of a file (has it capabilities to clear?): most often the shared lock does.
        if let Some(xattrs) = &self.tree().inode(id)?.xattrs {
            return xattrs.get(name).cloned().ok_or(Errno::NODATA);
        }
        self.tree_mut().xattrs(id)?.get(name).cloned().ok_or(Errno::NODATA)
    }

    /// All names, each ended by a zero byte.
    pub fn xattr_names(&self, id: Id) -> Result<Vec<u8>, Errno> {
        let mut tree = self.tree_mut();
        Ok(tree.xattrs(id)?.keys().flat_map(|name| name.iter().copied().chain([0])).collect())
    }

    pub fn remove_xattr(&self, id: Id, name: &[u8]) -> Result<(), Errno> {
        expect_settable(name)?;
        let mut tree = self.tree_mut();
        tree.xattrs(id)?.remove(name).ok_or(Errno::NODATA)?;
        tree.inode_mut(id)?.ctime = now();
        Ok(())
    }
}

fn expect_settable(name: &[u8]) -> Result<(), Errno> {
    match name {
        _ if name.starts_with(b"user.") || name.starts_with(b"security.") => Ok(()),
        _ if name.starts_with(b"trusted.") => Err(Errno::PERM),
        _ => Err(Errno::OPNOTSUPP),
    }
}
