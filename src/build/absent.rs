//! Layers that a build knows of and that are not here: they come when somebody reads them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use super::StepError;
use super::executor::{Executor, lock};
use super::stage::Stage;
use crate::oci::DiffId;
use crate::rootfs::Stack;
use crate::store::{CacheKey, CacheRecord};
use crate::transfer::Found;

/// Where layers are that the store may not have.
#[derive(Default)]
pub(super) struct Absent(pub(super) Mutex<HashMap<DiffId, Origin>>);

/// Where a layer is.
#[derive(Clone)]
pub(super) enum Origin {
    /// In an image of a registry.
    Image(Arc<Found>),
    /// In the import of this number, with what that says of it.
    Import(usize, Vec<(CacheKey, CacheRecord)>),
}

impl Absent {
    /// The layers of `found`, if that is in a registry. What an import has stays its own, with the records that wait for it.
    pub(super) fn offer(&self, found: &Arc<Found>) {
        if let Found::There(offer) = &**found {
            let layers = offer.image().config.rootfs.diff_ids.iter();
            let mut absent = lock(&self.0);
            for diff_id in layers {
                absent.entry(*diff_id).or_insert_with(|| Origin::Image(Arc::clone(found)));
            }
        }
    }

    fn origin(&self, diff_id: &DiffId) -> Option<Origin> {
        lock(&self.0).get(diff_id).cloned()
    }
}

impl Executor<'_> {
    /// The root file system of `stage` so far, its layers brought here.
    pub(super) fn stack(&self, stage: &Stage) -> Result<Stack, StepError> {
        stage.stack(self.store, |layers| self.bring(layers))
    }

    /// Brings here those of `layers` that are elsewhere. What is nowhere is for the store to tell. What an import is to
    /// have is asked for there even if a file of that name is here: it may be torn, or the record may lie about its length.
    pub(super) fn bring(&self, layers: &[DiffId]) -> Result<(), StepError> {
        let mut imported: BTreeMap<usize, Vec<DiffId>> = BTreeMap::new();
        for diff_id in layers {
            match self.absent.origin(diff_id) {
                Some(Origin::Import(number, _)) => imported.entry(number).or_default().push(*diff_id),
                Some(Origin::Image(found)) if !self.store.has_blob(&diff_id.0) => self.pull_whole(&found)?,
                Some(Origin::Image(_)) | None => {}
            }
        }
        imported.iter().try_for_each(|(number, layers)| self.fetch_layers(*number, layers))
    }

    /// Pulls an image of which somebody needs a layer, with its name.
    fn pull_whole(&self, found: &Found) -> Result<(), StepError> {
        if let Found::There(offer) = found {
            offer.take(self.store, self.client, self.sink).map_err(Box::new)?;
        }
        Ok(())
    }
}
