//! Directories of `RUN --mount=type=cache` outside of a step: packed as a tar, and filled from one.
//!
//! Only here have their files the owners that steps see. A cache is filled beside itself and then takes the place of what
//! was there, so it is the old one or the new one whatever happens.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::mounts::{CACHE_DATA, copy};
use super::{Error, sweep};
use crate::rootfs;

/// What is being filled. The lock of the cache is held alone meanwhile, so there is one.
const FILLING: &str = "new-import";

/// Writes what the cache in `directory` holds into `tar`.
pub(super) fn pack(directory: &Path, tar: OwnedFd) -> Result<(), Error> {
    rootfs::pack(&directory.join(CACHE_DATA), File::from(tar))?;
    Ok(())
}

/// Gives the cache in `directory` what the directory `from` holds.
pub(super) fn fill(directory: &Path, from: &Path) -> Result<(), Error> {
    let (filling, data) = (directory.join(FILLING), directory.join(CACHE_DATA));
    sweep::remove(&filling)?;
    std::fs::create_dir(&filling).map_err(Error::file("create", &filling))?;
    let open = |path: &Path| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).map_err(Error::file("open", path))
    };
    copy::directory(open(from)?.as_fd(), open(&filling)?.as_fd(), Path::new("/"))?;
    match rustix::fs::renameat_with(CWD, &filling, CWD, &data, RenameFlags::EXCHANGE) {
        Ok(()) => sweep::remove(&filling),
        Err(Errno::NOENT) => std::fs::rename(&filling, &data).map_err(Error::file("rename", &filling)),
        Err(errno) => Err(Error::file("rename", &filling)(errno)),
    }
}
