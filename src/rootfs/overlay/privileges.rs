//! What a file loses when somebody changes it: setuid, setgid and `security.capability`.
//!
//! With `HANDLE_KILLPRIV_V2` the kernel need not ask for `security.capability` before every write, and leaves the clearing
//! to us. It says when: who is not `CAP_FSETID` over the machine (in a user namespace nobody is) loses setuid, and setgid
//! together with group execution; whoever changes the owner does in any case.
//!
//! Setgid without group execution stays with a caller who is in the file's group or privileged over it. A request names
//! one group of its caller's, so one who belongs to the file's by another loses it in a chown: rather too much than too
//! little.

use super::tree::{Id, Kind, Tree};
use super::{Errno, Overlay};
use crate::rootfs::Owner;

/// The attribute that holds a file's capabilities.
pub const CAPABILITY: &[u8] = b"security.capability";

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const GROUP_EXECUTION: u32 = 0o0010;

/// Who changes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// One whom the kernel has found to be no exception.
    Writer,
    /// Somebody who changes attributes.
    Caller(Owner),
}

/// What is left of `mode`, of a file whose group is `group`.
fn cleared(mode: u32, group: u32, by: By) -> u32 {
    let is_member = match by {
        By::Writer => true,
        By::Caller(caller) => caller.uid == 0 || caller.gid == group,
    };
    let keeps_setgid = mode & GROUP_EXECUTION == 0 && is_member;
    mode & !SETUID & if keeps_setgid { !0 } else { !SETGID }
}

impl Overlay {
    /// A process wrote to `id`.
    pub fn written_by(&self, id: Id, by: By) -> Result<(), Errno> {
        let holds = |tree: &Tree| {
            let inode = tree.inode(id)?;
            let none = inode.xattrs.as_ref().is_some_and(|xattrs| !xattrs.contains_key(CAPABILITY));
            Ok(inode.mode & (SETUID | SETGID) != 0 || !none)
        };
        // most often there is nothing to clear, and the shared lock does
        if holds(&self.tree())? { self.tree_mut().clear_privileges(id, by) } else { Ok(()) }
    }
}

impl Tree {
    /// Directories keep theirs: it means something else there.
    pub fn clear_privileges(&mut self, id: Id, by: By) -> Result<(), Errno> {
        let inode = self.inode_mut(id)?;
        if matches!(inode.kind, Kind::Directory(_)) {
            return Ok(());
        }
        inode.mode = cleared(inode.mode, inode.gid, by);
        self.xattrs(id)?.remove(CAPABILITY);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setuid_goes_and_setgid_goes_with_group_execution() {
        let caller = |uid, gid| By::Caller(Owner { uid, gid });
        for (mode, by, left) in [
            (0o4755, By::Writer, 0o0755),
            (0o6755, By::Writer, 0o0755),
            (0o7777, By::Writer, 0o1777),
            (0o2644, By::Writer, 0o2644),
            (0o6644, By::Writer, 0o2644),
            (0o2755, caller(0, 0), 0o0755),
            (0o2644, caller(0, 0), 0o2644),
            (0o2644, caller(7, 8), 0o2644),
            (0o2644, caller(7, 9), 0o0644),
            (0o6644, caller(7, 9), 0o0644),
        ] {
            assert_eq!(cleared(mode, 8, by), left, "{mode:04o} {by:?}");
        }
    }
}
