//! Images that are not what they say. None may leave anything behind.

use serde_json::json;

use super::images::{Served, run, tar};
use super::{Log, client, scratch, told};
use crate::oci::{Descriptor, Digest, Platform, media_type};
use crate::registry::tests::scripted::{Reply, Server};
use crate::transfer::pull;

/// Serves an image as `x:1`, but for the blob `other.0`, in whose place `other.1` goes.
fn serve(image: &Served, other: Option<(Digest, Vec<u8>)>) -> Server {
    let mut blobs: Vec<(String, Vec<u8>)> =
        image.blobs().map(|(digest, blob)| (format!("/v2/x/blobs/{digest}"), blob.to_owned())).collect();
    if let Some((digest, blob)) = other {
        blobs.insert(0, (format!("/v2/x/blobs/{digest}"), blob));
    }
    blobs.push(("/v2/x/manifests/1".to_owned(), image.manifest.clone()));
    Server::start(move |request, _| {
        let found = blobs.iter().find(|(path, _)| *path == request.path);
        match found {
            Some((_, body)) => Reply::new(200).body(body),
            None if request.path == "/v2/" => Reply::new(200),
            None => Reply::new(404),
        }
    })
}

fn one(tar: &[u8], program: Option<&str>, kind: &str) -> Served {
    Served::new(&[(tar, program, kind)])
}

#[test]
fn lies_are_found_out_and_leave_nothing() {
    let plain = tar("a", b"content");
    let gzip = || one(&plain, Some("gzip"), media_type::LAYER_GZIP);
    let swapped = |with: Vec<u8>| {
        let image = gzip();
        let digest = Digest::of(&image.layers[0]);
        serve(&image, Some((digest, with)))
    };
    let same_size = vec![0x1f; gzip().layers[0].len()];
    let other_tar = run("gzip", &["-c"], &tar("b", b"evil"));
    let evil = {
        // The config tells of one tar, the manifest has another.
        let mut image = gzip();
        image.layers = vec![other_tar.clone()];
        image.but(|manifest| manifest["layers"] = json!([Descriptor::of(media_type::LAYER_GZIP, &other_tar)]))
    };
    let typed = |kind: &str| serve(&one(&plain, Some("gzip"), kind), None);
    let cut = plain[..700].to_vec();
    let rows = [
        ("other bytes", swapped(same_size), "the registry sent sha256:"),
        ("fewer bytes", swapped(vec![0x1f; 7]), "7 are announced"),
        ("another tar", serve(&evil, None), "the config says sha256:"),
        (
            "a foreign layer",
            typed("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
            "is not in the registry (application/vnd.docker.image.rootfs.foreign",
        ),
        (
            "a layer nobody may spread",
            typed("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
            "is not in the registry",
        ),
        (
            "an encrypted layer",
            typed("application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
            "is of type application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
        ),
        ("no tar", serve(&one(b"no tar at all", None, media_type::LAYER), None), "layer sha256:"),
        ("half a tar", serve(&one(&cut, Some("gzip"), media_type::LAYER_GZIP), None), "layer sha256:"),
        (
            "a chart",
            serve(
                &gzip().but(|m| m["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json")),
                None,
            ),
            "not a container image: its config is of type application/vnd.cncf",
        ),
        (
            "too many layers",
            serve(&gzip().but(|m| m["layers"].as_array_mut().unwrap().push(m_layer())), None),
            "1 diff ids, the manifest 2 layers",
        ),
        (
            "an absurd config",
            serve(&gzip().but(|m| m["config"]["size"] = json!(1_u64 << 50)), None),
            "1125899906842624 bytes",
        ),
        (
            "an absurd layer",
            serve(&gzip().but(|m| m["layers"][0]["size"] = json!(1_u64 << 50)), None),
            "expected 1125899906842624 bytes",
        ),
        (
            "a digest that is none",
            serve(&gzip().but(|m| m["layers"][0]["digest"] = json!("sha256:../../etc")), None),
            "invalid digest",
        ),
        (
            "a config that is none",
            {
                let image = gzip();
                let digest = Digest::of(&image.config);
                let junk = vec![b'x'; image.config.len()];
                serve(&image, Some((digest, junk)))
            },
            "the registry sent",
        ),
    ];
    for (what, server, want) in rows {
        let (_dir, store) = scratch();
        let log = Log::default();
        let name = format!("{}/x:1", server.address()).parse().unwrap();
        let error = told(&pull(&store, &client(), &name, &Platform::host(), &log).unwrap_err());
        assert!(error.contains(want), "{what}: {error}");
        assert!(error.contains(&server.address().to_string()), "{what} does not name the registry: {error}");
        assert!(store.images().unwrap().is_empty(), "{what}");
        let root = store.root().to_owned();
        drop(store);
        for (place, most) in
            [("blobs/sha256", 1), ("index/sha256", 0), ("tmp", 0), ("rbuild/diffids", 0), ("rbuild/locks", 4)]
        {
            let names: Vec<_> = std::fs::read_dir(root.join(place))
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            // A whole config may stay.
            assert!(names.len() <= most, "{what} leaves {names:?} in {place}");
        }
    }
}

fn m_layer() -> serde_json::Value {
    json!(Descriptor::of(media_type::LAYER_GZIP, b"one more"))
}

#[test]
fn an_image_for_another_platform_is_told() {
    let image = one(&tar("a", b""), Some("gzip"), media_type::LAYER_GZIP);
    let server = serve(&image, None);
    let (_dir, store) = scratch();
    let log = Log::default();
    let name = format!("{}/x:1", server.address()).parse().unwrap();
    pull(&store, &client(), &name, &"linux/s390x".parse().unwrap(), &log).unwrap();
    let events = format!("{:?}", log.0.lock().unwrap());
    assert!(events.contains("the image is for linux/amd64, not for linux/s390x"), "{events}");
}
