//! Directories that are kept from one step to others.
//!
//! What is in one is whatever earlier steps have left, so nothing of it is followed: `data` is opened in the directory of
//! the store, which no step sees, and what is asked for in it is walked beneath that descriptor.
//!
//! Several steps may want a cache that does not exist yet. Each makes one and gives it the name if that is still free; who
//! comes second takes what is there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rbuild_userns::mount::{Depth, Tree};
use rustix::fs::{Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::super::root::StepRoot;
use super::super::step::Ready;
use super::super::target::{self, Stub};
use super::super::{Error, sweep};
use super::{bind, copy, layers, owner};
use crate::runtime::{Attributes, CacheDirectory, Job};

/// What steps see of the directory.
pub(in crate::sandbox) const DATA: &str = "data";

/// How what is being made is called, with its step and its number behind it.
const MAKING: &str = "new-";

/// Makes the tree of what is asked for.
pub(super) fn tree(
    cache: &CacheDirectory,
    root: &mut StepRoot<'_>,
    job: &Job,
    ready: Ready<'_>,
    number: usize,
) -> Result<Tree, Error> {
    let directory = bind::open(&cache.path)?;
    remove_abandoned(&cache.path, &job.live)?;
    let data = match open_data(directory.as_fd()) {
        Err(Errno::NOENT) => make(cache, directory.as_fd(), root, job, (ready, number))?,
        opened => opened.map_err(Error::file("open", cache.path.join(DATA)))?,
    };
    if let Some(Attributes { uid, gid, .. }) = cache.attributes {
        // where owners are recorded, they are forgotten with each step
        owner::remember(data.as_fd(), &cache.path, (uid, gid), (root, ready.owners))?;
    }
    let shown = if cache.shown.as_os_str().is_empty() {
        data
    } else {
        target::open_or_create(data.as_fd(), &cache.shown, Stub::Directory)?.fd
    };
    Ok(Tree::copy_of_open(shown.as_fd(), Depth::One)?)
}

/// Removes what killed steps were making: each is named after its live directory, which is there as long as the step.
fn remove_abandoned(cache: &Path, live: &Path) -> Result<(), Error> {
    let leases = live.parent().unwrap_or(live);
    for entry in std::fs::read_dir(cache).map_err(Error::file("read", cache))? {
        let name = entry.map_err(Error::file("read", cache))?.file_name();
        let Some(lease) = name.to_str().and_then(|name| name.strip_prefix(MAKING)?.rsplit_once('-')) else {
            continue;
        };
        if !leases.join(lease.0).try_exists().map_err(Error::file("stat", leases))? {
            sweep::remove(&cache.join(&name))?;
        }
    }
    Ok(())
}

fn open_data(directory: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, DATA, flags, Mode::empty())
}

fn make(
    cache: &CacheDirectory,
    directory: BorrowedFd<'_>,
    root: &mut StepRoot<'_>,
    job: &Job,
    (ready, number): (Ready<'_>, usize),
) -> Result<OwnedFd, Error> {
    let lease = job.live.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("{MAKING}{lease}-{number}");
    let path = cache.path.join(&name);
    rustix::fs::mkdirat(directory, &name, Mode::from_raw_mode(0o755))
        .map_err(Error::file("create", &path))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made =
        rustix::fs::openat(directory, &name, flags, Mode::empty()).map_err(Error::file("open", &path))?;
    if let Some(seed) = &cache.seed {
        let from = layers::open(seed, ready.shown(number)?)?;
        copy::directory(from.as_fd(), made.as_fd(), Path::new(&seed.path))?;
    }
    if let Some(attributes) = cache.attributes {
        owner::give_made(made.as_fd(), &path, attributes, (root, ready.owners))?;
    }
    match rustix::fs::renameat_with(directory, &name, directory, DATA, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(made),
        Err(Errno::EXIST) => {
            sweep::remove(&path)?;
            open_data(directory).map_err(Error::file("open", cache.path.join(DATA)))
        }
        Err(errno) => Err(Error::file("rename", path)(errno)),
    }
}
