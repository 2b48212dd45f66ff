//! An image as `inspect` shows it, under buildah's keys.

use serde_json::{Value, json};

use crate::oci::ImageConfig;
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
        "Container": "",
        "ContainerID": "",
        "MountPoint": "",
        "ProcessLabel": "",
        "MountLabel": "",
        "ImageAnnotations": image.manifest.annotations,
        "ImageCreatedBy": "",
        "OCIv1": image.config,
        "Docker": docker(&image.config),
        "DefaultMountsFilePath": "",
        "History": image.config.history,
        "Devices": null,
    })
}

/// The config as Docker lays it out, with all keys that it always has (Docker image-spec v1.2).
pub(super) fn docker(image: &ImageConfig) -> Value {
    let mut config = json!({
        "Hostname": "", "Domainname": "", "User": "",
        "AttachStdin": false, "AttachStdout": false, "AttachStderr": false,
        "Tty": false, "OpenStdin": false, "StdinOnce": false,
        "Env": null, "Cmd": null, "Image": "", "Volumes": null, "WorkingDir": "", "Entrypoint": null,
        "OnBuild": [], "Labels": {},
    });
    let mut described = json!(image);
    if let (Some(config), Some(known)) = (config.as_object_mut(), described["config"].as_object()) {
        config.extend(known.clone());
    }
    if described.get("container_config").is_none() {
        described["container_config"] = config.clone();
    }
    described["config"] = config;
    described
}
