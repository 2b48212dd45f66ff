//! Owners that a layer tells and the kernel of this machine cannot: where one id is mapped, every file shows as root's.
//!
//! A root that keeps them in a table of its own offers [`Ownership`]: whoever answers the step's system calls looks an
//! inode up there and changes it there. Who makes a new inode is known in one of two ways ([`Files`]): a root that is a
//! server makes it and asks [`Creators`]; one that is a directory learns it from whoever answers the calls.

use std::sync::Arc;

use super::Errno;

/// A user and a group, as a layer has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Whose word on owners counts.
#[derive(Clone)]
pub enum Ids {
    /// The kernel's: it has all ids of the layers.
    Mapped,
    /// The table's. The kernel is shown root as everybody's owner, whatever it asks to change.
    Recorded(Arc<dyn Creators>),
}

/// Knows in whose name processes make files.
pub trait Creators: Send + Sync {
    /// The owner of what this thread makes. The number is that of the server's own pid namespace.
    fn owner(&self, thread: u32) -> Owner;
}

/// What is recorded of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose it is.
    pub owner: Owner,
    /// When that changed last, in seconds and nanoseconds, where the kernel may not have heard of it.
    pub changed: Option<(i64, u32)>,
    /// What it is, where the kernel has something else in its place.
    pub device: Option<Device>,
}

/// A device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// A character device.
    Char {
        /// Of its driver.
        major: u32,
        /// Among the driver's.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Of its driver.
        major: u32,
        /// Among the driver's.
        minor: u32,
    },
}

/// An inode as `statx` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Inode {
    /// `st_dev`
    pub device: u64,
    /// `st_ino`
    pub number: u64,
    /// Seconds and nanoseconds: tells two inodes apart that had the same number one after the other. Zeros where the file
    /// system does not tell, and where the files are [`Files::Served`]: there no number is given twice.
    pub born: (i64, u32),
}

/// The owners that a root records. Only inodes that it [holds](Self::holds) are asked for.
pub trait Ownership: Send + Sync {
    /// Whether inodes with this `st_dev` are its own.
    fn holds(&self, device: u64) -> bool;

    /// `None`: it is as the kernel shows it.
    fn record(&self, inode: &Inode) -> Option<Record>;

    /// Records a new owner. Setuid bits and capabilities are the caller's business.
    fn set_owner(&self, inode: &Inode, owner: Owner) -> Result<(), Errno>;

    /// Who makes its files.
    fn files(&self) -> Files<'_>;
}

/// Who makes the files of a root.
pub enum Files<'a> {
    /// Its own server.
    Served(&'a dyn Maker),
    /// The kernel, which tells nobody.
    Registered(&'a dyn Register),
}

/// A server that makes files, with owners and times of change of its own.
pub trait Maker {
    /// Whether an inode has file capabilities, which a new owner takes away.
    fn has_capabilities(&self, inode: &Inode) -> bool;

    /// Makes a device node. `mode`: kind and permission bits, and the umask; `device` in the kernel's 32-bit encoding.
    fn make_device(
        &self,
        directory: &Inode,
        name: &[u8],
        mode: (u32, u32),
        device: u32,
        owner: Owner,
    ) -> Result<(), Errno>;
}

/// Where the owners of new files have to be told. A change of owner has to pass by the kernel too, which moves the time.
pub trait Register {
    /// Whether all inodes have a time of birth. Without one, each new inode has to be told: it may have the number of one
    /// that is gone.
    fn knows_births(&self) -> bool;

    /// There is a new inode: this owner's, and perhaps in the place of a device.
    fn begin(&self, inode: &Inode, owner: Owner, device: Option<Device>);
}
