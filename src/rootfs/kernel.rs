//! The `kernel` driver: the kernel's overlayfs over served views, the upper side a plain directory in `live`.
//!
//! Options, and why (Linux, Documentation/filesystems/overlayfs.rst):
//! - `userxattr`: marks are `user.overlay.*`, which a user namespace may write (Linux 5.11). It rules out `metacopy` and
//!   makes `redirect_dir` `nofollow`, so the upper directory says everything by itself, and rename(2) of a directory
//!   that a lower layer has is EXDEV, as with other builders.
//! - `volatile`: no sync at the end. A step's result exists only after the freeze.
//! - `index=off`, `uuid=off`: no file handles of lower files, and no mark on the upper root to tell mounts apart by.
//! - `xino=on`: a file keeps its inode number when it is copied up.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Gid, Uid, XattrFlags};
use rustix::fs::{Mode, Timespec, Timestamps, UTIME_OMIT, fchmod, fchown, fsetxattr, futimens};
use rustix::io::Errno;

use super::freeze::{self, Ignore};
use super::mounted::Mounted;
use super::server::Served;
use super::trace::Trace;
use super::{Error, Named as _, Root, Stack, is_carried};
use crate::layer::{LayerWriter, Metadata, Written};

/// What mount(2) takes of options, in bytes; it cuts off the rest without a word.
const MAX_OPTIONS: usize = 4095;

/// A step's root on overlayfs.
pub(super) struct KernelRoot {
    mounted: Mounted,
    live: Live,
    stack: Stack,
    /// The root directory as the step found it.
    root: Metadata,
    /// What serves this root alone, and who hears of it.
    traced: Option<Traced>,
}

/// Superblocks of one step, in which the kernel knows nothing yet.
pub(super) struct Traced {
    pub(super) served: Served,
    pub(super) trace: Arc<Trace>,
}

impl KernelRoot {
    /// Mounts at `at` (which is made) an overlay of `lowers`, topmost first, which together show `stack`.
    pub(super) fn mount(
        stack: Stack,
        lowers: &[PathBuf],
        at: PathBuf,
        live: &Path,
        traced: Option<Traced>,
    ) -> Result<Self, Error> {
        let live = Live::create(live)?;
        let mounted = live.write_root(&stack).and_then(|root| {
            let mounted = Mounted::new(at, |at| mount_overlay(lowers, &live, at))?;
            Ok((root, mounted))
        });
        match mounted {
            Ok((root, mounted)) => Ok(Self { mounted, live, stack, root, traced }),
            Err(error) => {
                live.remove()?;
                Err(error)
            }
        }
    }
}

impl Root for KernelRoot {
    fn path(&self) -> &Path {
        self.mounted.path()
    }

    fn freeze(self: Box<Self>, tar: File, ignore: &[PathBuf]) -> Result<Written, Error> {
        let Self { mounted, live, stack, root, traced } = *self;
        let trace = traced.as_ref().map(|traced| &*traced.trace);
        let written = mounted.unmount().and_then(|()| live.write(&stack, &root, trace, tar, ignore));
        let removed = live.remove();
        let stopped = Traced::stop(traced);
        let written = written?;
        removed?;
        stopped?;
        Ok(written)
    }

    fn snapshot(&self, tar: File) -> Result<Written, Error> {
        let at = self.mounted.path();
        rbuild_userns::mount::write_back_apart(at).named("write back", at)?;
        let trace = self.traced.as_ref().map(|traced| &*traced.trace);
        self.live.write(&self.stack, &self.root, trace, tar, &[])
    }

    fn discard(self: Box<Self>) -> Result<(), Error> {
        let unmounted = self.mounted.unmount();
        self.live.remove()?;
        let stopped = Traced::stop(self.traced);
        unmounted.and(stopped)
    }
}

impl Traced {
    /// Nothing is mounted above them any more.
    fn stop(traced: Option<Self>) -> Result<(), Error> {
        traced.map_or(Ok(()), |traced| traced.served.stop())
    }
}

/// The directories that overlayfs writes to.
struct Live {
    dir: PathBuf,
    upper: PathBuf,
    work: PathBuf,
}

impl Live {
    fn create(dir: &Path) -> Result<Self, Error> {
        let live = Self { dir: dir.into(), upper: dir.join("upper"), work: dir.join("work") };
        for part in [&live.upper, &live.work] {
            std::fs::create_dir(part).named("mkdir", part)?;
        }
        Ok(live)
    }

    /// Gives the upper directory the attributes of the stack's root: they are what the overlay's root shows.
    fn write_root(&self, stack: &Stack) -> Result<Metadata, Error> {
        let inode = stack.inode(&stack.root());
        let upper = File::open(&self.upper).named("open", &self.upper)?;
        // chown first: it clears the setgid bit that chmod is about to set. EINVAL: the id has no place in this user
        // namespace; it shows as the overflow id on lower files, and as root's here.
        match fchown(&upper, Some(Uid::from_raw(inode.uid)), Some(Gid::from_raw(inode.gid))) {
            Err(Errno::INVAL) => {}
            result => result.named("chown", &self.upper)?,
        }
        fchmod(&upper, Mode::from_raw_mode(inode.mode)).named("chmod", &self.upper)?;
        for (name, value) in stack.xattrs(&stack.root()) {
            if is_carried(&name) {
                fsetxattr(&upper, name.as_slice(), &value, XattrFlags::empty())
                    .named("setxattr", &self.upper)?;
            }
        }
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: inode.mtime.secs, tv_nsec: inode.mtime.nanos.into() },
        };
        futimens(&upper, &times).named("utimens", &self.upper)?;
        freeze::metadata_of(&upper).named("stat", &self.upper)
    }

    /// Writes what the upper directory has into `tar`.
    fn write(
        &self,
        stack: &Stack,
        root: &Metadata,
        trace: Option<&Trace>,
        tar: File,
        ignore: &[PathBuf],
    ) -> Result<Written, Error> {
        let mut writer = LayerWriter::create(tar);
        let upper = freeze::Upper { stack, trace };
        freeze::write(&upper, &self.upper, root, stack, &Ignore::new(ignore), &mut writer)?;
        Ok(writer.finish()?)
    }

    fn remove(&self) -> Result<(), Error> {
        for part in [&self.upper, &self.work] {
            freeze::remove_tree(&self.dir, part)?;
        }
        Ok(())
    }
}

fn mount_overlay(lowers: &[PathBuf], live: &Live, at: &Path) -> Result<(), Error> {
    let lowers: Vec<Vec<u8>> = lowers.iter().map(|lower| escape(lower.as_os_str(), b"\\,:")).collect();
    let plain = [
        b"lowerdir=".as_slice(),
        &lowers.join(&b':'),
        b",upperdir=",
        &escape(live.upper.as_os_str(), b"\\,"),
        b",workdir=",
        &escape(live.work.as_os_str(), b"\\,"),
        b",userxattr,index=off,uuid=off,xino=on",
    ]
    .concat();
    let volatile = [&plain, b",volatile".as_slice()].concat();
    match mount_with(volatile, at) {
        // Linux before 5.10, or a file system below that cannot be written so.
        Err(Errno::INVAL) => mount_with(plain, at),
        result => result,
    }
    .named("mount overlay at", at)
}

fn mount_with(options: Vec<u8>, at: &Path) -> Result<(), Errno> {
    if options.len() > MAX_OPTIONS {
        return Err(Errno::NAMETOOLONG);
    }
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    rbuild_userns::mount::mount_apart("overlay", "rbuild", at, &options)
}

/// A path as an overlayfs option: a backslash before each byte of `special`.
fn escape(path: &OsStr, special: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(path.len());
    for &byte in path.as_bytes() {
        if special.contains(&byte) {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    escaped
}
