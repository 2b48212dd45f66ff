//! The end of a build: what was asked of the image as a whole, then config and layers become a manifest.
//!
//! Steps and their cache know nothing of it: whether an image is squashed, and which times it shows, is settled here, so
//! that another `SOURCE_DATE_EPOCH` does not do a single step again. What is merged or given other times is remembered by
//! the layers it was made of, as steps are.
//!
//! With times that are set or clamped, each new layer is written anew from its index. Its bytes then depend on what is in
//! it alone: not on the driver that wrote it, the ids that were mapped, or the order in which threads came by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::stage::Stage;
use super::{Error, Options};
use crate::layer::Timestamp;
use crate::oci::{ChainId, Descriptor, DiffId, History, ImageConfig, Manifest, media_type};
use crate::rootfs::Stack;
use crate::store::{CacheKey, CacheRecord, Image, LayerRecord, Store};
use crate::transfer;

/// What is asked of the image beyond its Dockerfile.
#[derive(Clone, Debug, Default)]
pub struct Finish {
    /// Variables that the target's stage begins with (`--env`).
    pub env: Vec<(String, String)>,
    /// Variables that the image is not to have (`--unsetenv`).
    pub unset_env: Vec<String>,
    /// Labels that the target's stage ends with (`--label`).
    pub labels: Vec<(String, String)>,
    /// Stages that stand on an image begin without its labels (`--inherit-labels=false`).
    pub drop_labels: bool,
    /// Annotations of its manifest (`--annotation`).
    pub annotations: BTreeMap<String, String>,
    /// One more annotation tells when it was made (`--created-annotation`).
    pub annotate_created: bool,
    /// It does not tell how it was made (`--omit-history`).
    pub omit_history: bool,
    /// Whose media types it has.
    pub format: Format,
    /// How many layers it has.
    pub layering: Layering,
    /// The times it shows.
    pub times: Times,
    /// Whether the stages that it stands on, or copies from, become images as well.
    pub saving: Saving,
}

/// What becomes of the stages besides the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Saving {
    /// They are forgotten, but for their cache records.
    #[default]
    None,
    /// Each becomes an image without a name (`--save-stages`).
    Stages,
    /// The same, with labels that tell which it is (`--stage-labels`).
    Labelled,
}

/// Whose media types an image has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// OCI's.
    #[default]
    Oci,
    /// Docker's (image manifest v2, schema 2), which has no annotations.
    Docker,
}

/// How many layers an image has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layering {
    /// One for each instruction that made one.
    #[default]
    Each,
    /// Those of its base and one more (`--layers=false`).
    New,
    /// One (`--squash`).
    All,
}

/// Which times an image shows, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Times {
    /// Those of the clock.
    #[default]
    Real,
    /// This one where the config says when it was made (`--source-date-epoch`).
    Created(i64),
    /// The same, and no file of a new layer is younger (`--rewrite-timestamp`).
    Clamped(i64),
    /// The same, and every file of a new layer is as old (`--timestamp`).
    Set(i64),
}

impl Times {
    /// The one time that is given.
    pub fn epoch(self) -> Option<i64> {
        match self {
            Self::Real => None,
            Self::Created(epoch) | Self::Clamped(epoch) | Self::Set(epoch) => Some(epoch),
        }
    }

    /// The time that an entry of a new layer shows.
    fn of_entry(self, own: Timestamp) -> Timestamp {
        match self {
            Self::Real | Self::Created(_) => own,
            Self::Clamped(secs) => own.min(Timestamp { secs, nanos: 0 }),
            Self::Set(secs) => Timestamp { secs, nanos: 0 },
        }
    }

    fn changes_entries(self) -> bool {
        matches!(self, Self::Clamped(_) | Self::Set(_))
    }
}

/// Makes an image of `stage`, without a name. `add` has the last word on its config.
pub(super) fn finish(
    stage: &Stage,
    store: &Store,
    options: &Options,
    add: impl FnOnce(&mut ImageConfig),
) -> Result<Image, Error> {
    let finish = &options.finish;
    let mut config = stage.image.clone();
    config.config.env.retain(|row| {
        let name = row.split('=').next().unwrap_or_default();
        !finish.unset_env.iter().any(|unset| unset == name)
    });
    let mut layers = stage.layers.clone();
    let own_history = stage.inherited.history.min(config.history.len());
    Layers { store, options, own: stage.inherited.layers, config: &mut config, named: &mut layers }
        .settle(own_history)?;
    date(&mut config, finish.times, own_history);
    if finish.omit_history {
        config.history.clear();
    }
    if options.attestations.is_some() {
        layers = transfer::pack_layers(store, &layers, &config.rootfs.diff_ids)?;
    }
    add(&mut config);
    let bytes = config.to_bytes();
    store.put_blob(&bytes)?;
    let (manifest_type, config_type) = match finish.format {
        Format::Oci => (media_type::MANIFEST, media_type::CONFIG),
        Format::Docker => (media_type::DOCKER_MANIFEST, media_type::DOCKER_CONFIG),
    };
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(manifest_type.to_owned()),
        config: Descriptor::of(config_type, &bytes),
        layers: layers.into_iter().map(|layer| typed(layer, finish.format)).collect(),
        annotations: match finish.format {
            Format::Oci => annotations(finish, &config),
            Format::Docker => BTreeMap::new(),
        },
        extra: BTreeMap::new(),
    };
    Ok(store.put_manifest(manifest_type, &manifest.to_bytes())?)
}

/// Makes an image of a stage that is not the target, with its own layers. `name` and `base` are what its FROM says.
pub(super) fn save(
    stage: &Stage,
    store: &Store,
    options: &Options,
    name: &str,
    base: &str,
) -> Result<Image, Error> {
    let Finish { format, times, saving, .. } = options.finish;
    let mut options = options.clone();
    options.finish = Finish { format, times, saving, ..Finish::default() };
    let mut saved = stage.copy();
    if saving == Saving::Labelled {
        let labels = [("io.buildah.stage.name", name), ("io.buildah.stage.base", base)];
        saved.image.config.labels.extend(labels.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    finish(&saved, store, &options, |_| {})
}

/// The layers of an image on their way into its manifest.
struct Layers<'a> {
    store: &'a Store,
    options: &'a Options,
    /// How many of the lowest are the base's.
    own: usize,
    config: &'a mut ImageConfig,
    /// As many as the config has diff ids.
    named: &'a mut Vec<Descriptor>,
}

impl Layers<'_> {
    fn settle(&mut self, own_history: usize) -> Result<(), Error> {
        let count = self.named.len();
        match self.options.finish.layering {
            Layering::All if count > 1 => {
                if own_history < self.config.history.len() {
                    self.config.history.drain(..own_history);
                }
                self.replace(0, count)?;
                one_layer(&mut self.config.history, self.named.len());
                Ok(())
            }
            Layering::New if count > self.own + 1 => {
                self.replace(self.own, count)?;
                one_layer(&mut self.config.history[own_history..], self.named.len() - self.own);
                Ok(())
            }
            Layering::Each | Layering::New | Layering::All => {
                let from = if self.options.finish.layering == Layering::All { 0 } else { self.own };
                if !self.options.finish.times.changes_entries() {
                    return Ok(());
                }
                (from..count).try_for_each(|place| self.replace(place, place + 1))
            }
        }
    }

    /// Puts one layer in the place of those from `first` up to `end`; none where they say nothing.
    fn replace(&mut self, first: usize, end: usize) -> Result<(), Error> {
        let merged = self.merged(first, end)?;
        let diff_ids = &mut self.config.rootfs.diff_ids;
        // A layer that has its own place in the history stays, whatever is left of it.
        let merged = merged
            .map(|layer| (layer.diff_id, Descriptor::new(media_type::LAYER, layer.diff_id.0, layer.size)));
        diff_ids.splice(first..end, merged.iter().map(|(diff_id, _)| *diff_id));
        self.named.splice(first..end, merged.map(|(_, layer)| layer));
        Ok(())
    }

    fn merged(&self, first: usize, end: usize) -> Result<Option<LayerRecord>, Error> {
        let diff_ids = &self.config.rootfs.diff_ids;
        let times = self.options.finish.times;
        let key = key(&diff_ids[..first], &diff_ids[first..end], times);
        // The same layers always make the same one, so whoever does every step again may still take it.
        if let Some(record) = self.store.cached(&key)? {
            return Ok(record.layer);
        }
        let layers = diff_ids[..end].iter().map(|diff_id| self.store.layer(diff_id));
        let stack = Stack::new(layers.collect::<Result<_, _>>()?);
        let tar = self.store.tmp_file()?;
        let file = tar.file().try_clone().map_err(|source| Error::Layers(source.into()))?;
        let written = stack.merge(first, &|time| times.of_entry(time), file).map_err(Error::Layers)?;
        let is_empty = written.entries == 0 && end > first + 1;
        let layer = if is_empty { None } else { Some(self.store.commit_layer(tar, &written)?) };
        self.store.put_cached(&key, &CacheRecord::new(layer, jiff::Timestamp::now().to_string()))?;
        Ok(layer)
    }
}

/// What a layer merged of `merged`, above `below`, is remembered by.
fn key(below: &[DiffId], merged: &[DiffId], times: Times) -> CacheKey {
    /// Raise it when merging comes to mean something else.
    const VERSION: u32 = 1;
    let times = if times.changes_entries() { times } else { Times::Real };
    let text = format!("merge {VERSION} {:?} {merged:?} {times:?}", ChainId::of(below));
    CacheKey(blake3::hash(text.as_bytes()).to_hex().to_string())
}

/// The history of layers that have become one, or none: the last entry is whose layer it is.
fn one_layer(history: &mut [History], layers: usize) {
    for entry in &mut *history {
        entry.empty_layer = true;
    }
    if let (Some(last), 1..) = (history.last_mut(), layers) {
        last.empty_layer = false;
    }
}

/// Sets when the image, and what was done for it, was made. What is inherited keeps its times.
fn date(config: &mut ImageConfig, times: Times, inherited: usize) {
    let Some(epoch) = times.epoch() else { return };
    let created = jiff::Timestamp::from_second(epoch).expect("the command line takes no other").to_string();
    let from = inherited.min(config.history.len());
    for entry in &mut config.history[from..] {
        entry.created = Some(created.clone());
    }
    config.created = Some(created);
}

/// The annotations of the manifest. One that is given by hand counts more than what the config tells.
fn annotations(finish: &Finish, config: &ImageConfig) -> BTreeMap<String, String> {
    let created = config.created.as_ref().filter(|_| finish.annotate_created);
    let created = created.map(|created| (CREATED.to_owned(), created.clone()));
    created.into_iter().chain(finish.annotations.clone()).collect()
}

/// OCI image-spec, annotations.md: date and time on which the image was built (RFC 3339).
const CREATED: &str = "org.opencontainers.image.created";

/// A layer under the media type that the format has for it.
fn typed(layer: Descriptor, format: Format) -> Descriptor {
    const TYPES: [[&str; 2]; 3] = [
        [media_type::LAYER, media_type::DOCKER_LAYER],
        [media_type::LAYER_GZIP, media_type::DOCKER_LAYER_GZIP],
        [media_type::LAYER_ZSTD, media_type::DOCKER_LAYER_ZSTD],
    ];
    let known = TYPES.iter().find(|both| both.contains(&layer.media_type.as_str()));
    match known {
        Some([oci, docker]) => {
            let media_type = if format == Format::Oci { oci } else { docker };
            Descriptor { media_type: (*media_type).to_owned(), ..layer }
        }
        None => layer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_taken_as_they_are_meant() {
        let at = |secs, nanos| Timestamp { secs, nanos };
        for (times, own, want) in [
            (Times::Real, at(9, 5), at(9, 5)),
            (Times::Created(7), at(9, 5), at(9, 5)),
            (Times::Clamped(7), at(9, 5), at(7, 0)),
            (Times::Clamped(7), at(7, 5), at(7, 0)),
            (Times::Clamped(7), at(6, 5), at(6, 5)),
            (Times::Clamped(7), at(-2, 5), at(-2, 5)),
            (Times::Set(7), at(6, 5), at(7, 0)),
        ] {
            assert_eq!(times.of_entry(own), want, "{times:?} {own:?}");
        }
    }

    #[test]
    fn a_merged_layer_is_known_by_all_that_made_it() {
        let [a, b, c] = ["a", "b", "c"].map(|text| DiffId(crate::oci::Digest::of(text.as_bytes())));
        let keys = [
            key(&[a], &[b, c], Times::Real),
            key(&[], &[a, b, c], Times::Real),
            key(&[a], &[c, b], Times::Real),
            key(&[b], &[b, c], Times::Real),
            key(&[a], &[b, c], Times::Set(7)),
            key(&[a], &[b, c], Times::Set(8)),
            key(&[a], &[b, c], Times::Clamped(7)),
        ];
        for (number, key) in keys.iter().enumerate() {
            assert!(!keys[..number].contains(key), "{number}");
        }
        assert_eq!(key(&[a], &[b], Times::Created(7)), keys_of_real(a, b), "files are not asked");
    }

    fn keys_of_real(a: DiffId, b: DiffId) -> CacheKey {
        key(&[a], &[b], Times::Real)
    }
}
