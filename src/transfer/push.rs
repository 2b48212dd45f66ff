//! Push: layers and config that are missing there, then the manifest.

use std::fs::File;

use super::pack;
use super::parallel::Stop;
use super::parcel::{self, MANIFEST_LIMIT};
use super::{Error, parallel};
use crate::layer::Compression;
use crate::oci::{Descriptor, Digest, Reference};
use crate::progress::{Event, Sink};
use crate::registry::Client;
use crate::store::{Image, ImageList, Store};

/// How many layers travel at once. Compression has threads of its own.
const LANES: usize = 3;

/// How layers travel.
#[derive(Clone, Copy, Debug)]
pub struct PushOptions {
    /// How plain layers are packed.
    pub compression: Compression,
    /// Whether layers that are packed in another way are packed anew. Otherwise they go as they came.
    pub force: bool,
}

/// Pushes what the registry is missing of `image`, then its manifest to `to`. Returns the descriptor of the manifest
/// there.
///
/// An image whose layers are all packed already (a pulled one) arrives byte for byte. Otherwise the manifest
/// that arrives refers to the packed layers, which stay in the store, so that the next push is free.
pub fn push(
    store: &Store,
    client: &Client,
    image: &Image,
    to: &Reference,
    options: PushOptions,
    sink: &dyn Sink,
) -> Result<Descriptor, Error> {
    let push = Push { store, client, to: to.remote(), sink };
    let bytes = push.image(image, options)?;
    push.manifest(&image.descriptor.media_type, &bytes)
}

/// The same for every image of `list`, each by its digest, and then the index that names them as they are there.
pub fn push_list(
    store: &Store,
    client: &Client,
    list: &ImageList,
    to: &Reference,
    options: PushOptions,
    sink: &dyn Sink,
) -> Result<Descriptor, Error> {
    let push = Push { store, client, to: to.remote(), sink };
    let mut index = list.index.clone();
    for (entry, image) in index.manifests.iter_mut().zip(&list.images) {
        let bytes = push.image(image, parcel::held(list, options))?;
        let media_type = &image.descriptor.media_type;
        let leaving = Descriptor::of(media_type, &bytes);
        client.push_manifest(&push.by_digest(leaving.digest)?, media_type, &bytes)?;
        parcel::rename(entry, &leaving);
    }
    let bytes = if index == list.index {
        store.read_blob(&list.descriptor.digest, MANIFEST_LIMIT)?
    } else {
        index.to_bytes()
    };
    push.manifest(&list.descriptor.media_type, &bytes)
}

/// One push.
pub(super) struct Push<'a> {
    pub store: &'a Store,
    pub client: &'a Client,
    pub to: Reference,
    pub sink: &'a dyn Sink,
}

impl Push<'_> {
    /// Sends what `image` consists of; returns its manifest, which is yet to be sent.
    fn image(&self, image: &Image, options: PushOptions) -> Result<Vec<u8>, Error> {
        let packed = parallel::each(LANES, &parcel::layers(image)?, |layer, stop| {
            let blob = pack::packed(self.store, layer, options)?;
            self.blob(&blob, stop)?;
            Ok(blob)
        })?;
        self.blob(&image.manifest.config, &Stop::default())?;
        parcel::manifest(self.store, image, packed)
    }

    /// Sends the manifest or index that the destination's name stands for.
    fn manifest(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, Error> {
        self.client.push_manifest(&self.to, media_type, bytes)?;
        Ok(Descriptor::of(media_type, bytes))
    }

    /// The name that a manifest of this digest has at the destination.
    fn by_digest(&self, digest: Digest) -> Result<Reference, Error> {
        let registry = self.to.registry().unwrap_or_default();
        let name = format!("{registry}/{}@{digest}", self.to.repository());
        name.parse().map_err(|source| Error::Document { name, source })
    }

    /// Sends a blob of the store, unless it is there.
    pub(super) fn blob(&self, blob: &Descriptor, stop: &Stop) -> Result<(), Error> {
        if stop.is_set() {
            return Err(Error::Stopped);
        }
        if self.client.has_blob(&self.to, &blob.digest)? {
            return Ok(());
        }
        if pack::length(self.store, &blob.digest)? != Some(blob.size) {
            return Err(Error::Missing { blob: blob.digest });
        }
        let path = self.store.blob_path(&blob.digest);
        let digest = blob.digest;
        self.sink.event(Event::TransferStarted { blob: digest, verb: "push", size: blob.size });
        let advanced = |bytes| self.sink.event(Event::TransferAdvanced { blob: digest, bytes });
        self.client.push_blob(&self.to, blob, &|| File::open(&path), &advanced)?;
        self.sink.event(Event::TransferDone { blob: digest });
        Ok(())
    }
}
