//! Import: the document of a cache, read at once, and its layers, one by one when they are wanted.

use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::pull::{self, Blobs, Pull};
use super::super::{Error, fetch, parallel};
use super::{CacheDocument, CachePlace, INLINE, MEDIA_TYPE};
use crate::layer;
use crate::oci::{Descriptor, DiffId, ImageConfig, Manifest, Platform, Reference, media_type};
use crate::progress::Sink;
use crate::registry::{self, Client};
use crate::store::{self, CacheKey, CacheRecord, LayerRecord, Store};

/// How many layers travel at once.
const LANES: usize = 4;
/// Bytes of a document: 10,000 layers and ten times as many records.
const LIMIT: u64 = 32 << 20;

/// A cache of another place.
pub struct Import {
    place: CachePlace,
    records: HashMap<CacheKey, CacheRecord>,
    blobs: HashMap<DiffId, (Descriptor, LayerRecord)>,
    is_spoiled: AtomicBool,
}

impl Import {
    /// Reads the document at `place`; of an image for several platforms, that of `platform`. No layer is fetched.
    ///
    /// Errors with [`Error::NoCache`] where there is something else, and with [`Error::CacheDocument`] where the document is
    /// not well-formed.
    pub fn open(client: &Client, place: &CachePlace, platform: &Platform) -> Result<Self, Error> {
        Self::of(client, place, &manifest(client, place, platform)?)
    }

    /// The same; `None` where there is nothing of that name, or something that is no cache. Whatever else goes wrong says
    /// nothing of what is there, and is an error.
    pub(super) fn find(
        client: &Client,
        place: &CachePlace,
        platform: &Platform,
    ) -> Result<Option<Self>, Error> {
        let bytes = match manifest(client, place, platform) {
            Err(Error::Registry(registry::Error::NotFound { .. }) | Error::NotInLayout { .. }) => {
                return Ok(None);
            }
            found => found?,
        };
        match Self::of(client, place, &bytes) {
            Err(Error::NoCache { .. }) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Reads the document that the manifest of `bytes` names.
    fn of(client: &Client, place: &CachePlace, bytes: &[u8]) -> Result<Self, Error> {
        let name = place.to_string();
        let manifest =
            Manifest::parse(bytes).map_err(|source| Error::Document { name: name.clone(), source })?;
        let malformed = |why: String| Error::CacheDocument { name: name.clone(), why };
        if manifest.config.size > LIMIT {
            return Err(malformed(format!("its config has {} bytes", manifest.config.size)));
        }
        let mut config = Vec::new();
        let read = blob(client, place, &manifest.config)?.read_to_end(&mut config);
        read.map_err(fetch::blob_error)?;
        let (document, descriptors) = match manifest.config.media_type.as_str() {
            MEDIA_TYPE => {
                let document = CacheDocument::parse(&config).map_err(malformed)?;
                if document.layers.len() != manifest.layers.len() {
                    let (named, there) = (document.layers.len(), manifest.layers.len());
                    return Err(malformed(format!("it names {named} layers, the manifest {there}")));
                }
                (document, manifest.layers)
            }
            media_type::CONFIG | media_type::DOCKER_CONFIG => inline(&name, &config, &manifest)?,
            other => return Err(Error::NoCache { name, why: format!("its config is of type {other}") }),
        };
        for Descriptor { media_type, digest, .. } in &descriptors {
            if !pull::LAYER_TYPES.contains(&media_type.as_str()) {
                return Err(malformed(format!("layer {digest} is of type {media_type}")));
            }
        }
        let layers = document.layers.iter().copied();
        let blobs = layers.zip(descriptors).map(|(layer, blob)| (layer.diff_id, (blob, layer))).collect();
        let records = document.records().collect();
        Ok(Self { place: place.clone(), records, blobs, is_spoiled: AtomicBool::new(false) })
    }

    /// Where it is.
    pub fn place(&self) -> &CachePlace {
        &self.place
    }

    /// What it says of a step; nothing any more once it has been found to be wrong.
    pub fn record(&self, key: &CacheKey) -> Option<&CacheRecord> {
        if self.is_spoiled() { None } else { self.records.get(key) }
    }

    /// The blob of a layer; none any more, likewise.
    pub fn blob(&self, diff_id: &DiffId) -> Option<&Descriptor> {
        if self.is_spoiled() { None } else { self.blobs.get(diff_id).map(|(blob, _)| blob) }
    }

    /// Whether an error of [`Import::fetch`] is about what came, or about the way to it; not about the store it goes to.
    pub fn is_to_blame_for(&self, error: &Error) -> bool {
        match error {
            Error::Store(store::Error::Size { .. })
            | Error::Registry(_)
            | Error::DiffId { .. }
            | Error::Layout { .. }
            | Error::LayoutBlob { .. } => true,
            Error::Unpack { source, .. } => !matches!(**source, layer::Error::Write { .. }),
            Error::File { path, .. } => {
                matches!(&self.place, CachePlace::Layout(layout) if path.starts_with(&layout.path))
            }
            _ => false,
        }
    }

    /// Whether it has been found to be wrong.
    pub(super) fn is_spoiled(&self) -> bool {
        self.is_spoiled.load(Ordering::Relaxed)
    }

    /// Says that it is wrong.
    pub fn spoil(&self) {
        self.is_spoiled.store(true, Ordering::Relaxed);
    }

    /// All that it says.
    pub(super) fn records(&self) -> impl Iterator<Item = (&CacheKey, &CacheRecord)> {
        self.records.iter()
    }

    /// Brings layers into the store. Each is hashed as it comes and as it is unpacked; one that is not what the record says
    /// is an error, and does not enter the store.
    pub fn fetch(
        &self,
        store: &Store,
        client: &Client,
        layers: &[DiffId],
        sink: &dyn Sink,
    ) -> Result<(), Error> {
        let source = At { client, place: &self.place };
        let pull = Pull { store, source: &source, name: self.place.to_string(), sink };
        let wanted: Vec<_> = layers.iter().filter_map(|diff_id| self.blobs.get(diff_id)).collect();
        parallel::each(LANES, &wanted, |(blob, layer), stop| {
            fetch::layer(&pull, blob, layer.diff_id, stop)?;
            if store.holds(&layer.diff_id.0, layer.size)? {
                return Ok(());
            }
            let path = store.blob_path(&layer.diff_id.0);
            let found = std::fs::metadata(&path).map_err(Error::file(&path))?.len();
            Err(store::Error::Size { path, expected: layer.size, found }.into())
        })?;
        Ok(())
    }
}

/// The document in the config of an image, and the blobs of its layers.
fn inline(name: &str, config: &[u8], manifest: &Manifest) -> Result<(CacheDocument, Vec<Descriptor>), Error> {
    let config =
        ImageConfig::parse(config).map_err(|source| Error::Document { name: name.to_owned(), source })?;
    let Some(document) = config.extra.get(INLINE) else {
        return Err(Error::NoCache {
            name: name.to_owned(),
            why: "it is an image without inline cache".into(),
        });
    };
    let malformed = |why: String| Error::CacheDocument { name: name.to_owned(), why };
    let document = CacheDocument::parse(document.to_string().as_bytes()).map_err(malformed)?;
    let place = |layer: &LayerRecord| {
        let diff_ids = &config.rootfs.diff_ids;
        let blob =
            diff_ids.iter().position(|own| *own == layer.diff_id).and_then(|at| manifest.layers.get(at));
        blob.cloned().ok_or_else(|| malformed(format!("it has no layer {}", layer.diff_id.0)))
    };
    let descriptors = document.layers.iter().map(place).collect::<Result<_, _>>()?;
    Ok((document, descriptors))
}

/// The blobs of a place.
struct At<'a> {
    client: &'a Client,
    place: &'a CachePlace,
}

impl Blobs for At<'_> {
    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>, Error> {
        blob(self.client, self.place, descriptor)
    }
}

fn manifest(client: &Client, place: &CachePlace, platform: &Platform) -> Result<Vec<u8>, Error> {
    match place {
        CachePlace::Registry(reference) => Ok(client.manifest_for(&reference.remote(), platform)?.bytes),
        CachePlace::Layout(layout) => Ok(layout.manifest(platform)?.1),
    }
}

fn blob(client: &Client, place: &CachePlace, blob: &Descriptor) -> Result<Box<dyn Read + Send>, Error> {
    match place {
        CachePlace::Registry(reference) => Ok(client.blob(&Reference::remote(reference), blob)?),
        CachePlace::Layout(layout) => layout.blob(blob),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::super::Layout;
    use super::*;
    use crate::oci::Digest;

    #[test]
    fn trouble_of_the_store_is_not_the_imports() {
        let place = CachePlace::Layout(Layout { path: "/cache".into(), tag: None, digest: None });
        let (records, blobs) = (HashMap::new(), HashMap::new());
        let import = Import { place, records, blobs, is_spoiled: AtomicBool::new(false) };
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let digest = Digest::of(b"");
        let unpack = |source| Error::Unpack { name: String::new(), blob: digest, source: Box::new(source) };
        for (error, want) in [
            (Error::File { path: "/cache/blobs/sha256/x".into(), source: full() }, true),
            (Error::File { path: "/store/tmp/x".into(), source: full() }, false),
            (unpack(layer::Error::Read { offset: 0, source: full() }), true),
            (unpack(layer::Error::Write { offset: 0, source: full() }), false),
            (store::Error::Size { path: "/store/x".into(), expected: 1, found: 2 }.into(), true),
            (store::Error::Lock { path: "/store/x".into(), source: full() }.into(), false),
        ] {
            assert_eq!(import.is_to_blame_for(&error), want, "{error:?}");
        }
    }
}
