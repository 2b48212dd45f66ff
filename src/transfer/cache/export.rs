//! Export: the layers that are missing there, the document, the manifest.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::json;

use super::super::pack::{self, Layer};
use super::super::parallel::{self, Stop};
use super::super::push::Push;
use super::super::{Error, Layout, PushOptions};
use super::{CacheDocument, CachePlace, Import, MEDIA_TYPE, layout};
use crate::oci::{Descriptor, DiffId, Manifest, Platform, media_type};
use crate::progress::{Event, Sink};
use crate::registry::Client;
use crate::store::{CacheKey, CacheRecord, LayerRecord, Store};

/// How many layers travel at once. Compression has threads of its own.
const LANES: usize = 3;

/// What becomes of the records that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// They go: the cache is that of one build.
    Nothing,
    /// Those of other steps stay. What is no cache is replaced.
    Others,
}

/// A cache on its way to another place.
pub struct Export<'a> {
    /// Where the layers are.
    pub store: &'a Store,
    /// Who speaks to registries.
    pub client: &'a Client,
    /// Where layers come from that are not in the store.
    pub imports: &'a [Import],
    /// How layers are packed.
    pub options: PushOptions,
    /// What the cache at `place` is for, if that is an image.
    pub platform: &'a Platform,
    /// Who is told.
    pub sink: &'a dyn Sink,
}

impl Export<'_> {
    /// Writes `records` and their layers to `place`. Errors, and leaves the place as it is, if those to keep cannot be read.
    pub fn export(
        &self,
        place: &CachePlace,
        records: &[(CacheKey, CacheRecord)],
        keep: Keep,
    ) -> Result<(), Error> {
        let others = match keep {
            Keep::Nothing => None,
            Keep::Others => Import::find(self.client, place, self.platform)?,
        };
        // Nor does what a build has found to be wrong stay.
        let others = others.filter(|_| !self.is_spoiled(place));
        let own = records.iter().map(|(key, record)| (key, record));
        let all: Vec<_> = own.chain(others.iter().flat_map(Import::records)).collect();
        let wanted = CacheDocument::of(all.iter().copied());
        let mut known: HashMap<DiffId, Descriptor> = HashMap::new();
        let there = self.imports.iter().filter(|import| is_same_place(import.place(), place));
        for layer in &wanted.layers {
            let blob = others.iter().chain(there.clone()).find_map(|import| import.blob(&layer.diff_id));
            known.extend(blob.map(|blob| (layer.diff_id, blob.clone())));
        }
        let blobs = parallel::each(LANES, &wanted.layers, |layer, stop| {
            self.layer(place, layer, known.get(&layer.diff_id), stop)
        })?;
        let sent = wanted.layers.iter().zip(blobs).filter_map(|(layer, blob)| Some((layer.diff_id, blob?)));
        let sent: HashMap<DiffId, Descriptor> = sent.collect();
        self.tell_lost(place, wanted.layers.len() - sent.len());
        let is_whole =
            |record: &CacheRecord| record.layer.is_none_or(|layer| sent.contains_key(&layer.diff_id));
        let document = CacheDocument::of(all.into_iter().filter(|(_, record)| is_whole(record)));
        let layers = document.layers.iter().map(|layer| sent[&layer.diff_id].clone()).collect();
        let bytes = document.to_bytes();
        let config = Descriptor::of(MEDIA_TYPE, &bytes);
        self.store.put_blob(&bytes)?;
        self.put(place, &config, &Stop::default())?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            config,
            layers,
            annotations: BTreeMap::new(),
            extra: BTreeMap::from([("artifactType".to_owned(), json!(MEDIA_TYPE))]),
        };
        let bytes = manifest.to_bytes();
        match place {
            CachePlace::Registry(reference) => {
                self.client.push_manifest(&reference.remote(), media_type::MANIFEST, &bytes)?;
            }
            CachePlace::Layout(Layout { path, tag, .. }) => {
                layout::name(path, tag.as_deref().unwrap_or("latest"), &bytes)?;
            }
        }
        Ok(())
    }

    fn tell_lost(&self, place: &CachePlace, lost: usize) {
        if lost > 0 {
            let text = format!(
                "the cache at {place} goes without {lost} of its layers, and without the steps that made them: they are \
                 neither there any more nor in the store"
            );
            self.sink.event(Event::Warning(text));
        }
    }

    /// Sees to it that the layer is at `place`. `known` is what it is called there. `None` if it is neither there nor here.
    fn layer(
        &self,
        place: &CachePlace,
        layer: &LayerRecord,
        known: Option<&Descriptor>,
        stop: &Stop,
    ) -> Result<Option<Descriptor>, Error> {
        if let Some(blob) = known
            && self.has(place, blob)?
        {
            return Ok(Some(blob.clone()));
        }
        if !self.store.holds(&layer.diff_id.0, layer.size)? {
            return Ok(None);
        }
        let plain = Descriptor::new(media_type::LAYER, layer.diff_id.0, layer.size);
        let layer = Layer { descriptor: &plain, diff_id: layer.diff_id, docker: false };
        let blob = pack::packed(self.store, &layer, self.options)?;
        self.put(place, &blob, stop)?;
        Ok(Some(blob))
    }

    fn has(&self, place: &CachePlace, blob: &Descriptor) -> Result<bool, Error> {
        match place {
            CachePlace::Registry(reference) => Ok(self.client.has_blob(&reference.remote(), &blob.digest)?),
            CachePlace::Layout(to) => Ok(layout::has(&to.path, blob)),
        }
    }

    /// Whether an import of `place` has been found to be wrong.
    fn is_spoiled(&self, place: &CachePlace) -> bool {
        self.imports.iter().any(|import| is_same_place(import.place(), place) && import.is_spoiled())
    }

    /// Sends a blob of the store.
    fn put(&self, place: &CachePlace, blob: &Descriptor, stop: &Stop) -> Result<(), Error> {
        match place {
            CachePlace::Registry(reference) => {
                let Self { store, client, sink, .. } = *self;
                Push { store, client, to: reference.remote(), sink }.blob(blob, stop)
            }
            // Of a place that was wrong once a blob's length says nothing.
            CachePlace::Layout(to) if !self.is_spoiled(place) && layout::has(&to.path, blob) => Ok(()),
            CachePlace::Layout(to) => {
                layout::put(&to.path, blob, Path::new(&self.store.blob_path(&blob.digest)))
            }
        }
    }
}

/// Whether `layer` has to be in the store for [`Export::export`] to `place`: it is not, if one of `imports` has it there.
pub fn is_needed(imports: &[Import], place: &CachePlace, layer: &DiffId) -> bool {
    !imports.iter().any(|import| is_same_place(import.place(), place) && import.blob(layer).is_some())
}

/// Whether blobs of the one are at the other.
fn is_same_place(a: &CachePlace, b: &CachePlace) -> bool {
    match (a, b) {
        (CachePlace::Registry(a), CachePlace::Registry(b)) => {
            let (a, b) = (a.remote(), b.remote());
            a.registry() == b.registry() && a.repository() == b.repository()
        }
        (CachePlace::Layout(a), CachePlace::Layout(b)) => a.path == b.path,
        _ => false,
    }
}
