//! Directories and files of layers: a root of their own is mounted for them beside the step's (`Ask::Show`), so that what a
//! command writes there goes nowhere, on every driver.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rbuild_userns::mount::{Depth, Tree};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::super::{Error, target};
use crate::runtime::Layers;

/// Makes the tree of what the root mounted at `root` has at the path.
pub(super) fn tree(layers: &Layers, root: &Path) -> Result<Tree, Error> {
    Ok(Tree::copy_of_open(open(layers, root)?.as_fd(), Depth::One)?)
}

/// Opens it; symlinks of the root do not lead out of it.
pub(super) fn open(layers: &Layers, root: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, flags, Mode::empty()).map_err(Error::file("open", root))?;
    // an empty path would be none
    let place = target::open_existing(root.as_fd(), &Path::new(".").join(&layers.path))?;
    place.ok_or_else(|| Error::Resolve { path: layers.path.clone(), source: Errno::NOENT.into() })
}
