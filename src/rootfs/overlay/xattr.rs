//! Extended attributes: `user.*`, `security.*` and POSIX ACLs.
//!
//! A file capability that a process writes inside the step's user namespace for that namespace's own root is kept as
//! the kernel's older form, without the root's id: it means the same, and it is what a build by root leaves. What root of
//! a nested namespace writes has its root's id, counted as the step counts, as owners are: so it goes into the layer,
//! which is what other builders commit, and counts in no other namespace than one with that root.

use super::attributes::now;
use super::privileges::CAPABILITY;
use super::tree::{Id, Kind, Tree};
use super::{Errno, Overlay};
use crate::fuse::Privileges;
use crate::layer::Xattrs;
use crate::rootfs::Ids;
use crate::rootfs::acl::{self, Acl};

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
    /// `privileges`: whether setgid goes where an ACL is set, since the caller is neither in the file's group nor
    /// privileged over it.
    pub fn set_xattr(
        &self,
        id: Id,
        name: &[u8],
        value: &[u8],
        setting: Setting,
        privileges: Privileges,
    ) -> Result<(), Errno> {
        expect_settable(name)?;
        let mut tree = self.tree_mut();
        let value = match name {
            acl::ACCESS => return tree.set_access_list(id, &Acl::parse(value)?, privileges),
            acl::DEFAULT => tree.expect_default_list(id, value)?,
            CAPABILITY => of_own_root(value),
            _ => value.to_vec(),
        };
        insert(tree.xattrs(id)?, name, value, setting)?;
        tree.inode_mut(id)?.ctime = now();
        Ok(())
    }

    pub fn xattr(&self, id: Id, name: &[u8]) -> Result<Vec<u8>, Errno> {
        if name.starts_with(b"system.") && !acl::is_list(name) {
            return Err(Errno::OPNOTSUPP);
        }
        let shown = |xattrs: &Xattrs| {
            let value = xattrs.get(name).filter(|value| self.shows(name, value));
            value.cloned().ok_or(Errno::NODATA)
        };
        // Asked before every write of a file (has it capabilities to clear?): most often the shared lock does.
        if let Some(xattrs) = &self.tree().inode(id)?.xattrs {
            return shown(xattrs);
        }
        shown(self.tree_mut().xattrs(id)?)
    }

    /// All names, each ended by a zero byte.
    pub fn xattr_names(&self, id: Id) -> Result<Vec<u8>, Errno> {
        let mut tree = self.tree_mut();
        let shown = tree.xattrs(id)?.iter().filter(|(name, value)| self.shows(name, value));
        Ok(shown.flat_map(|(name, _)| name.iter().copied().chain([0])).collect())
    }

    /// Where one id is mapped the kernel can tell nobody of a list that names another: EINVAL, which fails whoever copies
    /// the file. So the list stays in the layers and is not shown.
    fn shows(&self, name: &[u8], value: &[u8]) -> bool {
        let names_others = || Acl::parse(value).is_ok_and(|list| list.names_others_than_root());
        matches!(self.ids, Ids::Mapped) || !acl::is_list(name) || !names_others()
    }

    pub fn remove_xattr(&self, id: Id, name: &[u8]) -> Result<(), Errno> {
        expect_settable(name)?;
        let mut tree = self.tree_mut();
        match tree.xattrs(id)?.remove(name) {
            // to have no list is what is asked for
            None if acl::is_list(name) => return Ok(()),
            removed => removed.ok_or(Errno::NODATA)?,
        };
        tree.inode_mut(id)?.ctime = now();
        Ok(())
    }
}

impl Tree {
    /// Gives `id` the list and the mode bits that it says; where those say it all, no list is kept.
    fn set_access_list(&mut self, id: Id, list: &Acl, privileges: Privileges) -> Result<(), Errno> {
        let xattrs = self.xattrs(id)?;
        if list.is_minimal() {
            xattrs.remove(acl::ACCESS);
        } else {
            insert(xattrs, acl::ACCESS, list.to_bytes(), Setting::Any)?;
        }
        let inode = self.inode_mut(id)?;
        let kept = if privileges == Privileges::Clear { !0o2000 } else { !0 };
        inode.mode = list.to_mode(inode.mode) & kept;
        inode.ctime = now();
        Ok(())
    }

    fn expect_default_list(&self, id: Id, value: &[u8]) -> Result<Vec<u8>, Errno> {
        match &self.inode(id)?.kind {
            Kind::Directory(_) => Ok(Acl::parse(value)?.to_bytes()),
            _ => Err(Errno::ACCESS),
        }
    }

    /// `chmod`: the access list, where there is one, says the same afterwards.
    pub fn change_mode(&mut self, id: Id, mode: u32) -> Result<(), Errno> {
        acl::change_mode(self.xattrs(id)?, mode);
        self.inode_mut(id)?.mode = mode & 0o7777;
        Ok(())
    }
}

fn insert(xattrs: &mut Xattrs, name: &[u8], value: Vec<u8>, setting: Setting) -> Result<(), Errno> {
    match (setting, xattrs.contains_key(name)) {
        (Setting::Create, true) => return Err(Errno::EXIST),
        (Setting::Replace, false) => return Err(Errno::NODATA),
        _ => {}
    }
    let others: usize = xattrs.keys().filter(|other| *other != name).map(|other| other.len() + 1).sum();
    if value.len() > LARGEST || others + name.len() + 1 > LARGEST {
        return Err(Errno::NOSPC);
    }
    xattrs.insert(name.to_vec(), value);
    Ok(())
}

fn expect_settable(name: &[u8]) -> Result<(), Errno> {
    match name {
        b"user." | b"security." => Err(Errno::INVAL),
        _ if name.starts_with(b"user.") || name.starts_with(b"security.") || acl::is_list(name) => Ok(()),
        _ if name.starts_with(b"trusted.") => Err(Errno::PERM),
        _ => Err(Errno::OPNOTSUPP),
    }
}

/// `VFS_CAP_REVISION_3` for root id 0 as `VFS_CAP_REVISION_2` (`linux/capability.h`); anything else as it is.
fn of_own_root(value: &[u8]) -> Vec<u8> {
    match value.split_at_checked(20) {
        Some((capability, [0, 0, 0, 0])) if capability[3] == 3 => {
            let mut older = capability.to_vec();
            older[3] = 2;
            older
        }
        _ => value.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_of_ones_own_root_says_so_in_the_older_form() {
        let bits = [0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let value = |revision: u8, root: &[u8]| [&[1, 0, 0, revision][..], &bits, root].concat();
        for (given, kept) in [
            (value(3, &[0, 0, 0, 0]), value(2, &[])),
            (value(3, &[232, 3, 0, 0]), value(3, &[232, 3, 0, 0])),
            (value(2, &[]), value(2, &[])),
            (value(2, &[0, 0, 0, 0]), value(2, &[0, 0, 0, 0])),
            (b"short".to_vec(), b"short".to_vec()),
        ] {
            assert_eq!(of_own_root(&given), kept, "{given:?}");
        }
    }
}
