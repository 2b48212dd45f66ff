//! Between the `fuser` crate and the operations: decode the request, call, reply. The only place that replies.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, FileHandle, Generation, INodeNo, InitFlags, KernelConfig, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus,
    ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow,
    WriteFlags,
};
use rustix::fs::FallocateFlags;

use super::attributes::{Attributes, Changes};
use super::create::New;
use super::directory::Listing;
use super::rename::{Place, Target};
use super::space::Seek;
use super::wire::{ABSENT, attr, code, file_type, owner, taken, timestamp};
use super::xattr::Setting;
use super::{Errno, Overlay};

/// Most bytes in one READ or WRITE.
pub const LARGEST_REQUEST: u32 = 1 << 20;

/// How long the kernel may keep what it was told. Nothing changes here but through the kernel.
const DAY: Duration = Duration::from_hours(24);

/// Inode numbers are never used twice.
const GENERATION: Generation = Generation(0);

pub struct Adapter {
    overlay: Arc<Overlay>,
}

impl Adapter {
    pub fn new(overlay: Arc<Overlay>) -> Self {
        Self { overlay }
    }
}

/// What we ask for where the kernel has it. Not among them, on purpose: `WRITEBACK_CACHE` (a full disk would show at
/// close instead of at write), `HANDLE_KILLPRIV` and `_V2` (the kernel does it right itself, see the module),
/// `ATOMIC_O_TRUNC` (there is no OPEN that could carry it), `DONT_MASK` (no ACLs), `AUTO_INVAL_DATA` (nobody else
/// writes).
const WANTED: [InitFlags; 7] = [
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_NO_OPEN_SUPPORT,
    InitFlags::FUSE_NO_OPENDIR_SUPPORT,
    InitFlags::FUSE_EXPLICIT_INVAL_DATA,
];

impl fuser::Filesystem for Adapter {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // An older kernel lacks some; each only saves messages.
        let offered = config.capabilities();
        for flag in WANTED.into_iter().filter(|flag| offered.contains(*flag)) {
            config.add_capabilities(flag).map_err(|flag| refused("flags", flag.bits()))?;
        }
        config.set_max_write(LARGEST_REQUEST).map_err(|nearest| refused("max_write", nearest.into()))?;
        config.set_max_background(64).map_err(|nearest| refused("max_background", nearest.into()))?;
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.overlay.lookup(parent.0, name.as_bytes()) {
            Ok(Some(found)) => reply.entry(&DAY, &attr(&found), GENERATION),
            // Inode 0: "not there, and remember that".
            Ok(None) => reply.entry(&DAY, &attr(&ABSENT), GENERATION),
            Err(error) => reply.error(code(error)),
        }
    }

    fn forget(&self, _: &Request, ino: INodeNo, nlookup: u64) {
        self.overlay.forget(ino.0, nlookup);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer_attributes(self.overlay.attributes(ino.0), reply);
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changes = Changes {
            mode,
            uid,
            gid,
            size,
            atime: atime.map(timestamp),
            mtime: mtime.map(timestamp),
            ctime: ctime.map(|time| timestamp(TimeOrNow::SpecificTime(time))),
        };
        answer_attributes(self.overlay.set_attributes(ino.0, &changes), reply);
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.overlay.read_link(ino.0) {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(code(error)),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let new = match rustix::fs::FileType::from_raw_mode(mode) {
            rustix::fs::FileType::CharacterDevice => New::Char(rdev),
            rustix::fs::FileType::BlockDevice => New::Block(rdev),
            rustix::fs::FileType::Fifo => New::Fifo,
            rustix::fs::FileType::Socket => New::Socket,
            rustix::fs::FileType::RegularFile => New::File,
            _ => return reply.error(fuser::Errno::EINVAL),
        };
        let made = self.overlay.create(parent.0, name.as_bytes(), new, mode & !umask, owner(request));
        answer_entry(made, reply);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let name = name.as_bytes();
        let made = self.overlay.create(parent.0, name, New::Directory, mode & !umask, owner(request));
        answer_entry(made, reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(self.overlay.unlink(parent.0, name.as_bytes()), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(self.overlay.rmdir(parent.0, name.as_bytes()), reply);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let new = New::Symlink(target.as_os_str().as_bytes());
        answer_entry(self.overlay.create(parent.0, name.as_bytes(), new, 0o777, owner(request)), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let target = match flags {
            flags if flags.is_empty() => Target::Replace,
            RenameFlags::RENAME_NOREPLACE => Target::Keep,
            RenameFlags::RENAME_EXCHANGE => Target::Exchange,
            _ => return reply.error(fuser::Errno::EINVAL),
        };
        let from = Place { parent: parent.0, name: name.as_bytes() };
        let to = Place { parent: newparent.0, name: newname.as_bytes() };
        answer(self.overlay.rename(from, to, target), reply);
    }

    fn link(&self, _: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        answer_entry(self.overlay.link(ino.0, newparent.0, newname.as_bytes()), reply);
    }

    /// "No open needed": from now on the kernel opens without asking.
    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.overlay.read(ino.0, offset, size as usize) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(code(error)),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        flags: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.overlay.write(ino.0, offset, data);
        let complete = written.is_ok_and(|count| count == data.len());
        if flags.contains(WriteFlags::FUSE_WRITE_CACHE) && !complete {
            self.overlay.lose(ino.0, written.err().unwrap_or(Errno::NOSPC));
        }
        answer_written(written.map(|count| count as u64), reply);
    }

    /// Not needed: a close has nothing to wait for.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.error(fuser::Errno::ENOSYS);
    }

    /// Not needed: see the module.
    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.error(fuser::Errno::ENOSYS);
    }

    /// "No open needed", as for files.
    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let read = self.overlay.read_dir(ino.0, offset, Listing::Names, &mut |line| {
            let kind = file_type(line.attributes.kind);
            let name = OsStr::from_bytes(line.name);
            taken(reply.add(INodeNo(line.attributes.id), line.cookie, kind, name))
        });
        match read {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(code(error)),
        }
    }

    fn readdirplus(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let read = self.overlay.read_dir(ino.0, offset, Listing::Lookups, &mut |line| {
            let attr = attr(&line.attributes);
            taken(reply.add(attr.ino, line.cookie, OsStr::from_bytes(line.name), &DAY, &attr, GENERATION))
        });
        match read {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(code(error)),
        }
    }

    /// Not needed: see the module.
    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        match self.overlay.statistics() {
            Ok(figures) => reply.statfs(
                figures.f_blocks,
                figures.f_bfree,
                figures.f_bavail,
                figures.f_files,
                figures.f_ffree,
                u32::try_from(figures.f_bsize).unwrap_or(4096),
                255,
                u32::try_from(figures.f_frsize).unwrap_or(4096),
            ),
            Err(error) => reply.error(code(error)),
        }
    }

    fn setxattr(
        &self,
        _: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        // XATTR_CREATE and XATTR_REPLACE of linux/xattr.h.
        let setting = match flags {
            1 => Setting::Create,
            2 => Setting::Replace,
            _ => Setting::Any,
        };
        answer(self.overlay.set_xattr(ino.0, name.as_bytes(), value, setting), reply);
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        answer_xattr(self.overlay.xattr(ino.0, name.as_bytes()), size, reply);
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        answer_xattr(self.overlay.xattr_names(ino.0), size, reply);
    }

    fn removexattr(&self, _: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(self.overlay.remove_xattr(ino.0, name.as_bytes()), reply);
    }

    /// "Not offered": from now on the kernel sends MKNOD and opens without asking, which saves the RELEASE.
    fn create(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let flags = FallocateFlags::from_bits_retain(mode.cast_unsigned());
        answer(self.overlay.allocate(ino.0, offset, length, flags), reply);
    }

    fn lseek(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        // SEEK_DATA and SEEK_HOLE of linux/fs.h; the kernel does the others itself.
        let (Ok(offset), Some(to)) = (
            u64::try_from(offset),
            match whence {
                3 => Some(Seek::Data),
                4 => Some(Seek::Hole),
                _ => None,
            },
        ) else {
            return reply.error(fuser::Errno::EINVAL);
        };
        match self.overlay.seek(ino.0, offset, to) {
            Ok(found) => reply.offset(found.cast_signed()),
            Err(error) => reply.error(code(error)),
        }
    }

    fn copy_file_range(
        &self,
        _: &Request,
        ino_in: INodeNo,
        _: FileHandle,
        offset_in: u64,
        ino_out: INodeNo,
        _: FileHandle,
        offset_out: u64,
        len: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        answer_written(self.overlay.copy_between((ino_in.0, offset_in), (ino_out.0, offset_out), len), reply);
    }
}

fn refused(what: &str, value: u64) -> std::io::Error {
    std::io::Error::other(format!("fuse handshake: {what} refused, {value:#x} offered"))
}

fn answer(result: Result<(), Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(code(error)),
    }
}

fn answer_attributes(result: Result<Attributes, Errno>, reply: ReplyAttr) {
    match result {
        Ok(attributes) => reply.attr(&DAY, &attr(&attributes)),
        Err(error) => reply.error(code(error)),
    }
}

fn answer_entry(result: Result<Attributes, Errno>, reply: ReplyEntry) {
    match result {
        Ok(attributes) => reply.entry(&DAY, &attr(&attributes), GENERATION),
        Err(error) => reply.error(code(error)),
    }
}

fn answer_written(result: Result<u64, Errno>, reply: ReplyWrite) {
    match result {
        // Both writes and copies are bounded well below 4 GiB.
        Ok(count) => reply.written(u32::try_from(count).unwrap_or(u32::MAX)),
        Err(error) => reply.error(code(error)),
    }
}

/// `size` 0 asks how large the value is.
fn answer_xattr(result: Result<Vec<u8>, Errno>, size: u32, reply: ReplyXattr) {
    match result {
        Ok(value) if size == 0 => reply.size(u32::try_from(value.len()).unwrap_or(u32::MAX)),
        Ok(value) if value.len() > size as usize => reply.error(fuser::Errno::ERANGE),
        Ok(value) => reply.data(&value),
        Err(error) => reply.error(code(error)),
    }
}
