//! The tree of an image as a tar: one stream, in which nothing hides anything.

use super::{Destination, Error, Tree, disjoint, time, whole};
use crate::layer::LayerWriter;
use crate::store::Store;

/// Writes `trees` as one tar. With `epoch`, in seconds since 1970, every entry shows that time.
pub fn tar(store: &Store, trees: &[Tree], to: &Destination, epoch: Option<i64>) -> Result<(), Error> {
    disjoint(trees)?;
    whole(store, to, |file| {
        let mut writer = LayerWriter::create(file);
        for tree in trees {
            let place = tree.place.as_deref().unwrap_or_default();
            tree.stack.append_to(&mut writer, place.as_bytes(), &time(epoch))?;
        }
        writer.finish()?;
        Ok(())
    })
}
