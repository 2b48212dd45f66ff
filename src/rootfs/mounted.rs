//! A mount that this process made, and its end.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::{Error, Named as _};

/// How long an unmount waits for the last user. The kernel takes down the mounts of a killed process a moment after
/// its death is reported.
const PATIENCE: Duration = Duration::from_millis(500);

/// Something mounted on a directory of ours. Dropped, it is detached; better is [`Mounted::unmount`], which tells.
pub(super) struct Mounted {
    at: PathBuf,
    /// The directory was made for the mount and goes with it.
    done: bool,
}

impl Mounted {
    /// Makes the directory `at` and lets `mount` mount on it.
    pub(super) fn new(at: PathBuf, mount: impl FnOnce(&Path) -> Result<(), Error>) -> Result<Self, Error> {
        std::fs::create_dir(&at).named("mkdir", &at)?;
        match mount(&at) {
            Ok(()) => Ok(Self { at, done: false }),
            Err(error) => {
                std::fs::remove_dir(&at).named("rmdir", &at)?;
                Err(error)
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.at
    }

    /// Unmounts and removes the directory. Errors with [`Error::Busy`] if it could only be detached.
    pub(super) fn unmount(mut self) -> Result<(), Error> {
        self.done = true;
        let clean = self.unmount_patiently();
        if matches!(clean, Err(Errno::BUSY)) {
            unmount(&self.at, UnmountFlags::DETACH).named("detach", &self.at)?;
            std::fs::remove_dir(&self.at).named("rmdir", &self.at)?;
            return Err(Error::Busy { path: self.at.clone() });
        }
        clean.named("unmount", &self.at)?;
        std::fs::remove_dir(&self.at).named("rmdir", &self.at)
    }

    fn unmount_patiently(&self) -> Result<(), Errno> {
        let end = Instant::now() + PATIENCE;
        loop {
            match unmount(&self.at, UnmountFlags::NOFOLLOW) {
                Err(Errno::BUSY) if Instant::now() < end => thread::sleep(Duration::from_millis(1)),
                result => return result,
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if !self.done && unmount(&self.at, UnmountFlags::DETACH).is_ok() {
            // Nothing can be told from here. A directory left behind goes with the sandbox's tmpfs.
            std::fs::remove_dir(&self.at).unwrap_or_default();
        }
    }
}
