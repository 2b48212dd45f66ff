//! Records of other places: taken where the store has none, and sent there when the image is built.
//!
//! An import that turns out to be wrong, or cannot be reached any more, when a layer of it is wanted is not the end of the
//! build: what went before may rest on it, so the build starts again without that import. The steps that were really done
//! are in the store by then.

use std::sync::Mutex;

use super::absent::Origin;
use super::cache::{CacheExport, CacheTarget, Records};
use super::executor::{Executor, lock};
use super::stage::Stage;
use super::{Cache, Error, Ignored, Options, StepError, chain};
use crate::oci::{DiffId, ImageConfig};
use crate::progress::{Event, Sink};
use crate::registry::Client;
use crate::store::{CacheKey, CacheRecord, Store};
use crate::transfer::{self, CacheDocument, Export, INLINE, Import, PushOptions};

/// What a build has taken or made: of which stage, behind which key.
#[derive(Default)]
pub(super) struct Used(Mutex<Vec<(usize, CacheKey, CacheRecord)>>);

/// Reads the documents of `--cache-from`. One that cannot be read is told, and the build does without.
pub(super) fn open(client: &Client, options: &Options, sink: &dyn Sink) -> Vec<Import> {
    let Cache { from, ignored, .. } = &options.cache;
    if *ignored == Ignored::Everything {
        return Vec::new();
    }
    let mut imports = Vec::new();
    for place in from {
        match Import::open(client, place, &options.platform) {
            Ok(import) => imports.push(import),
            Err(error) => {
                let text = format!("the cache at {place} is not used: {}", chain(&error));
                sink.event(Event::Warning(text));
            }
        }
    }
    imports
}

impl Executor<'_> {
    /// What an import says of a step. Its layer may still be there.
    pub(super) fn imported(&self, key: &CacheKey) -> Result<Option<CacheRecord>, StepError> {
        for (number, import) in self.imports.iter().enumerate() {
            let Some(record) = import.record(key).filter(|record| self.is_fresh(record)) else { continue };
            match record.layer {
                Some(layer) if !self.store.holds(&layer.diff_id.0, layer.size)? => {
                    self.absent.import(layer.diff_id, number, key, record);
                }
                _ => self.store.put_cached(key, record)?,
            }
            return Ok(Some(record.clone()));
        }
        Ok(None)
    }

    /// Fetches layers of one import, and records what it said of them.
    pub(super) fn fetch_layers(&self, number: usize, layers: &[DiffId]) -> Result<(), StepError> {
        let import = &self.imports[number];
        import.fetch(self.store, self.client, layers, self.sink).map_err(|source| {
            if !import.is_to_blame_for(&source) {
                return StepError::Transfer(Box::new(source));
            }
            import.spoil();
            StepError::Imported { place: import.place().to_string(), source: Box::new(source) }
        })?;
        for diff_id in layers {
            for (key, record) in self.absent.arrived(diff_id) {
                self.store.put_cached(&key, &record)?;
            }
        }
        Ok(())
    }

    /// Whether a record waits for its layer, which is in an import.
    pub(super) fn is_postponed(&self, key: &CacheKey, record: &CacheRecord) -> Result<bool, StepError> {
        let Some(layer) = record.layer else { return Ok(false) };
        let is_here = self.store.holds(&layer.diff_id.0, layer.size)?;
        Ok(!is_here && self.absent.postpone(layer.diff_id, key, record))
    }

    /// Notes what a step of `stage` came to, if somebody wants to know.
    pub(super) fn note(&self, stage: &Stage, key: &CacheKey, record: &CacheRecord) {
        if self.options.cache.to.is_empty() {
            return;
        }
        let mut used = lock(&self.used.0);
        used.push((stage.index, key.clone(), record.clone()));
        // Who finds other layers with the same files in them asks for that one.
        if let Some(content) = &record.alias_of {
            let record = CacheRecord { alias_of: None, ..record.clone() };
            used.push((stage.index, content.clone(), record));
        }
    }

    /// What a cache of `records` holds: of the stages that the result stands on, or of all.
    fn records(&self, built: &Stage, records: Records) -> Vec<(CacheKey, CacheRecord)> {
        let used = lock(&self.used.0);
        let wanted = used.iter().filter(|(stage, ..)| match records {
            Records::Min => built.lineage.contains(stage),
            Records::Max => true,
        });
        wanted.map(|(_, key, record)| (key.clone(), record.clone())).collect()
    }

    /// Puts its own cache into the config of an image, if that is wanted: of the layers that it has.
    pub(super) fn inline(&self, built: &Stage, config: &mut ImageConfig) {
        if self.options.cache.to.iter().all(|export| export.target != CacheTarget::Inline) {
            return;
        }
        let mut records = self.records(built, Records::Min);
        let diff_ids = &config.rootfs.diff_ids;
        records.retain(|(_, record)| record.layer.is_none_or(|layer| diff_ids.contains(&layer.diff_id)));
        let document = CacheDocument::of(records.iter().map(|(key, record)| (key, record)));
        config.extra.insert(INLINE.to_owned(), document.to_value());
    }

    /// What goes to each of the destinations, with every layer here that has to be.
    pub(super) fn parcels(&self, built: &Stage) -> Vec<Parcel> {
        let parcel = |to: &CacheExport| {
            let CacheTarget::Place { place, .. } = &to.target else { return Ok(Vec::new()) };
            let records = self.records(built, to.records);
            let layers = records.iter().filter_map(|(_, record)| record.layer);
            let wanted = layers.filter(|layer| transfer::is_needed(self.imports, place, &layer.diff_id));
            self.bring(&wanted.map(|layer| layer.diff_id).collect::<Vec<_>>())?;
            Ok(records)
        };
        self.options.cache.to.iter().map(parcel).collect()
    }
}

/// Records for one destination, or why their layers cannot be had.
pub(super) type Parcel = Result<Vec<(CacheKey, CacheRecord)>, StepError>;

/// The caches of a build, of all its platforms.
#[derive(Default)]
pub(super) struct Caches {
    imports: Vec<Import>,
    /// Of each platform one for each destination.
    parcels: Vec<Vec<Parcel>>,
}

impl Caches {
    pub(super) fn add(&mut self, imports: Vec<Import>, parcels: Vec<Parcel>) {
        self.imports.extend(imports);
        self.parcels.push(parcels);
    }

    /// Sends them to where they were asked for. The image is built and has its names.
    pub(super) fn export(
        self,
        store: &Store,
        client: &Client,
        options: &Options,
        sink: &dyn Sink,
    ) -> Result<(), Error> {
        let mut parcels: Vec<_> = self.parcels.into_iter().map(Vec::into_iter).collect();
        for to in &options.cache.to {
            let own = parcels.iter_mut().filter_map(Iterator::next).collect::<Result<Vec<_>, _>>();
            let CacheTarget::Place { place, keep } = &to.target else { continue };
            let compression = PushOptions { compression: to.compression, force: false };
            let (imports, platform) = (&self.imports[..], &options.platform);
            let export = Export { store, client, imports, options: compression, platform, sink };
            let sent = own.and_then(|records| {
                let sent = export.export(place, &records.concat(), *keep);
                sent.map_err(|source| StepError::Transfer(Box::new(source)))
            });
            let sent =
                sent.map_err(|source| Error::CacheTo { place: place.to_string(), source: Box::new(source) });
            match sent {
                Err(error) if to.may_fail => sink.event(Event::Warning(chain(&error))),
                sent => sent?,
            }
        }
        Ok(())
    }
}

impl super::absent::Absent {
    /// A layer of import `number`, and the record that names it.
    fn import(&self, diff_id: DiffId, number: usize, key: &CacheKey, record: &CacheRecord) {
        let mut absent = lock(&self.0);
        let origin = absent.entry(diff_id).or_insert_with(|| Origin::Import(number, Vec::new()));
        if let Origin::Import(_, records) = origin {
            records.push((key.clone(), record.clone()));
        }
    }

    /// Another record of a layer of an import; false if there is no such layer.
    fn postpone(&self, diff_id: DiffId, key: &CacheKey, record: &CacheRecord) -> bool {
        match lock(&self.0).get_mut(&diff_id) {
            Some(Origin::Import(_, records)) => {
                records.push((key.clone(), record.clone()));
                true
            }
            _ => false,
        }
    }

    /// What was said of a layer that is here now.
    fn arrived(&self, diff_id: &DiffId) -> Vec<(CacheKey, CacheRecord)> {
        match lock(&self.0).get_mut(diff_id) {
            Some(Origin::Import(_, records)) => std::mem::take(records),
            _ => Vec::new(),
        }
    }
}

/// Tells that the build starts again, if it is an import that failed.
pub(super) fn starts_again(error: &Error, sink: &dyn Sink) -> bool {
    let Some(why @ StepError::Imported { .. }) = error.step() else { return false };
    sink.event(Event::Warning(format!("{}; the build starts again without it", chain(why))));
    true
}
