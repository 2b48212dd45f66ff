//! What a step's clerks begin with: the roots that record owners, and files of other mounts that are somebody's.

use std::collections::HashMap;
use std::sync::Arc;

use crate::rootfs::{Inode, Owner, Ownership};
use crate::sandbox::held::Owned;

/// Who says whose the files of a step are.
pub struct Recorded {
    /// The step's own root, and those that its mounts show.
    pub roots: Vec<Arc<dyn Ownership>>,
    /// Owners of files of other mounts.
    pub elsewhere: HashMap<Inode, Owner>,
}

impl Recorded {
    /// `owned`: files that were made for the step.
    pub fn of(root: Arc<dyn Ownership>, beside: Vec<Arc<dyn Ownership>>, owned: &[Owned]) -> Self {
        let elsewhere = owned.iter().map(|owned| {
            let inode = Inode { device: owned.device, number: owned.number, born: owned.born };
            (inode, Owner { uid: owned.uid, gid: owned.gid })
        });
        Self { roots: [vec![root], beside].concat(), elsewhere: elsewhere.collect() }
    }
}
