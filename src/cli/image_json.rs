//! An image as `inspect` shows it, under buildah's keys.

use serde_json::{Value, json};

use crate::store::Image;

/// The description of `image`.
pub(super) fn describe(image: &Image) -> Value {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    json!({
        "Type": "buildah 0.0.1",
        "FromImage": image.names.first(),
        "FromImageID": image.id().hex(),
        "FromImageDigest": image.descriptor.digest,
        "Names": image.names,
        "Config": text(image.config.to_bytes()),
        "Manifest": text(image.manifest.to_bytes()),
        "ImageAnnotations": image.manifest.annotations,
        "OCIv1": image.config,
    })
}
