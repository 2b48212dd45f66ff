//! Reading directories. There is no handle: a position is the cookie of the last name read, and cookies neither
//! move nor come back, so a reader meets every name that stays exactly once, whatever others do meanwhile.

use super::attributes::Attributes;
use super::tree::Id;
use super::{Errno, Overlay};
use crate::fuse::{Listing, Taken};

/// One line of a listing.
pub struct Listed<'a> {
    pub name: &'a [u8],
    /// The position after it.
    pub cookie: u64,
    pub attributes: Attributes,
}

impl Overlay {
    /// Hands the lines after position `after` to `take`, until it is full.
    pub fn read_dir(
        &self,
        id: Id,
        after: u64,
        listing: Listing,
        take: &mut dyn FnMut(&Listed<'_>) -> Taken,
    ) -> Result<(), Errno> {
        let mut tree = self.tree_mut();
        tree.complete(id)?;
        let parent = tree.directory(id)?.parent;
        for (cookie, name, id) in [(1, &b"."[..], id), (2, b"..", parent)] {
            // A removed directory's parent may be gone itself; any directory does as its `..`.
            let attributes = tree.shown(id).or_else(|_| tree.shown(super::tree::ROOT))?;
            if cookie > after && take(&Listed { name, cookie, attributes }) == Taken::Full {
                return Ok(());
            }
        }
        let mut shown = Vec::new();
        for (cookie, name, child) in tree.directory(id)?.entries_after(after) {
            let attributes = self.measured(&tree, tree.shown(child)?);
            if take(&Listed { name, cookie, attributes }) == Taken::Full {
                break;
            }
            shown.push(child);
        }
        if listing == Listing::Lookups {
            for child in shown {
                tree.inode_mut(child)?.lookups += 1;
            }
        }
        Ok(())
    }
}
