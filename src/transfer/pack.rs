//! The form in which a layer travels: the blob it came as, or its tar, compressed once and kept.

use std::fs::File;
use std::io::{self, Read};

use super::Error;
use super::push::PushOptions;
use crate::layer::{self, Compression};
use crate::oci::{Descriptor, DiffId, Digest, Hasher, media_type};
use crate::store::Store;

/// A layer of the image to be pushed.
pub(super) struct Layer<'a> {
    pub descriptor: &'a Descriptor,
    pub diff_id: DiffId,
    /// Whether the image speaks Docker's media types.
    pub docker: bool,
}

/// The layers of an OCI image as a push would send them: those that are not packed yet, by gzip. They stay in the store.
pub fn pack_layers(
    store: &Store,
    layers: &[Descriptor],
    diff_ids: &[DiffId],
) -> Result<Vec<Descriptor>, Error> {
    let options = PushOptions { compression: Compression::Gzip, force: false };
    let pairs = layers.iter().zip(diff_ids);
    pairs
        .map(|(descriptor, &diff_id)| packed(store, &Layer { descriptor, diff_id, docker: false }, options))
        .collect()
}

/// The blob to push for `layer`, which is in the store when this returns.
pub(super) fn packed(store: &Store, layer: &Layer<'_>, options: PushOptions) -> Result<Descriptor, Error> {
    let (blob, diff_id) = (layer.descriptor, layer.diff_id);
    if !super::pull::LAYER_TYPES.contains(&blob.media_type.as_str()) {
        // What is attested of an image is no tar; it travels as it is.
        return Ok(blob.clone());
    }
    let came_packed = blob.digest != diff_id.0 && length(store, &blob.digest)? == Some(blob.size);
    if came_packed && (!options.force || compression(store, &blob.digest)? == options.compression) {
        return Ok(blob.clone());
    }
    if options.compression == Compression::None {
        let size = length(store, &diff_id.0)?.ok_or(Error::Missing { blob: diff_id.0 })?;
        return Ok(describe(layer, options.compression, diff_id.0, size));
    }
    let _turn = store.lock_blob(&diff_id.0)?;
    for digest in store.packed(&diff_id)? {
        if compression(store, &digest)? == options.compression
            && let Some(size) = length(store, &digest)?
        {
            return Ok(describe(layer, options.compression, digest, size));
        }
    }
    let (digest, size) = compress(store, diff_id, options.compression)?;
    Ok(describe(layer, options.compression, digest, size))
}

/// Compresses the tar of `diff_id` into the store. What is not the tar it should be does not leave the house.
fn compress(store: &Store, diff_id: DiffId, compression: Compression) -> Result<(Digest, u64), Error> {
    let path = store.blob_path(&diff_id.0);
    let mut tar = Hashing { file: File::open(&path).map_err(Error::file(path))?, hasher: Hasher::default() };
    let tmp = store.tmp_file()?;
    let (digest, size) = layer::compress(compression, &mut tar, &mut tmp.file())
        .map_err(|source| Error::Pack { diff_id, source: Box::new(source) })?;
    let actual = tar.hasher.finish();
    if actual != diff_id.0 {
        return Err(Error::Damaged { diff_id, actual });
    }
    store.commit_blob(tmp, digest)?;
    store.record_diff_id(&digest, &diff_id)?;
    Ok((digest, size))
}

fn describe(layer: &Layer<'_>, compression: Compression, digest: Digest, size: u64) -> Descriptor {
    let media_type = match (compression, layer.docker) {
        (Compression::None, false) => media_type::LAYER,
        (Compression::Gzip, false) => media_type::LAYER_GZIP,
        (Compression::Zstd, false) => media_type::LAYER_ZSTD,
        (Compression::None, true) => media_type::DOCKER_LAYER,
        (Compression::Gzip, true) => media_type::DOCKER_LAYER_GZIP,
        (Compression::Zstd, true) => media_type::DOCKER_LAYER_ZSTD,
    };
    Descriptor { media_type: media_type.to_owned(), digest, size, ..layer.descriptor.clone() }
}

/// How a blob of the store is packed, by its first bytes (RFC 1952, RFC 8878).
fn compression(store: &Store, digest: &Digest) -> Result<Compression, Error> {
    let path = store.blob_path(digest);
    let mut magic = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(4).read_to_end(&mut magic));
    read.map_err(Error::file(path))?;
    Ok(match magic[..] {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
        _ => Compression::None,
    })
}

/// A blob's length in bytes; `None` if it is not in the store.
pub(super) fn length(store: &Store, digest: &Digest) -> Result<Option<u64>, Error> {
    let path = store.blob_path(digest);
    match std::fs::metadata(&path) {
        Ok(file) => Ok(Some(file.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file(path)(error)),
    }
}

/// A file that is hashed while it is read.
struct Hashing {
    file: File,
    hasher: Hasher,
}

impl Read for Hashing {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(buf)?;
        self.hasher.update(&buf[..len]);
        Ok(len)
    }
}
