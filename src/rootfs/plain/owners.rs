//! Owners where one id is mapped: a table beside the tree, whose files are all root's to the kernel.
//!
//! It begins with what the layers say and is told of every change. An inode is known by its number and its birth, as in the
//! baseline: what stays one file stays one row, however it is named, linked or renamed, and a number that is given again
//! finds no row. Whoever tells of an inode that was born just now keeps it until the clock has moved on.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use super::Errno;
use super::baseline::Stamp;
use crate::layer::Metadata;
use crate::rootfs::freeze::{Body, Entry};
use crate::rootfs::{Device, Files, Inode, Owner, Ownership, Record, Register};

const ROOT: Owner = Owner { uid: 0, gid: 0 };

/// Whose the files of a tree are. What has no row is root's, and what it seems.
#[derive(Default)]
pub(super) struct Owners {
    rows: RwLock<HashMap<Inode, Row>>,
    /// The `st_dev` of the tree; overlayfs shows directories on another one than files.
    devices: HashSet<u64>,
    /// Something in the tree has no time of birth.
    unborn: bool,
}

#[derive(Clone, Copy)]
struct Row {
    owner: Owner,
    device: Option<Device>,
}

impl Owners {
    /// An inode of the tree, before the step.
    pub(super) fn enter(&mut self, stamp: &Stamp, owner: Owner, device: Option<Device>) {
        let inode = stamp.inode();
        self.devices.insert(inode.device);
        self.unborn |= stamp.born.is_none();
        self.begin(&inode, owner, device);
    }

    /// What is on disk, as it is meant.
    pub(super) fn correct(&self, stamp: &Stamp, entry: Entry) -> Entry {
        let Row { owner, device } = self.row(&stamp.inode()).unwrap_or(Row { owner: ROOT, device: None });
        let body = match (entry.body, device) {
            (Body::File { size: 0, .. } | Body::Char { major: 0, minor: 0 }, Some(device)) => match device {
                Device::Char { major, minor } => Body::Char { major, minor },
                Device::Block { major, minor } => Body::Block { major, minor },
            },
            (body, _) => body,
        };
        Entry { meta: owned(entry.meta, owner), body, ..entry }
    }

    /// The attributes of a directory, as they are meant.
    pub(super) fn correct_directory(&self, stamp: &Stamp, meta: Metadata) -> Metadata {
        owned(meta, self.row(&stamp.inode()).map_or(ROOT, |row| row.owner))
    }

    fn row(&self, inode: &Inode) -> Option<Row> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner).get(inode).copied()
    }

    fn set(&self, inode: &Inode, row: Row) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        if row.owner == ROOT && row.device.is_none() {
            rows.remove(inode);
        } else {
            rows.insert(*inode, row);
        }
    }
}

fn owned(meta: Metadata, Owner { uid, gid }: Owner) -> Metadata {
    Metadata { uid, gid, ..meta }
}

impl Ownership for Owners {
    fn holds(&self, device: u64) -> bool {
        self.devices.contains(&device)
    }

    fn record(&self, inode: &Inode) -> Option<Record> {
        self.row(inode).map(|Row { owner, device }| Record { owner, changed: None, device })
    }

    fn set_owner(&self, inode: &Inode, owner: Owner) -> Result<(), Errno> {
        let device = self.row(inode).and_then(|row| row.device);
        self.set(inode, Row { owner, device });
        Ok(())
    }

    fn files(&self) -> Files<'_> {
        Files::Registered(self)
    }
}

impl Register for Owners {
    fn knows_births(&self) -> bool {
        !self.unborn
    }

    fn begin(&self, inode: &Inode, owner: Owner, device: Option<Device>) {
        self.set(inode, Row { owner, device });
    }
}
