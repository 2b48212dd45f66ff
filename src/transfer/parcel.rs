//! An image as it leaves the store: its manifest with every layer packed, and the blobs that it names.

use super::pack::{self, Layer};
use super::{Error, PushOptions};
use crate::oci::{Descriptor, Digest, ImageIndex, Manifest, media_type};
use crate::store::{Image, ImageList, Store};

/// The longest manifest that registries must take (distribution-spec v1.1, "Pushing Manifests").
pub(super) const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;

/// An image that is ready to leave.
pub(super) struct Parcel {
    /// The manifest's descriptor.
    pub descriptor: Descriptor,
    /// The manifest.
    pub bytes: Vec<u8>,
    /// Config and layers, all in the store.
    pub blobs: Vec<Descriptor>,
}

impl Parcel {
    pub(super) fn new(media_type: &str, bytes: Vec<u8>, blobs: Vec<Descriptor>) -> Self {
        Self { descriptor: Descriptor::of(media_type, &bytes), bytes, blobs }
    }
}

/// The layers of `image` in the form in which they are to be packed. As many as its config has diff ids.
pub(super) fn layers(image: &Image) -> Result<Vec<Layer<'_>>, Error> {
    let (manifest, diff_ids) = (&image.manifest, &image.config.rootfs.diff_ids);
    if diff_ids.len() != manifest.layers.len() {
        let (diff_ids, layers) = (diff_ids.len(), manifest.layers.len());
        return Err(Error::LayerCount { name: image.id().to_string(), diff_ids, layers });
    }
    let docker = image.descriptor.media_type == media_type::DOCKER_MANIFEST;
    let pairs = manifest.layers.iter().zip(diff_ids);
    Ok(pairs.map(|(descriptor, &diff_id)| Layer { descriptor, diff_id, docker }).collect())
}

/// The manifest of `image` with `packed` for its layers: to the byte as it is, where they are the same.
pub(super) fn manifest(store: &Store, image: &Image, packed: Vec<Descriptor>) -> Result<Vec<u8>, Error> {
    let is_as_it_was = packed == image.manifest.layers;
    let bytes = Manifest { layers: packed, ..image.manifest.clone() }.to_bytes();
    // Another tool may have written it in other words; one that is new is in no store.
    if is_as_it_was && Digest::of(&bytes) != image.descriptor.digest {
        return Ok(store.read_blob(&image.descriptor.digest, MANIFEST_LIMIT)?);
    }
    Ok(bytes)
}

/// `image`, packed.
pub(super) fn of(store: &Store, image: &Image, options: PushOptions) -> Result<Parcel, Error> {
    let layers = layers(image)?;
    let packed = layers.iter().map(|layer| pack::packed(store, layer, options));
    let packed = packed.collect::<Result<Vec<_>, _>>()?;
    let blobs = packed.iter().chain([&image.manifest.config]).cloned().collect();
    Ok(Parcel::new(&image.descriptor.media_type, manifest(store, image, packed)?, blobs))
}

/// Every image of `list`, packed, and the index that names them so.
pub(super) fn of_index(
    store: &Store,
    list: &ImageList,
    options: PushOptions,
) -> Result<(Vec<Parcel>, ImageIndex), Error> {
    let mut index = list.index.clone();
    let mut parcels = Vec::new();
    for (entry, image) in index.manifests.iter_mut().zip(&list.images) {
        let parcel = of(store, image, held(list, options))?;
        rename(entry, &parcel.descriptor);
        parcels.push(parcel);
    }
    Ok((parcels, index))
}

/// What is attested of an image names its digest: such images travel as they are.
pub(super) fn held(list: &ImageList, options: PushOptions) -> PushOptions {
    let force = options.force && !list.is_attested();
    PushOptions { force, ..options }
}

/// Makes the entry of an index point to the image as it leaves.
pub(super) fn rename(entry: &mut Descriptor, leaving: &Descriptor) {
    entry.digest = leaving.digest;
    entry.size = leaving.size;
    entry.media_type.clone_from(&leaving.media_type);
}
