//! Images: a manifest, a config, and the names `index.json` gives them.

use std::collections::BTreeMap;

use super::lists::is_index;
use super::names::Names;
use super::{Error, LayerRecord, Store};
use crate::oci::{Descriptor, DiffId, Digest, ImageConfig, Manifest, Platform, Reference, media_type};

/// Bytes of a manifest (distribution-spec v1.1, "Pushing manifests", asks registries for 4 MiB).
pub(super) const MANIFEST_LIMIT: u64 = 4 << 20;
/// Bytes of an image config.
pub(super) const CONFIG_LIMIT: u64 = 16 << 20;

/// An image of this store.
#[derive(Clone, Debug)]
pub struct Image {
    /// The manifest's descriptor.
    pub descriptor: Descriptor,
    /// Its config and layers.
    pub manifest: Manifest,
    /// What it is, apart from its files.
    pub config: ImageConfig,
    /// The names it has (`localhost/img:latest`), sorted.
    pub names: Vec<Reference>,
}

impl Image {
    /// The image id: the config's digest.
    pub fn id(&self) -> Digest {
        self.manifest.config.digest
    }

    /// What it is for, as its config says.
    pub fn platform(&self) -> Platform {
        let ImageConfig { architecture, os, variant, .. } = &self.config;
        Platform { architecture: architecture.clone(), os: os.clone(), variant: variant.clone() }
    }

    /// Every blob that it consists of, packed and plain.
    pub(super) fn blobs(&self) -> Vec<Digest> {
        let layers = self.manifest.layers.iter().map(|layer| layer.digest);
        let plain = self.config.rootfs.diff_ids.iter().map(|diff_id| diff_id.0);
        [self.descriptor.digest, self.id()].into_iter().chain(layers).chain(plain).collect()
    }
}

impl Store {
    /// Writes config and manifest (layers as plain tars with their sizes), without a name. Returns the image.
    ///
    /// Errors with [`Error::LayersDisagree`] if the config names other layers, and with [`Error::Missing`]
    /// or [`Error::Size`] if one is not wholly here.
    pub fn put_image(
        &self,
        config: &ImageConfig,
        layers: &[LayerRecord],
        annotations: &BTreeMap<String, String>,
    ) -> Result<Image, Error> {
        agree(&config.rootfs.diff_ids, layers)?;
        let config = config.to_bytes();
        self.put_blob(&config)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            config: Descriptor::of(media_type::CONFIG, &config),
            layers: layers
                .iter()
                .map(|layer| Descriptor::new(media_type::LAYER, layer.diff_id.0, layer.size))
                .collect(),
            annotations: annotations.clone(),
            extra: BTreeMap::new(),
        };
        self.put_manifest(media_type::MANIFEST, &manifest.to_bytes())
    }

    /// The same with a manifest as it is (pulled): bytes verbatim. Its config and layers are here already.
    pub fn put_manifest(&self, media_type: &str, bytes: &[u8]) -> Result<Image, Error> {
        let descriptor = Descriptor::of(media_type, bytes);
        self.put_blob(bytes)?;
        let names = self.names()?;
        let image = self.image(&descriptor, &names)?;
        self.keep(&image)?;
        if !names.lists(descriptor.digest) {
            self.make_durable(&image)?;
        }
        // Looked at again under the lock: someone may have removed the image meanwhile. Its blobs are kept.
        let mut edit = self.edit_names()?;
        edit.list(&descriptor);
        edit.save()?;
        Ok(image)
    }

    /// Every image, in the order they were listed; those of a list under its names. Entries that are neither image nor index
    /// are passed over.
    pub fn images(&self) -> Result<Vec<Image>, Error> {
        let _gc = self.storing()?;
        let names = self.names()?;
        let mut images: Vec<Image> = Vec::new();
        for entry in names.entries() {
            let found = match entry {
                entry if is_manifest(entry) => vec![self.image(entry, &names)?],
                entry if is_index(entry) => self.listed_images(entry, &names)?,
                _ => Vec::new(),
            };
            for image in found {
                match images.iter_mut().find(|other| other.descriptor.digest == image.descriptor.digest) {
                    Some(other) => {
                        other.names.extend(image.names);
                        other.names.sort();
                        other.names.dedup();
                    }
                    None => images.push(image),
                }
            }
        }
        Ok(images)
    }

    /// Whether the image runs on `platform`.
    pub fn matches(&self, image: &Image, platform: &Platform) -> bool {
        image.platform().satisfies(platform)
    }

    /// Reads the image an entry points to.
    pub(super) fn image(&self, entry: &Descriptor, names: &Names) -> Result<Image, Error> {
        let Descriptor { media_type, digest, size, .. } = entry;
        if !is_manifest(entry) {
            return Err(Error::NotAnImage { digest: *digest, media_type: media_type.clone() });
        }
        let manifest = Manifest::parse(&self.read_blob(digest, MANIFEST_LIMIT)?)?;
        let config = ImageConfig::parse(&self.read_blob(&manifest.config.digest, CONFIG_LIMIT)?)?;
        let descriptor = Descriptor::new(media_type, *digest, *size);
        Ok(Image { descriptor, manifest, config, names: names.of(*digest) })
    }

    /// Keeps all that an image consists of from being collected as long as this handle lives.
    pub(super) fn keep(&self, image: &Image) -> Result<(), Error> {
        let _gc = self.storing()?;
        self.pin(&image.blobs())
    }
}

/// Whether the entry points to an image manifest, OCI's or Docker's.
pub(super) fn is_manifest(entry: &Descriptor) -> bool {
    [media_type::MANIFEST, media_type::DOCKER_MANIFEST].contains(&entry.media_type.as_str())
}

fn agree(config: &[DiffId], layers: &[LayerRecord]) -> Result<(), Error> {
    for position in 0..config.len().max(layers.len()) {
        let named = config.get(position).copied();
        let given = layers.get(position).map(|layer| layer.diff_id);
        if named != given {
            return Err(Error::LayersDisagree { position, config: named, image: given });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::{config_of, put, put_layer, scratch};
    use super::*;

    #[test]
    fn an_image_comes_back_as_it_was_put() {
        let (_dir, store) = scratch();
        let layer = put_layer(&store, b"tar");
        let annotations = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        let config = config_of("a", &[layer]);
        let image = store.put_image(&config, &[layer], &annotations).unwrap();
        let found = store.find(&image.id().to_string()).unwrap().unwrap();
        assert_eq!((&found.config, &found.manifest), (&config, &image.manifest));
        assert_eq!(found.manifest.annotations, annotations);
        assert_eq!(found.manifest.layers, [Descriptor::new(media_type::LAYER, layer.diff_id.0, 3)]);
        assert!(store.matches(&found, &"linux/amd64".parse().unwrap()));
        assert!(!store.matches(&found, &"linux/arm64".parse().unwrap()));
    }

    #[test]
    fn an_image_that_is_not_wholly_here_is_not_listed() {
        let (_dir, store) = scratch();
        let layer = put_layer(&store, b"tar");
        let other = LayerRecord { diff_id: DiffId(Digest::of(b"other")), size: 5 };
        let longer = LayerRecord { size: 4, ..layer };
        for (config, layers, want) in [
            (vec![layer], vec![], "the config names layer 0"),
            (vec![layer], vec![other], "the config names layer 0"),
            (vec![layer], vec![layer, other], "the config names layer 1 as None"),
            (vec![layer, other], vec![layer, other], "is not in the store"),
            (vec![longer], vec![longer], "has 3 bytes instead of 4"),
        ] {
            let error = store.put_image(&config_of("a", &config), &layers, &BTreeMap::new()).unwrap_err();
            assert!(error.to_string().contains(want), "{config:?} {layers:?}: {error}");
        }
        assert!(store.images().unwrap().is_empty());
    }

    #[test]
    fn a_pulled_manifest_is_kept_to_the_byte() {
        let (_dir, store) = scratch();
        let image = put(&store, "a");
        let text = serde_json::to_string_pretty(&image.manifest).unwrap();
        let pulled = store.put_manifest(media_type::DOCKER_MANIFEST, text.as_bytes()).unwrap();
        assert_eq!(store.read_blob(&pulled.descriptor.digest, MANIFEST_LIMIT).unwrap(), text.as_bytes());
        assert_eq!(pulled.id(), image.id());
        let refused = store.put_manifest(media_type::INDEX, text.as_bytes()).unwrap_err();
        assert!(matches!(refused, Error::NotAnImage { .. }), "{refused}");
        store.put_manifest(media_type::MANIFEST, b"{}").unwrap_err();
    }

    #[test]
    fn a_packed_layer_may_be_absent_only_where_its_plain_tar_is_here() {
        let (_dir, store) = scratch();
        let layer = put_layer(&store, b"tar");
        let mut manifest =
            store.put_image(&config_of("a", &[layer]), &[layer], &BTreeMap::new()).unwrap().manifest;
        manifest.layers[0] = Descriptor::of(media_type::LAYER_GZIP, b"packed");
        let put = || store.put_manifest(media_type::MANIFEST, &manifest.to_bytes());
        let packed = store.blob_path(&manifest.layers[0].digest);
        for (tar, packed_bytes, want) in [
            (true, None, ""),
            (true, Some("packed"), ""),
            (true, Some("pack"), "has 4 bytes instead of 6"),
            (false, Some("pack"), "has 4 bytes instead of 6"),
            (false, Some("packed"), ""),
            (false, None, "is not in the store"),
        ] {
            let mut edit = store.edit_names().unwrap();
            edit.forget(Digest::of(&manifest.to_bytes())).unwrap();
            edit.save().unwrap();
            if tar {
                put_layer(&store, b"tar");
            } else if store.has_blob(&layer.diff_id.0) {
                fs::remove_file(store.blob_path(&layer.diff_id.0)).unwrap();
            }
            match packed_bytes {
                Some(bytes) => fs::write(&packed, bytes).unwrap(),
                None => assert!(!packed.exists() || fs::remove_file(&packed).is_ok()),
            }
            let found = put().err().map(|error| error.to_string()).unwrap_or_default();
            assert!(
                found.contains(want) && found.is_empty() == want.is_empty(),
                "{tar} {packed_bytes:?}: {found}"
            );
        }
    }

    #[test]
    fn a_damaged_image_is_an_error_that_names_the_file() {
        for cut in [0, 10] {
            let (_dir, store) = scratch();
            let image = put(&store, "a");
            for digest in [image.id(), image.descriptor.digest] {
                let path = store.blob_path(&digest);
                let whole = fs::read(&path).unwrap();
                fs::write(&path, &whole[..cut]).unwrap();
                let error = store.images().unwrap_err().to_string();
                assert!(error.contains(&digest.hex()) && error.contains("is damaged"), "{error}");
                put(&store, "a");
                assert_eq!(fs::read(&path).unwrap(), whole, "putting it again repairs it");
            }
        }
    }
}
