//! The shelf: trees that steps have left, for the steps to come.
//!
//! The next step of a stage stands on the layers of the one before and one or two more. To put the tree right for it costs
//! a look at every inode; to make it anew costs the whole image. A shelf belongs to one sandbox, and ends with it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::baseline::Baseline;
use crate::rootfs::{Error, Named as _, Stack, freeze};

/// How many trees wait at most: each takes the room of an image.
const ROOM: usize = 4;

/// Trees in a directory of the store that outlives the steps.
#[derive(Default)]
pub(in crate::rootfs) struct Shelf {
    /// The oldest first.
    trees: Mutex<Vec<Shelved>>,
    next: AtomicU64,
}

/// A tree that waits.
pub(super) struct Shelved {
    pub place: PathBuf,
    /// What it was made of, before its step.
    stack: Stack,
    pub baseline: Baseline,
}

impl Shelf {
    /// Moves the directory `tree` to the shelf at `dir`.
    pub(super) fn put(&self, dir: &Path, tree: &Path, stack: Stack, baseline: Baseline) -> Result<(), Error> {
        let place = dir.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::rename(tree, &place).named("rename", tree)?;
        let oldest = {
            let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
            trees.push(Shelved { place, stack, baseline });
            (trees.len() > ROOM).then(|| trees.remove(0))
        };
        oldest.map_or(Ok(()), |shelved| freeze::remove_tree(dir, &shelved.place))
    }

    /// The tree that has the most in common with `stack`, and how many layers that is.
    pub(super) fn take(&self, stack: &Stack) -> Option<(Shelved, usize)> {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = |shelved: &Shelved| {
            let pairs = shelved.stack.layers().iter().zip(stack.layers());
            pairs.take_while(|(one, other)| one.diff_id == other.diff_id).count()
        };
        let (at, most) = trees.iter().map(shared).enumerate().max_by_key(|(_, shared)| *shared)?;
        (most > 0).then(|| (trees.remove(at), most))
    }
}
