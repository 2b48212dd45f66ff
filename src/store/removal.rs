//! Removing what steps left, as far as the user of the store can.
//!
//! Not by the standard library: it keeps a descriptor and a stack frame for every level, and a step may nest directories
//! deeper than there are of either.

use std::io::ErrorKind;
use std::path::Path;

use super::Error;
use crate::rootfs;

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    Done,
    /// Something in it belongs to mapped ids, or to a sandbox that is just removing it.
    Refused,
}

/// Removes a directory with all it holds. One that is gone already is removed.
pub(super) fn remove_plainly(tree: &Path) -> Result<Removal, Error> {
    use ErrorKind::{DirectoryNotEmpty, NotFound, PermissionDenied};
    let parent = tree.parent().unwrap_or(Path::new("/"));
    match rootfs::remove_tree(parent, tree) {
        Ok(()) => Ok(Removal::Done),
        Err(rootfs::Error::At { source, .. })
            if matches!(source.kind(), PermissionDenied | DirectoryNotEmpty | NotFound) =>
        {
            Ok(Removal::Refused)
        }
        Err(error) => Err(error.into()),
    }
}
