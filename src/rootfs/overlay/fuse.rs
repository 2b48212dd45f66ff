//! The operations as FUSE names them. The room [`crate::fuse`] decodes and replies.

use std::sync::Arc;

use rustix::fs::{FallocateFlags, RenameFlags};

use super::attributes::{Attributes, Changes, FileType, now};
use super::create::{Modes, New};
use super::privileges::By;
use super::rename::{Source, Target};
use super::space::Seek;
use super::xattr::Setting;
use super::{Errno, Overlay};
use crate::fuse::{
    self, Caller, Features, Filesystem, Lines, Listing, Opened, Origin, Place, Privileges, SetTime,
    Statistics,
};
use crate::layer::Timestamp;
use crate::rootfs::trace::Listings;
use crate::rootfs::{Ids, Owner};

pub struct Adapter {
    overlay: Arc<Overlay>,
    listings: Listings,
}

impl Adapter {
    pub fn new(overlay: Arc<Overlay>, listings: Listings) -> Self {
        Self { overlay, listings }
    }

    fn owner(&self, caller: Caller) -> Owner {
        self.overlay.creator(caller.pid, Owner { uid: caller.uid, gid: caller.gid })
    }
}

impl Filesystem for Adapter {
    fn is_asked_by_one(&self) -> bool {
        !matches!(self.overlay.ids, Ids::Recorded(_))
    }

    /// What we ask for where the kernel has it. Those from `POSIX_ACL` to `SETXATTR_EXT` are the POSIX ACLs, the others save messages. Not among
    /// them, on purpose: `WRITEBACK_CACHE` (a full disk would show at close instead of at write, and `SEEK_HOLE` would
    /// miss what only the cache has; an untarred file costs 10 messages with it instead of 12 and an eighth less time, but
    /// every written file one more, for its times: small ones take a fifth longer), `ATOMIC_O_TRUNC` (there is no OPEN that could carry it).
    fn init(&mut self, _: Features) -> Features {
        Features::PARALLEL_DIROPS
            | Features::CACHE_SYMLINKS
            | Features::NO_OPEN
            | Features::NO_OPENDIR
            | Features::EXPLICIT_INVAL_DATA
            | Features::POSIX_ACL
            | Features::DONT_MASK
            | Features::SETXATTR_EXT
            | Features::HANDLE_KILLPRIV_V2
            | match self.listings {
                Listings::Full => Features::DO_READDIRPLUS | Features::READDIRPLUS_AUTO,
                Listings::Names => Features::NONE,
            }
    }

    fn lookup(&self, at: Place<'_>) -> Result<Option<Attributes>, Errno> {
        self.overlay.lookup(at.parent, at.name)
    }

    fn forget(&self, id: u64, count: u64) {
        self.overlay.forget(id, count);
    }

    fn attributes(&self, id: u64) -> Result<Attributes, Errno> {
        self.overlay.attributes(id)
    }

    fn set_attributes(&self, caller: Caller, id: u64, changes: &fuse::Changes) -> Result<Attributes, Errno> {
        let by = By::Caller(Owner { uid: caller.uid, gid: caller.gid });
        let changes = Changes {
            loses_privileges: (changes.privileges == Privileges::Clear).then_some(by),
            mode: changes.mode,
            uid: changes.uid,
            gid: changes.gid,
            size: changes.size,
            atime: changes.atime.map(timestamp),
            mtime: changes.mtime.map(timestamp),
            ctime: changes.ctime.map(Timestamp::from),
        };
        self.overlay.set_attributes(id, &changes)
    }

    fn read_link(&self, id: u64) -> Result<Vec<u8>, Errno> {
        self.overlay.read_link(id).map(Vec::from)
    }

    fn symlink(&self, caller: Caller, at: Place<'_>, target: &[u8]) -> Result<Attributes, Errno> {
        let modes = Modes { mode: 0o777, umask: 0 };
        self.overlay.create(at.parent, at.name, New::Symlink(target), modes, self.owner(caller))
    }

    fn make(
        &self,
        caller: Caller,
        at: Place<'_>,
        kind: FileType,
        device: u32,
        mode: u32,
        umask: u32,
    ) -> Result<Attributes, Errno> {
        let new = match kind {
            FileType::Directory => New::Directory,
            FileType::Char => New::Char(device),
            FileType::Block => New::Block(device),
            FileType::Fifo => New::Fifo,
            FileType::Socket => New::Socket,
            FileType::File => New::File,
            FileType::Symlink => return Err(Errno::INVAL),
        };
        self.overlay.create(at.parent, at.name, new, Modes { mode, umask }, self.owner(caller))
    }

    fn temporary(
        &self,
        caller: Caller,
        parent: u64,
        mode: u32,
        umask: u32,
        _: u32,
    ) -> Result<(Attributes, Opened), Errno> {
        let made = self.overlay.create_unnamed(parent, Modes { mode, umask }, self.owner(caller))?;
        Ok((made, Opened::KEEP_CACHE))
    }

    fn unlink(&self, at: Place<'_>) -> Result<(), Errno> {
        self.overlay.unlink(at.parent, at.name)
    }

    fn rmdir(&self, at: Place<'_>) -> Result<(), Errno> {
        self.overlay.rmdir(at.parent, at.name)
    }

    fn rename(&self, from: Place<'_>, to: Place<'_>, flags: u32, caller: Caller) -> Result<(), Errno> {
        let flags = RenameFlags::from_bits_retain(flags);
        let source = if flags.contains(RenameFlags::WHITEOUT) {
            Source::Whiteout(self.owner(caller))
        } else {
            Source::Nothing
        };
        let target = match flags - RenameFlags::WHITEOUT {
            flags if flags.is_empty() => Target::Replace,
            RenameFlags::NOREPLACE => Target::Keep,
            RenameFlags::EXCHANGE => Target::Exchange,
            _ => return Err(Errno::INVAL),
        };
        self.overlay.rename(from, to, target, source)
    }

    fn link(&self, id: u64, at: Place<'_>) -> Result<Attributes, Errno> {
        self.overlay.link(id, at.parent, at.name)
    }

    fn read(&self, id: u64, offset: u64, into: &mut [u8]) -> Result<usize, Errno> {
        self.overlay.read(id, offset, into)
    }

    fn write(
        &self,
        id: u64,
        offset: u64,
        bytes: &[u8],
        origin: Origin,
        privileges: Privileges,
    ) -> Result<usize, Errno> {
        let written = self.overlay.write(id, offset, bytes);
        if privileges == Privileges::Clear && written.is_ok() {
            self.overlay.written_by(id, By::Writer)?;
        }
        let complete = written.is_ok_and(|count| count == bytes.len());
        if origin == Origin::PageCache && !complete {
            self.overlay.lose(id, written.err().unwrap_or(Errno::NOSPC));
        }
        written
    }

    fn read_directory(
        &self,
        id: u64,
        after: u64,
        listing: Listing,
        lines: &mut Lines<'_, '_>,
    ) -> Result<(), Errno> {
        self.overlay
            .read_dir(id, after, listing, &mut |line| lines.add(line.name, line.cookie, &line.attributes))
    }

    fn statistics(&self) -> Result<Statistics, Errno> {
        let figures = self.overlay.statistics()?;
        Ok(Statistics {
            blocks: figures.f_blocks,
            free: figures.f_bfree,
            available: figures.f_bavail,
            files: figures.f_files,
            files_free: figures.f_ffree,
            block_size: u32::try_from(figures.f_bsize).unwrap_or(4096),
            fragment_size: u32::try_from(figures.f_frsize).unwrap_or(4096),
        })
    }

    fn set_xattr(
        &self,
        id: u64,
        name: &[u8],
        value: &[u8],
        flags: u32,
        privileges: Privileges,
    ) -> Result<(), Errno> {
        // XATTR_CREATE and XATTR_REPLACE of linux/xattr.h.
        let setting = match flags {
            1 => Setting::Create,
            2 => Setting::Replace,
            _ => Setting::Any,
        };
        self.overlay.set_xattr(id, name, value, setting, privileges)
    }

    fn xattr(&self, id: u64, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.overlay.xattr(id, name)
    }

    fn xattr_names(&self, id: u64) -> Result<Vec<u8>, Errno> {
        self.overlay.xattr_names(id)
    }

    fn remove_xattr(&self, id: u64, name: &[u8]) -> Result<(), Errno> {
        self.overlay.remove_xattr(id, name)
    }

    fn allocate(&self, id: u64, offset: u64, length: u64, mode: u32) -> Result<(), Errno> {
        self.overlay.allocate(id, offset, length, FallocateFlags::from_bits_retain(mode))
    }

    fn seek(&self, id: u64, offset: u64, whence: u32) -> Result<u64, Errno> {
        let to = match whence {
            3 => Seek::Data,
            4 => Seek::Hole,
            _ => return Err(Errno::INVAL),
        };
        self.overlay.seek(id, offset, to)
    }

    fn copy_range(&self, from: (u64, u64), to: (u64, u64), count: u64) -> Result<u64, Errno> {
        self.overlay.copy_between(from, to, count)
    }
}

fn timestamp(time: SetTime) -> Timestamp {
    match time {
        SetTime::Now => now(),
        SetTime::At(time) => time.into(),
    }
}
