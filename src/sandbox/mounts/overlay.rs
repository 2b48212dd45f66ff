//! A directory of the host whose changes go elsewhere (option `O` of a volume).
//!
//! They go into the live directory of the step, or, where the kernel takes none of its file system as an upper side (an
//! overlay itself, NFS), into memory. Either way they are gone with the step.

use std::fs::create_dir_all;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rbuild_userns::mount::{Attributes, Setting, Tree};
use rustix::fs::{Mode, OFlags};

use super::super::Error;
use super::{WRITTEN, bind, owner};
use crate::runtime::{Job, Overlay, Owner};

/// Mounts the overlay. `number` tells those of a step apart.
///
/// Files that are given to the command's user are copied up for it, whole: the host's stay whose they are.
pub(super) fn tree(overlay: &Overlay, job: &Job, files: &Path, number: usize) -> Result<Tree, Error> {
    let tree = mounted(overlay, &job.live, files, number)?;
    if overlay.owner == Owner::Command {
        owner::give(tree.as_fd(), &overlay.lower, job.process.uid, job.process.gid)?;
    }
    Ok(tree)
}

fn mounted(overlay: &Overlay, live: &Path, files: &Path, number: usize) -> Result<Tree, Error> {
    let lower = bind::open(&overlay.lower)?;
    if let Some(upper) = &overlay.upper {
        return over(&lower, &bind::open(&upper.dir)?, &bind::open(&upper.work)?);
    }
    let written = live.join(WRITTEN).join(number.to_string());
    in_directory(&lower, &written).or_else(|on_disk| {
        let memory = files.join(format!("written-{number}"));
        create_dir_all(&memory).map_err(Error::file("create", &memory))?;
        let tmpfs = Tree::new("tmpfs", &[], Attributes::empty())?;
        tmpfs.attach(open_directory(&memory)?.as_fd())?;
        // why the first did not is the more useful word
        in_directory(&lower, &memory).map_err(|_| on_disk)
    })
}

fn in_directory(lower: &OwnedFd, directory: &Path) -> Result<Tree, Error> {
    let (upper, work) = (directory.join("upper"), directory.join("work"));
    for part in [&upper, &work] {
        create_dir_all(part).map_err(Error::file("create", part))?;
    }
    like(lower, &upper)?;
    over(lower, &open_directory(&upper)?, &open_directory(&work)?)
}

/// Gives the upper directory the owner and the mode of the lower one: they are what the overlay's root shows.
fn like(lower: &OwnedFd, upper: &Path) -> Result<(), Error> {
    let stat = rustix::fs::fstat(lower).map_err(Error::file("stat", upper))?;
    let upper_fd = open_directory(upper)?;
    let owner = (Some(rustix::fs::Uid::from_raw(stat.st_uid)), Some(rustix::fs::Gid::from_raw(stat.st_gid)));
    match rustix::fs::chownat(&upper_fd, "", owner.0, owner.1, rustix::fs::AtFlags::EMPTY_PATH) {
        // an owner that this user namespace does not know: root's, then
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::PERM) => {}
        Err(errno) => return Err(Error::file("chown", upper)(errno)),
    }
    rustix::fs::chmod(upper, Mode::from_raw_mode(stat.st_mode & 0o7777)).map_err(Error::file("chmod", upper))
}

/// By descriptors, because a path would have to be quoted in the options.
fn over(lower: &OwnedFd, upper: &OwnedFd, work: &OwnedFd) -> Result<Tree, Error> {
    let [lower, upper, work] = [lower, upper, work].map(|fd| format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let settings = [
        Setting::Text("lowerdir", &lower),
        Setting::Text("upperdir", &upper),
        Setting::Text("workdir", &work),
        // marks that a user namespace may write
        Setting::Flag("userxattr"),
    ];
    Ok(Tree::new("overlay", &settings, Attributes::empty())?)
}

fn open_directory(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(Error::file("open", path))
}
