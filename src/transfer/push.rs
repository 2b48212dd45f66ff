//! Push: layers and config that are missing there, then the manifest.

use std::fs::File;

use super::pack::{self, Layer};
use super::parallel::Stop;
use super::{Error, parallel};
use crate::layer::Compression;
use crate::oci::{Descriptor, Digest, Manifest, Reference, media_type};
use crate::progress::{Event, Sink};
use crate::registry::Client;
use crate::store::{Image, Store};

/// How many layers travel at once. Compression has threads of its own.
const LANES: usize = 3;
/// The longest manifest that registries must take (distribution-spec v1.1, "Pushing Manifests").
const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;

/// How layers travel.
#[derive(Clone, Copy, Debug)]
pub struct PushOptions {
    /// How plain layers are packed.
    pub compression: Compression,
    /// Whether layers that are packed in another way are packed anew. Otherwise they go as they came.
    pub force: bool,
}

/// Pushes what the registry is missing of `image`, then its manifest to `to`. Returns the manifest's digest
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
) -> Result<Digest, Error> {
    let push = Push { store, client, to: to.remote(), sink };
    let (manifest, diff_ids) = (&image.manifest, &image.config.rootfs.diff_ids);
    if diff_ids.len() != manifest.layers.len() {
        let (diff_ids, layers) = (diff_ids.len(), manifest.layers.len());
        return Err(Error::LayerCount { name: push.to.to_string(), diff_ids, layers });
    }
    let docker = image.descriptor.media_type == media_type::DOCKER_MANIFEST;
    let pairs = manifest.layers.iter().zip(diff_ids);
    let layers: Vec<Layer<'_>> =
        pairs.map(|(descriptor, &diff_id)| Layer { descriptor, diff_id, docker }).collect();
    let packed = parallel::each(LANES, &layers, |layer, stop| {
        let blob = pack::packed(store, layer, options)?;
        push.blob(&blob, stop)?;
        Ok(blob)
    })?;
    push.blob(&manifest.config, &Stop::default())?;
    let bytes = if packed == manifest.layers {
        store.read_blob(&image.descriptor.digest, MANIFEST_LIMIT)?
    } else {
        Manifest { layers: packed, ..manifest.clone() }.to_bytes()
    };
    Ok(client.push_manifest(&push.to, &image.descriptor.media_type, &bytes)?)
}

struct Push<'a> {
    store: &'a Store,
    client: &'a Client,
    to: Reference,
    sink: &'a dyn Sink,
}

impl Push<'_> {
    /// Sends a blob of the store, unless it is there.
    fn blob(&self, blob: &Descriptor, stop: &Stop) -> Result<(), Error> {
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
