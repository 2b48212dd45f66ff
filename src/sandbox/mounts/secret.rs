//! Files that only memory has.
//!
//! Each lies in a tmpfs of its own, which is mounted in the step's mount namespace and nowhere else: it is gone with the
//! step, however that ends, and no other process ever has a path to it.

use std::fs::{File, create_dir};
use std::io::Write as _;
use std::os::fd::AsFd;
use std::path::Path;

use rbuild_userns::mount::{Attributes, Depth, Setting, Tree};
use rustix::fs::{Mode, OFlags};

use super::super::Error;
use super::super::root::StepRoot;
use super::super::step::Ready;
use super::owner;
use crate::runtime::SecretFile;

const NAME: &str = "secret";

/// Makes the file. `number` tells those of a step apart.
pub(super) fn tree(
    file: &SecretFile,
    root: &mut StepRoot<'_>,
    ready: Ready<'_>,
    number: usize,
) -> Result<Tree, Error> {
    let inert = Attributes::MOUNT_ATTR_NOSUID | Attributes::MOUNT_ATTR_NODEV | Attributes::MOUNT_ATTR_NOEXEC;
    let tmpfs = Tree::new("tmpfs", &[Setting::Text("mode", "0700")], inert)?;
    // only what is mounted somewhere can be copied
    let at = ready.files.directory.join(format!("{NAME}-{number}"));
    create_dir(&at).map_err(Error::file("create", &at))?;
    let place = rustix::fs::open(&at, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    tmpfs.attach(place.map_err(Error::file("open", &at))?.as_fd())?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let made = rustix::fs::openat(&tmpfs, NAME, flags, Mode::from_raw_mode(0o600));
    let mut made = File::from(made.map_err(Error::file("create", NAME))?);
    made.write_all(file.secret.as_bytes()).map_err(Error::file("write", NAME))?;
    owner::give_made(made.as_fd(), Path::new(NAME), file.attributes, (root, ready.owners))?;
    Ok(Tree::copy_of_open(made.as_fd(), Depth::One)?)
}
