//! An image in the other media types: OCI's as Docker's, and the other way. Its config and layers are the same bytes.

use std::collections::BTreeMap;

use crate::oci::{Descriptor, Manifest, media_type};
use crate::store::Image;

/// Whose media types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaTypes {
    /// OCI image-spec v1.1.
    Oci,
    /// Docker image manifest v2, schema 2, which has no annotations.
    Docker,
}

/// What stands for what: OCI's, and Docker's.
const PAIRS: [(&str, &str); 5] = [
    (media_type::MANIFEST, media_type::DOCKER_MANIFEST),
    (media_type::CONFIG, media_type::DOCKER_CONFIG),
    (media_type::LAYER, media_type::DOCKER_LAYER),
    (media_type::LAYER_GZIP, media_type::DOCKER_LAYER_GZIP),
    (media_type::LAYER_ZSTD, media_type::DOCKER_LAYER_ZSTD),
];

impl MediaTypes {
    fn of(self, media_type: &str) -> String {
        let pair = PAIRS.iter().find(|(oci, docker)| *oci == media_type || *docker == media_type);
        let found = pair.map(|(oci, docker)| if self == Self::Oci { *oci } else { *docker });
        found.unwrap_or(media_type).to_owned()
    }

    fn descriptor(self, descriptor: &Descriptor) -> Descriptor {
        Descriptor { media_type: self.of(&descriptor.media_type), ..descriptor.clone() }
    }
}

/// `image` in these media types, as it is where it has them. The store does not know it.
pub fn in_media_types(image: Image, wanted: MediaTypes) -> Image {
    let media_type = wanted.of(&image.descriptor.media_type);
    if media_type == image.descriptor.media_type {
        return image;
    }
    let manifest = Manifest {
        media_type: Some(media_type.clone()),
        config: wanted.descriptor(&image.manifest.config),
        layers: image.manifest.layers.iter().map(|layer| wanted.descriptor(layer)).collect(),
        annotations: match wanted {
            MediaTypes::Oci => image.manifest.annotations,
            MediaTypes::Docker => BTreeMap::new(),
        },
        ..image.manifest
    };
    let descriptor = Descriptor::of(&media_type, &manifest.to_bytes());
    Image { descriptor, manifest, ..image }
}
