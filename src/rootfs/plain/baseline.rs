//! The baseline: what every inode of the tree was when the step began.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Statx, StatxAttributes, StatxFlags, StatxTimestamp, open, statx,
};
use rustix::io::Errno;

use super::clock;
use super::materialise::Refused;
use super::owners::Owners;
use crate::layer::{Ino, Kind, Metadata, Timestamp, Xattrs};
use crate::rootfs::freeze::{Descent, metadata_in};
use crate::rootfs::{Device, Error, Inode, Named as _, Node, Owner, Stack, acl};

/// Every inode of a tree but its root's.
pub(super) struct Baseline {
    rows: HashMap<Identity, Row>,
    /// What the file system's clock showed at the end.
    began: Timestamp,
}

/// Device and inode number.
type Identity = (u64, u64);

/// An inode.
pub(super) struct Row {
    /// [`Stack::file_id`] of what it was made from.
    pub id: (usize, Ino),
    stamp: Stamp,
    /// Where it is not as the stack has it.
    pub substitute: Option<Box<Substitute>>,
}

/// What was made, and what is meant.
pub(super) struct Substitute {
    pub made: Metadata,
    pub meant: Metadata,
    /// What an empty file stands for.
    pub device: Option<Device>,
}

/// What identifies an inode, and when it last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    identity: Identity,
    /// When it came into being; none where the file system does not say.
    pub born: Option<Timestamp>,
    pub changed: Timestamp,
    pub kind: FileType,
    pub names: u32,
    /// Immutable or append-only, as `chattr` can make it: nobody can put it right again.
    pub fixed: bool,
}

impl Baseline {
    /// Looks at all of `tree`, which was just made of `stack`, and lets the clock advance past it. `refused`: attributes
    /// that the file system did not take. `owners`: learns whose everything is, the directory itself included.
    pub(super) fn record(
        stack: &Stack,
        tree: &Path,
        refused: &Refused,
        owners: Option<&mut Owners>,
    ) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let top = open(tree, flags, Mode::empty()).named("open", tree)?;
        let root = Stamp::of(&top).named("stat", tree)?;
        let descent = Descent::new(top).named("read", tree)?;
        let (rows, newest) = (HashMap::new(), Timestamp::default());
        let mut walk = Walk { stack, refused, owners, descent, rows, newest };
        walk.enter_owner(&stack.root(), &root);
        walk.run().named("read", tree)?;
        let closed = tree.parent().unwrap_or(tree);
        let dir = open(closed, flags, Mode::empty()).named("open", closed)?;
        // Where the clock proves nothing, everything is as new as the step.
        let began = if clock::stamps_every_write(dir.as_fd()).named("statfs", closed)? {
            clock::advance_past(walk.newest, dir.as_fd()).named("read the clock of", closed)?
        } else {
            Timestamp { secs: i64::MIN, nanos: 0 }
        };
        Ok(Self { rows: walk.rows, began })
    }

    /// The row of an inode that was there. One that came later may have the number of one that is gone: the time of its
    /// birth tells. Where the file system does not, only an unchanged one is surely the same; a directory may pass for
    /// it, because all that it holds is looked at anyway.
    pub(super) fn row(&self, stamp: &Stamp) -> Option<&Row> {
        let row = self.rows.get(&stamp.identity).filter(|row| row.stamp.kind == stamp.kind)?;
        let is_same = match row.stamp.born {
            Some(_) => stamp.born == row.stamp.born,
            None => stamp.changed == row.stamp.changed || stamp.kind == FileType::Directory,
        };
        is_same.then_some(row)
    }

    /// Whether nothing can have happened to it.
    pub(super) fn is_untouched(&self, row: &Row, stamp: &Stamp) -> bool {
        *stamp == row.stamp && stamp.changed < self.began
    }
}

struct Walk<'a> {
    stack: &'a Stack,
    refused: &'a Refused,
    owners: Option<&'a mut Owners>,
    descent: Descent,
    rows: HashMap<Identity, Row>,
    newest: Timestamp,
}

impl Walk<'_> {
    fn run(&mut self) -> std::io::Result<()> {
        let mut pending = vec![self.stack.read_dir(&self.stack.root())];
        while let Some(names) = pending.last_mut() {
            let Some((name, node)) = names.pop() else {
                pending.pop();
                if !pending.is_empty() {
                    self.descent.leave()?;
                }
                continue;
            };
            let name = std::ffi::CString::new(name)?;
            let there = stat(self.descent.here(), name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)?;
            self.note(&node, &there);
            if self.stack.is_dir(&node) {
                self.descent.enter(&name)?;
                pending.push(self.stack.read_dir(&node));
            }
        }
        Ok(())
    }

    fn note(&mut self, node: &Node, there: &Statx) {
        let stamp = Stamp::from(there);
        self.newest = self.newest.max(stamp.changed);
        self.enter_owner(node, &stamp);
        let id = self.stack.file_id(node);
        let substitute = self.substitute(node, there).map(Box::new);
        self.rows.insert(stamp.identity, Row { id, stamp, substitute });
    }

    fn enter_owner(&mut self, node: &Node, stamp: &Stamp) {
        let Some(owners) = &mut self.owners else { return };
        let inode = self.stack.inode(node);
        owners.enter(stamp, Owner { uid: inode.uid, gid: inode.gid }, device(&inode.kind));
    }

    fn substitute(&self, node: &Node, there: &Statx) -> Option<Substitute> {
        let inode = self.stack.inode(node);
        let mode = u32::from(there.stx_mode);
        let device = device(&inode.kind).filter(|_| FileType::from_raw_mode(mode) == FileType::RegularFile);
        let mtime = time(there.stx_mtime);
        let refused = self.refused.get(&self.stack.file_id(node));
        let as_meant = (mode & 0o7777, there.stx_uid, there.stx_gid, mtime)
            == (inode.mode & 0o7777, inode.uid, inode.gid, inode.mtime);
        if as_meant && device.is_none() && refused.is_none() {
            return None;
        }
        let meant = metadata_in(self.stack, node);
        let mut xattrs = meant.xattrs.clone();
        xattrs.retain(|name, _| refused.is_none_or(|refused: &Xattrs| !refused.contains_key(name)));
        let made = Metadata { mode: mode & 0o7777, uid: there.stx_uid, gid: there.stx_gid, mtime, xattrs };
        Some(Substitute { made, meant, device })
    }
}

fn device(kind: &Kind<'_>) -> Option<Device> {
    match *kind {
        Kind::Char { major, minor } => Some(Device::Char { major, minor }),
        Kind::Block { major, minor } => Some(Device::Block { major, minor }),
        _ => None,
    }
}

impl Substitute {
    /// What `now`, the attributes on disk, say of the image: its own where the step left them as they were made.
    pub(super) fn meant_by(&self, now: Metadata) -> Metadata {
        let Self { made, meant, .. } = self;
        // chown(2) takes a setuid bit away: one that was never made does not come back with a new owner.
        let is_chowned = (now.uid, now.gid) != (made.uid, made.gid);
        let mode = if now.mode == made.mode && !is_chowned { meant.mode } else { now.mode };
        let mut xattrs = if now.xattrs == made.xattrs { meant.xattrs.clone() } else { now.xattrs };
        if mode != meant.mode {
            acl::change_mode(&mut xattrs, mode);
        }
        Metadata {
            mode,
            uid: if now.uid == made.uid { meant.uid } else { now.uid },
            gid: if now.gid == made.gid { meant.gid } else { now.gid },
            mtime: if now.mtime == made.mtime { meant.mtime } else { now.mtime },
            xattrs,
        }
    }
}

impl Stamp {
    /// Of what `name` in `dir` is.
    pub(super) fn at(dir: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<Self, Errno> {
        stat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(|there| Self::from(&there))
    }

    /// What names it, and nothing after it.
    pub(super) fn inode(&self) -> Inode {
        let born = self.born.map_or((0, 0), |born| (born.secs, born.nanos));
        Inode { device: self.identity.0, number: self.identity.1, born }
    }

    /// Of what is open.
    pub(super) fn of(file: impl AsFd) -> Result<Self, Errno> {
        stat(file.as_fd(), c"", AtFlags::EMPTY_PATH).map(|there| Self::from(&there))
    }
}

impl From<&Statx> for Stamp {
    fn from(there: &Statx) -> Self {
        let device = rustix::fs::makedev(there.stx_dev_major, there.stx_dev_minor);
        let knows_birth = there.stx_mask & StatxFlags::BTIME.bits() != 0;
        Self {
            identity: (device, there.stx_ino),
            born: knows_birth.then(|| time(there.stx_btime)),
            changed: time(there.stx_ctime),
            kind: FileType::from_raw_mode(there.stx_mode.into()),
            names: there.stx_nlink,
            fixed: there.stx_attributes.intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND),
        }
    }
}

fn stat(dir: BorrowedFd<'_>, name: &std::ffi::CStr, flags: AtFlags) -> Result<Statx, Errno> {
    statx(dir, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)
}

fn time(time: StatxTimestamp) -> Timestamp {
    Timestamp { secs: time.tv_sec, nanos: time.tv_nsec }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u32) -> Timestamp {
        Timestamp { secs: 1_700_000_000, nanos }
    }

    const FILE: Stamp = Stamp {
        identity: (1, 2),
        born: Some(Timestamp { secs: 5, nanos: 0 }),
        changed: Timestamp { secs: 1_700_000_000, nanos: 4 },
        kind: FileType::RegularFile,
        names: 1,
        fixed: false,
    };

    fn baseline(stamp: Stamp, began: Timestamp) -> Baseline {
        let row = Row { id: (0, Ino(7)), stamp, substitute: None };
        Baseline { rows: HashMap::from([(stamp.identity, row)]), began }
    }

    #[test]
    fn an_inode_is_known_again_by_number_kind_and_birth() {
        let unborn = Stamp { born: None, ..FILE };
        let dir = Stamp { kind: FileType::Directory, ..unborn };
        for (row, was, now, known) in [
            ("the same", FILE, FILE, true),
            ("changed", FILE, Stamp { changed: at(9), ..FILE }, true),
            ("another number", FILE, Stamp { identity: (1, 3), ..FILE }, false),
            ("the number of one that is gone", FILE, Stamp { born: Some(at(9)), ..FILE }, false),
            ("the number of one of another kind", FILE, Stamp { kind: FileType::Fifo, ..FILE }, false),
            ("no births, the same", unborn, unborn, true),
            ("no births, changed", unborn, Stamp { changed: at(9), ..unborn }, false),
            ("no births, a directory", dir, Stamp { changed: at(9), ..dir }, true),
        ] {
            assert_eq!(baseline(was, at(5)).row(&now).is_some(), known, "{row}");
        }
    }

    #[test]
    fn only_what_is_older_than_the_step_is_untouched() {
        for (row, now, began, untouched) in [
            ("older", FILE, at(5), true),
            ("as new as the step's begin", FILE, at(4), false),
            ("newer, by a clock that was set back", FILE, at(3), false),
            ("changed", Stamp { changed: at(6), ..FILE }, at(5), false),
            ("a name more", Stamp { names: 2, ..FILE }, at(5), false),
        ] {
            let baseline = baseline(FILE, began);
            let known = baseline.row(&now).unwrap();
            assert_eq!(baseline.is_untouched(known, &now), untouched, "{row}");
        }
    }
}
