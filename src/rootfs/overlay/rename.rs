//! Moving names. A directory that comes from the stack moves like any other: it takes along what it knows of the
//! stack, so there is no `EXDEV`, and only the freeze spells out its content.

use super::attributes::now;
use super::create::{Modes, New};
use super::tree::{Id, Kind, Tree};
use super::{Errno, Overlay};
use crate::fuse::Place;
use crate::rootfs::Owner;

/// What may happen to the target (`renameat2`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Replace,
    /// `RENAME_NOREPLACE`
    Keep,
    /// `RENAME_EXCHANGE`
    Exchange,
}

/// What stays at the source.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    Nothing,
    /// `RENAME_WHITEOUT`: overlayfs' sign for "not there", a character device 0:0, made by the caller.
    Whiteout(Owner),
}

/// The mode of a whiteout: nobody reads or writes it.
const WHITEOUT: Modes = Modes { mode: 0, umask: 0 };

impl Overlay {
    pub fn rename(
        &self,
        from: Place<'_>,
        to: Place<'_>,
        target: Target,
        source: Source,
    ) -> Result<(), Errno> {
        let mut tree = self.tree_mut();
        let moved = tree.child(from.parent, from.name)?.ok_or(Errno::NOENT)?;
        let replaced = tree.child(to.parent, to.name)?;
        if tree.inode(to.parent)?.nlink == 0 {
            return Err(Errno::NOENT);
        }
        match (target, replaced) {
            (Target::Keep, Some(_)) => Err(Errno::EXIST),
            (Target::Exchange, None) => Err(Errno::NOENT),
            (Target::Exchange, Some(other)) => tree.exchange((from, moved), (to, other)),
            // Two names of one file: rename(2) does nothing.
            (Target::Replace, Some(other)) if other == moved => Ok(()),
            (Target::Replace, Some(other)) => {
                tree.expect_replaceable(moved, other)?;
                tree.unname(to.parent, to.name)?;
                let backed = tree.drop_name(other)?;
                tree.shift(from, to, moved, source)?;
                drop(tree);
                if backed {
                    self.backing.remove(other);
                }
                Ok(())
            }
            (Target::Replace | Target::Keep, None) => tree.shift(from, to, moved, source),
        }
    }
}

impl Tree {
    fn shift(&mut self, from: Place<'_>, to: Place<'_>, moved: Id, source: Source) -> Result<(), Errno> {
        self.unname(from.parent, from.name)?;
        self.name(to.parent, to.name, moved)?;
        self.inode_mut(moved)?.ctime = now();
        if let Source::Whiteout(owner) = source {
            let whiteout = self.fresh(from.parent, New::Char(0), WHITEOUT, owner)?;
            let id = self.insert(whiteout);
            self.name(from.parent, from.name, id)?;
        }
        Ok(())
    }

    fn exchange(&mut self, one: (Place<'_>, Id), other: (Place<'_>, Id)) -> Result<(), Errno> {
        for (place, id) in [(one.0, other.1), (other.0, one.1)] {
            self.name(place.parent, place.name, id)?;
            self.inode_mut(id)?.ctime = now();
        }
        Ok(())
    }

    fn expect_replaceable(&mut self, moved: Id, replaced: Id) -> Result<(), Errno> {
        let is_directory = |id| Ok(matches!(self.inode(id)?.kind, Kind::Directory(_)));
        match (is_directory(moved)?, is_directory(replaced)?) {
            (true, false) => Err(Errno::NOTDIR),
            (false, true) => Err(Errno::ISDIR),
            (true, true) => self.expect_empty(replaced),
            (false, false) => Ok(()),
        }
    }
}
