//! The attributes of a file: asked of the kernel, corrected, and handed on in the kernel's own form.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::seccomp::notify::Layout;
use crate::seccomp::notify::call::Width;

/// The attributes of a file, as the kernel tells them and as they are handed on.
#[derive(Clone, Copy)]
pub struct Status(libc::statx);

/// What of the attributes is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted(u32);

impl Wanted {
    /// What `stat` tells.
    pub const BASIC: Self = Self(libc::STATX_BASIC_STATS);
    /// That and the time of birth.
    pub const BORN: Self = Self(libc::STATX_BASIC_STATS | libc::STATX_BTIME);

    /// That and the mount by which it is named (Linux 5.8).
    pub const MOUNT: Self = Self(libc::STATX_BASIC_STATS | libc::STATX_MNT_ID);

    /// That and what a caller of `statx` asks for.
    #[must_use]
    pub fn and(self, mask: u32) -> Self {
        Self(self.0 | mask)
    }
}

impl Status {
    /// Of what `path` names, from the open directory `from`. `flags`: as the caller of `statx` gave them.
    pub fn of(from: BorrowedFd<'_>, path: &CStr, flags: u32, wanted: Wanted) -> io::Result<Self> {
        let mut status = MaybeUninit::<libc::statx>::zeroed();
        // SAFETY: the path is a C string, `status` is live and of the kernel's layout, which is all it writes.
        let done = unsafe {
            libc::statx(from.as_raw_fd(), path.as_ptr(), flags.cast_signed(), wanted.0, status.as_mut_ptr())
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: plain old data, zeroed before, filled by the kernel since.
        Ok(Self(unsafe { status.assume_init() }))
    }

    /// The device it lives on, as `stat` has it.
    pub fn device(&self) -> u64 {
        libc::makedev(self.0.stx_dev_major, self.0.stx_dev_minor)
    }

    /// Its number there.
    pub fn number(&self) -> u64 {
        self.0.stx_ino
    }

    /// When it came to be: a number may be given again, both never. Zeros where the file system does not tell.
    pub fn born(&self) -> (i64, u32) {
        (self.0.stx_btime.tv_sec, self.0.stx_btime.tv_nsec)
    }

    /// Whether that was asked for and is known.
    pub fn knows_birth(&self) -> bool {
        self.0.stx_mask & libc::STATX_BTIME != 0
    }

    /// The number of the mount, where it was asked for and the kernel tells it.
    pub fn mount(&self) -> Option<u64> {
        (self.0.stx_mask & libc::STATX_MNT_ID != 0).then_some(self.0.stx_mnt_id)
    }

    /// Kind and permission bits.
    pub fn mode(&self) -> u32 {
        self.0.stx_mode.into()
    }

    /// User and group.
    pub fn owner(&self) -> (u32, u32) {
        (self.0.stx_uid, self.0.stx_gid)
    }

    /// When it changed last.
    pub fn changed(&self) -> (i64, u32) {
        (self.0.stx_ctime.tv_sec, self.0.stx_ctime.tv_nsec)
    }

    /// Says that it changed at another time.
    pub fn set_changed(&mut self, (seconds, nanoseconds): (i64, u32)) {
        (self.0.stx_ctime.tv_sec, self.0.stx_ctime.tv_nsec) = (seconds, nanoseconds);
    }

    /// Says that somebody else owns it.
    pub fn set_owner(&mut self, user: u32, group: u32) {
        (self.0.stx_uid, self.0.stx_gid) = (user, group);
    }

    /// Says that it is a device node: `kind` is `S_IFCHR` or `S_IFBLK`.
    pub fn set_device(&mut self, kind: u32, major: u32, minor: u32) {
        let permissions = u32::from(self.0.stx_mode) & !libc::S_IFMT;
        self.0.stx_mode = u16::try_from(kind & libc::S_IFMT | permissions).unwrap_or(self.0.stx_mode);
        (self.0.stx_rdev_major, self.0.stx_rdev_minor) = (major, minor);
        (self.0.stx_size, self.0.stx_blocks) = (0, 0);
    }

    /// The bytes of `struct statx`.
    pub fn to_statx(&self) -> Vec<u8> {
        bytes_of(&self.0)
    }

    /// The bytes of a structure of 32-bit x86 (Linux, `asm/sys_ia32.h` and `asm/compat.h`). `None`: the file does not fit
    /// in.
    pub fn to_x86(&self, layout: Layout) -> Option<Vec<u8>> {
        match layout {
            Layout::Wide => Some(self.wide_x86()),
            Layout::Narrow => self.narrow_x86(),
        }
    }

    fn wide_x86(&self) -> Vec<u8> {
        let from = &self.0;
        let rdev = libc::makedev(from.stx_rdev_major, from.stx_rdev_minor);
        let words = [0, low(from.stx_ino), self.mode(), from.stx_nlink, from.stx_uid, from.stx_gid];
        [
            &self.device().to_ne_bytes()[..],
            &words.map(u32::to_ne_bytes).concat(),
            &rdev.to_ne_bytes(),
            &[0; 4],
            &from.stx_size.to_ne_bytes(),
            &from.stx_blksize.to_ne_bytes(),
            &from.stx_blocks.to_ne_bytes(),
            &self.times_x86(),
            &from.stx_ino.to_ne_bytes(),
        ]
        .concat()
    }

    fn narrow_x86(&self) -> Option<Vec<u8>> {
        let from = &self.0;
        let whole = |number: u64| u32::try_from(number).ok();
        let rdev = libc::makedev(from.stx_rdev_major, from.stx_rdev_minor);
        let size = i32::try_from(from.stx_size).ok()?.cast_unsigned();
        let words = [whole(rdev)?, size, from.stx_blksize, low(from.stx_blocks)];
        let fields = [
            &[whole(self.device())?, whole(from.stx_ino)?].map(u32::to_ne_bytes).concat()[..],
            &[from.stx_mode, u16::try_from(from.stx_nlink).ok()?].map(u16::to_ne_bytes).concat(),
            &[from.stx_uid, from.stx_gid].map(|id| Width::Narrow.encode(id)).concat(),
            &words.map(u32::to_ne_bytes).concat(),
            &self.times_x86(),
            &[0; 8],
        ];
        Some(fields.concat())
    }

    /// Seconds and nanoseconds of each; what lies beyond 2106 is cut, as the kernel cuts it.
    fn times_x86(&self) -> Vec<u8> {
        let times = [self.0.stx_atime, self.0.stx_mtime, self.0.stx_ctime];
        times
            .iter()
            .flat_map(|time| [low(time.tv_sec.cast_unsigned()), time.tv_nsec])
            .flat_map(u32::to_ne_bytes)
            .collect()
    }

    /// The bytes of `struct stat`.
    pub fn to_stat(&self) -> Vec<u8> {
        let from = &self.0;
        // SAFETY: plain old data, for which all zeros is a valid value.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        stat.st_dev = self.device();
        stat.st_ino = from.stx_ino;
        stat.st_nlink = from.stx_nlink.into();
        stat.st_mode = from.stx_mode.into();
        stat.st_uid = from.stx_uid;
        stat.st_gid = from.stx_gid;
        stat.st_rdev = libc::makedev(from.stx_rdev_major, from.stx_rdev_minor);
        stat.st_size = from.stx_size.cast_signed();
        // as wide as the architecture has it
        stat.st_blksize =
            libc::blksize_t::try_from(u64::from(from.stx_blksize)).unwrap_or(libc::blksize_t::MAX);
        stat.st_blocks = from.stx_blocks.cast_signed();
        (stat.st_atime, stat.st_atime_nsec) = (from.stx_atime.tv_sec, from.stx_atime.tv_nsec.into());
        (stat.st_mtime, stat.st_mtime_nsec) = (from.stx_mtime.tv_sec, from.stx_mtime.tv_nsec.into());
        (stat.st_ctime, stat.st_ctime_nsec) = (from.stx_ctime.tv_sec, from.stx_ctime.tv_nsec.into());
        bytes_of(&stat)
    }
}

/// The lower half.
fn low(number: u64) -> u32 {
    (number & 0xffff_ffff) as u32
}

/// The kernel's structures: plain numbers, their gaps spelled out as fields.
trait Plain: Copy {}
impl Plain for libc::stat {}
impl Plain for libc::statx {}

fn bytes_of<T: Plain>(value: &T) -> Vec<u8> {
    // SAFETY: `value` is live for its whole size, and was zeroed before it was filled.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u8>(), size_of::<T>()) }.to_vec()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn attributes_are_those_of_stat() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let open = std::fs::File::open(directory.path()).unwrap();
        let status =
            Status::of(open.as_fd(), c"", libc::AT_EMPTY_PATH.cast_unsigned(), Wanted::BORN).unwrap();
        let known = open.metadata().unwrap();
        assert_eq!(status.device(), known.dev());
        assert_eq!((status.number(), status.mode()), (known.ino(), known.mode()));
        let stat = rustix::fs::fstat(&open).unwrap();
        let mut bytes = status.to_stat();
        assert_eq!(bytes.len(), size_of_val(&stat));
        assert_eq!(bytes[..8], known.dev().to_ne_bytes());
        bytes.truncate(16);
        assert_eq!(bytes[8..], known.ino().to_ne_bytes());
    }
}
