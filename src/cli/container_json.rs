//! A working container as `inspect` shows it, under buildah's keys.

use serde_json::{Value, json};

use super::failure::Failure;
use super::image_json;
use crate::build::Format;
use crate::container::Container;
use crate::store::Store;

/// Bytes of a manifest or config of a base image that is shown.
const LIMIT: u64 = 16 << 20;

/// The description of `container`.
pub(super) fn describe(store: &Store, container: &Container) -> Result<Value, Failure> {
    let state = &container.state;
    let image = &state.piece.image;
    let text =
        |digest| Ok::<_, Failure>(String::from_utf8_lossy(&store.read_blob(digest, LIMIT)?).into_owned());
    let (config, manifest) = match &state.base {
        Some(base) => (text(&base.id)?, text(&base.manifest)?),
        None => (String::new(), String::new()),
    };
    Ok(json!({
        "Type": "buildah 0.0.1",
        "FromImage": state.base.as_ref().map_or("scratch", |base| &base.name),
        "FromImageID": state.base.as_ref().map(|base| base.id.hex()).unwrap_or_default(),
        "FromImageDigest": state.base.as_ref().map(|base| base.manifest.to_string()).unwrap_or_default(),
        "Config": config,
        "Manifest": manifest,
        "Container": container.name,
        "ContainerID": container.id,
        "MountPoint": state.mount.as_ref().map(|mount| &mount.path),
        "ImageAnnotations": state.annotations,
        "ImageCreatedBy": state.history.created_by.as_deref().unwrap_or_default(),
        "ProcessLabel": "",
        "MountLabel": "",
        "OCIv1": image,
        "Docker": image_json::docker(image),
        "DefaultMountsFilePath": "",
        "History": image.history,
        "Devices": null,
        "Format": match state.format {
            Format::Oci => "oci",
            Format::Docker => "docker",
        },
        "PendingLayers": state.piece.own_layers(),
    }))
}
