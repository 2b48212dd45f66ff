//! Pull: manifest, config, layers, name, in this order; the name last, so that it never leads to half an image. An image
//! that comes from a layout goes the same way, and gets no name.

use std::io::Read;

use super::{Error, fetch, parallel};
use crate::oci::{Descriptor, DiffId, ImageConfig, Manifest, Platform, Reference, media_type};
use crate::progress::{Event, Sink};
use crate::registry::Client;
use crate::store::{self, Image, Store};

/// How many layers travel at once. More would share the same line and the same processors.
const LANES: usize = 4;
/// Configs of real images have some kilobytes; this is one with a megabyte of labels, eight times over.
const CONFIG_LIMIT: u64 = 8 * 1024 * 1024;

/// Pulls and names the image `reference.remote()`; layers in parallel, each verified, unpacked and indexed
/// while it streams. A layer that is here already is not fetched.
pub fn pull(
    store: &Store,
    client: &Client,
    reference: &Reference,
    platform: &Platform,
    sink: &dyn Sink,
) -> Result<Image, Error> {
    let name = reference.remote();
    let fetched = client.manifest_for(&name, platform)?;
    let source = Remote { client, name: &name };
    let pull = Pull { store, source: &source, name: name.to_string(), sink };
    let image = pull.look(&fetched.media_type, &fetched.bytes, platform)?;
    let image = pull.take(&image, &fetched.bytes)?;
    store.tag(&image, &name)?;
    Ok(image)
}

/// Where the blobs of an image are.
pub(super) trait Blobs: Sync {
    /// The bytes of `blob`. Reading errors where they are not what its digest and its size say.
    fn blob(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, Error>;
}

/// A repository of a registry.
pub(super) struct Remote<'a> {
    pub client: &'a Client,
    pub name: &'a Reference,
}

impl Blobs for Remote<'_> {
    fn blob(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, Error> {
        Ok(Box::new(self.client.blob(self.name, blob)?))
    }
}

/// One pull.
pub(super) struct Pull<'a> {
    pub store: &'a Store,
    pub source: &'a dyn Blobs,
    /// What messages call the image.
    pub name: String,
    pub sink: &'a dyn Sink,
}

impl Pull<'_> {
    /// The image that the manifest `bytes` describes. Its layers stay where they are, and it is not in the store.
    pub(super) fn look(&self, media_type: &str, bytes: &[u8], platform: &Platform) -> Result<Image, Error> {
        let manifest = Manifest::parse(bytes).map_err(|source| self.document(source))?;
        self.check_types(&manifest)?;
        let config = self.config(&manifest.config)?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            let (diff_ids, layers) = (config.rootfs.diff_ids.len(), manifest.layers.len());
            return Err(Error::LayerCount { name: self.name.clone(), diff_ids, layers });
        }
        self.compare(&config, platform);
        Ok(Image { descriptor: Descriptor::of(media_type, bytes), manifest, config, names: Vec::new() })
    }

    /// Brings in the layers of `image`, then `image` itself, whose manifest is `bytes`.
    pub(super) fn take(&self, image: &Image, bytes: &[u8]) -> Result<Image, Error> {
        let Image { descriptor, manifest, config, .. } = image;
        let layers: Vec<(&Descriptor, DiffId)> =
            manifest.layers.iter().zip(config.rootfs.diff_ids.iter().copied()).collect();
        parallel::each(LANES, &layers, |(blob, diff_id), stop| fetch::layer(self, blob, *diff_id, stop))?;
        // It may have been collected since it was looked at.
        self.config(&manifest.config)?;
        Ok(self.store.put_manifest(&descriptor.media_type, bytes)?)
    }

    /// Refuses, before anything large is fetched, what could not be used afterwards.
    fn check_types(&self, manifest: &Manifest) -> Result<(), Error> {
        let name = || self.name.clone();
        let config = &manifest.config.media_type;
        if ![media_type::CONFIG, media_type::DOCKER_CONFIG].contains(&config.as_str()) {
            return Err(Error::Artifact { name: name(), media_type: config.clone() });
        }
        for layer in &manifest.layers {
            let (blob, media_type) = (layer.digest, layer.media_type.clone());
            if media_type.contains(".foreign.") || media_type.contains(".nondistributable.") {
                return Err(Error::ForeignLayer { name: name(), blob, media_type });
            }
            if !LAYER_TYPES.contains(&media_type.as_str()) {
                return Err(Error::LayerType { name: name(), blob, media_type });
            }
        }
        Ok(())
    }

    fn config(&self, blob: &Descriptor) -> Result<ImageConfig, Error> {
        if blob.size > CONFIG_LIMIT {
            let (blob, size) = (blob.digest, blob.size);
            return Err(Error::ConfigSize { name: self.name.clone(), blob, size, limit: CONFIG_LIMIT });
        }
        if self.store.holds(&blob.digest, blob.size)? {
            match self.store.read_blob(&blob.digest, CONFIG_LIMIT) {
                Ok(bytes) => return ImageConfig::parse(&bytes).map_err(|source| self.document(source)),
                // Fetching replaces it.
                Err(store::Error::Corrupt { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut bytes = Vec::new();
        let read = self.source.blob(blob)?.read_to_end(&mut bytes);
        read.map_err(fetch::blob_error)?;
        let config = ImageConfig::parse(&bytes).map_err(|source| self.document(source))?;
        self.store.put_blob(&bytes)?;
        Ok(config)
    }

    /// Says so if the image is for another platform: without an index nobody has chosen it.
    fn compare(&self, config: &ImageConfig, wanted: &Platform) {
        let (os, architecture) = (config.os.clone(), config.architecture.clone());
        let platform = Platform { os, architecture, variant: config.variant.clone() };
        if !platform.satisfies(wanted) {
            let text = format!("{}: the image is for {platform}, not for {wanted}", self.name);
            self.sink.event(Event::Warning(text));
        }
    }

    fn document(&self, source: crate::oci::Error) -> Error {
        Error::Document { name: self.name.clone(), source }
    }
}

/// The layers that can be unpacked. zstd in an image of Docker's types is what buildah makes of
/// `--compression-format zstd`.
pub(super) const LAYER_TYPES: [&str; 6] = [
    media_type::LAYER,
    media_type::LAYER_GZIP,
    media_type::LAYER_ZSTD,
    media_type::DOCKER_LAYER,
    media_type::DOCKER_LAYER_GZIP,
    media_type::DOCKER_LAYER_ZSTD,
];
