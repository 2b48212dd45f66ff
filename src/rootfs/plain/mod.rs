//! The `plain` driver: the stack materialised into a directory, for hosts without `/dev/fuse`.
//!
//! The step works on ordinary files; nothing stands between it and the file system of the store. What it changed is
//! found afterwards, by comparing the tree with the [`Baseline`] that was recorded before it began:
//!
//! ```text
//!   materialise   directories, then (in parallel) what they hold, then further names, then the directories' attributes
//!   baseline      every inode: which of the stack's it is, its birth and change times, what could not be made as it is
//!   clock         wait until the file system's clock has moved past the newest change time
//!       … the step …
//!   difference    an inode with the same number, birth and change time is untouched, and its bytes are never read
//!   shelf         the tree is kept for the next step of the sandbox, which makes again only what changed
//! ```
//!
//! The change time is what a program cannot set: writing, also through a mapping, chmod, chown, link, rename and even
//! putting the old modification time back move it. The kernel stamps it with a clock that may advance only every few
//! milliseconds, which is why the step waits for one advance: whatever it does is then later than all that was recorded.
//!
//! # What the directory cannot hold
//! A user namespace may not make device nodes, nor give a file an owner that it does not map; a file system may have no
//! extended attributes, or times of whole seconds. Such a thing is made as near as can be (a device as an empty file,
//! an unmapped owner as root, without the setuid bit that would then mean somebody else), the step sees that, and the
//! baseline remembers the image's own value. An attribute that the step leaves as it was made keeps the image's value in
//! the layer, also where the file is changed otherwise or renamed.
//!
//! Where a single id is mapped, [`owners`] keeps what the directory cannot: every owner and every device, as the layers have
//! them and as the step changes them. Whoever answers the step's system calls shows and changes them there.
//!
//! The tree lies in a directory of mode 0700: its setuid programs belong to real ids of the host, and nobody else there
//! may reach them.

mod baseline;
mod bytes;
mod clock;
mod difference;
mod ids;
mod materialise;
mod owners;
mod shelf;

use std::cell::Cell;
use std::fs::{DirBuilder, File};
use std::os::fd::AsFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use baseline::{Baseline, Stamp};
use difference::Difference;
use materialise::{StandIn, Used, materialise};
use owners::Owners;

pub(super) use shelf::Shelf;

use super::freeze::{self, Ignore, Source as _};
use super::{Errno, Error, Ids, Named as _, Ownership, Root, Stack};
use crate::layer::{LayerWriter, Metadata, Written};

/// The directory in `live` that nobody else may enter, and the tree in it.
const CLOSED: &str = "plain";
const TREE: &str = "root";

/// A step's root in a directory.
pub(super) struct PlainRoot {
    live: PathBuf,
    tree: PathBuf,
    stack: Stack,
    baseline: Baseline,
    /// Whose the files are, where the kernel has one owner for all.
    owners: Option<Arc<Owners>>,
    /// The root directory as the step found it.
    root: Metadata,
    shelf: Option<ShelfAt>,
}

/// Whether a tree can be put right for another step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reuse {
    Allowed,
    /// Something in it is immutable.
    Refused,
}

/// A shelf, and where its trees lie.
pub(super) type ShelfAt = (Arc<Shelf>, PathBuf);

impl PlainRoot {
    /// Materialises `stack` beneath `live`, if possible in a tree of the shelf.
    pub(super) fn materialise(
        stack: Stack,
        live: &Path,
        shelf: Option<ShelfAt>,
        ids: &Ids,
    ) -> Result<Self, Error> {
        let closed = live.join(CLOSED);
        Self::fill(stack, live, &closed, shelf, ids).inspect_err(|_| {
            // The first error is the one to tell; what stays is found by whoever owns `live`.
            freeze::remove_tree(live, &closed).unwrap_or_default();
        })
    }

    fn fill(
        stack: Stack,
        live: &Path,
        closed: &Path,
        shelf: Option<ShelfAt>,
        ids: &Ids,
    ) -> Result<Self, Error> {
        let tree = closed.join(TREE);
        let used = shelf.as_ref().and_then(|(shelf, _)| shelf.take(&stack));
        match &used {
            Some((used, _)) => std::fs::rename(&used.place, closed).named("rename", &used.place)?,
            None => DirBuilder::new().mode(0o700).create(closed).named("mkdir", closed)?,
        }
        let used = used.as_ref().map(|(used, shared)| Used { baseline: &used.baseline, shared: *shared });
        let (mut owners, stand_in) = match ids {
            Ids::Mapped => (None, StandIn::EmptyFile),
            Ids::Recorded(_) => (Some(Owners::default()), StandIn::Whiteout),
        };
        let refused = materialise(&stack, &tree, stand_in, used)?;
        // What is not on the disk cannot be found there again.
        let shelf = shelf.filter(|_| refused.is_empty());
        let baseline = Baseline::record(&stack, &tree, &refused, owners.as_mut())?;
        let fixed = Cell::new(false);
        let difference = Difference { stack: &stack, baseline: &baseline, fixed, owners: owners.as_ref() };
        let root = difference.top(File::open(&tree).named("open", &tree)?.as_fd()).named("stat", &tree)?;
        let owners = owners.map(Arc::new);
        Ok(Self { live: live.into(), tree, stack, baseline, owners, root, shelf })
    }

    /// Also says whether the tree can serve another step.
    fn write(&self, tar: File, ignore: &[PathBuf]) -> Result<(Written, Reuse), Error> {
        let mut layer = LayerWriter::create(tar);
        let (owners, fixed) = (self.owners.as_deref(), Cell::new(false));
        let difference = Difference { stack: &self.stack, baseline: &self.baseline, fixed, owners };
        let ignore = Ignore::new(ignore);
        freeze::write(&difference, &self.tree, &self.root, &self.stack, &ignore, &mut layer)?;
        let top = Stamp::of(&File::open(&self.tree).named("open", &self.tree)?).named("stat", &self.tree)?;
        let reuse = if difference.fixed.get() || top.fixed { Reuse::Refused } else { Reuse::Allowed };
        Ok((layer.finish()?, reuse))
    }

    fn remove(&self) -> Result<(), Error> {
        freeze::remove_tree(&self.live, &self.live.join(CLOSED))
    }
}

impl Root for PlainRoot {
    fn path(&self) -> &Path {
        &self.tree
    }

    fn ownership(&self) -> Option<Arc<dyn Ownership>> {
        self.owners.clone().map(|owners| owners as Arc<dyn Ownership>)
    }

    fn freeze(mut self: Box<Self>, tar: File, ignore: &[PathBuf]) -> Result<Written, Error> {
        let written = self.write(tar, ignore);
        let reusable = matches!(&written, Ok((_, Reuse::Allowed)));
        let cleared = match self.shelf.take().filter(|_| reusable) {
            Some((shelf, at)) => shelf.put(&at, &self.live.join(CLOSED), self.stack, self.baseline),
            None => self.remove(),
        };
        let (written, _) = written?;
        cleared?;
        Ok(written)
    }

    fn snapshot(&self, tar: File) -> Result<Written, Error> {
        Ok(self.write(tar, &[])?.0)
    }

    fn discard(self: Box<Self>) -> Result<(), Error> {
        self.remove()
    }
}
