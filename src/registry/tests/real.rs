//! The room against Debian's docker-registry, in each way to be let in.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use super::daemon::{Access, Daemon, LOGIN};
use super::{client, patient, told};
use crate::oci::{Descriptor, Digest, Reference, media_type};
use crate::registry::{Error, Options};

/// Larger than any buffer on the way.
const SIZE: usize = 3 * 1024 * 1024 + 17;

fn login(user: &str, password: &str) -> Options {
    Options { credentials: Some((user.to_owned(), password.to_owned())), ..patient() }
}

/// Pushes a blob and a manifest, and reads both again, from a client of its own.
fn round_trip(options: &Options, name: &Reference) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("blob");
    let bytes: Vec<u8> = (0..SIZE).map(|at| ((at * at) >> 7).to_le_bytes()[0]).collect();
    std::fs::write(&path, &bytes).unwrap();
    let blob = Descriptor::of(media_type::LAYER, &bytes);
    let config = Descriptor::of(media_type::CONFIG, b"{}");
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::MANIFEST, "config": config, "layers": [blob]
    });
    let manifest = manifest.to_string().into_bytes();

    let pusher = client(options.clone());
    let sent = AtomicU64::new(0);
    let advanced = |more| {
        sent.fetch_add(more, Ordering::Relaxed);
    };
    assert!(!pusher.has_blob(name, &blob.digest).unwrap());
    pusher.push_blob(name, &blob, &|| File::open(&path), &advanced).unwrap();
    assert_eq!(sent.into_inner(), blob.size);
    assert!(pusher.has_blob(name, &blob.digest).unwrap());
    let small = dir.path().join("config");
    std::fs::write(&small, "{}").unwrap();
    pusher.push_blob(name, &config, &|| File::open(&small), &|_| {}).unwrap();
    let digest = pusher.push_manifest(name, media_type::MANIFEST, &manifest).unwrap();

    let puller = client(options.clone());
    let by_tag = puller.manifest(name).unwrap();
    assert_eq!((&by_tag.bytes, by_tag.digest), (&manifest, digest));
    let pinned = format!("{}/{}@{digest}", name.registry().unwrap(), name.repository()).parse().unwrap();
    assert_eq!(puller.manifest(&pinned).unwrap(), by_tag);
    // Several readers at once, as layers are.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut got = Vec::new();
                puller.blob(name, &blob).unwrap().read_to_end(&mut got).unwrap();
                assert!(got == bytes, "{name}: other bytes came back");
            });
        }
    });
    // A reader that is given up must not hold anyone up.
    drop(puller.blob(name, &blob).unwrap());
}

#[test]
fn every_way_in_works_and_wrong_passwords_do_not() {
    for access in [Access::Anyone, Access::Basic, Access::Token] {
        let Some(daemon) = Daemon::start(access) else { return };
        let name: Reference = format!("{}/team/app:1", daemon.address()).parse().unwrap();
        round_trip(&login(LOGIN.0, LOGIN.1), &name);
        if access == Access::Anyone {
            let other = format!("{}/other", daemon.address()).parse().unwrap();
            round_trip(&patient(), &other);
            continue;
        }
        for (options, want) in [(login("user", "wrong"), access), (patient(), access)] {
            let error = told(client(options).manifest(&name)).unwrap_err();
            let wanted = if want == Access::Token { "token server refuses" } else { "HTTP 401 UNAUTHORIZED" };
            assert!(error.contains(wanted) && error.contains("/team/app:1"), "{access:?}: {error}");
        }
        // The login of the longest key; the others would be refused.
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("auth.json");
        let registry = daemon.address();
        let file = format!(
            r#"{{"auths": {{"{registry}/team/app": {{"username": "user", "password": "secret"}}, "{registry}": {{"username": "user", "password": "no"}}}}}}"#
        );
        std::fs::write(&path, file).unwrap();
        let options = Options { auth_files: vec![path], ..patient() };
        let keyed = client(options);
        keyed.manifest(&name).unwrap();
        let elsewhere = format!("{registry}/team/other").parse().unwrap();
        told(keyed.manifest(&elsewhere)).unwrap_err();
    }
}

#[test]
fn what_the_registry_does_not_have_is_told_in_its_words() {
    let Some(daemon) = Daemon::start(Access::Anyone) else { return };
    let client = client(patient());
    let name: Reference = format!("{}/app:1", daemon.address()).parse().unwrap();
    let absent = Descriptor::of(media_type::LAYER, b"absent");
    let manifest = br#"{"schemaVersion":2}"#;
    for (outcome, want) in [
        (client.manifest(&name).map(drop), "/app:1: HTTP 404 MANIFEST_UNKNOWN: manifest unknown"),
        (client.blob(&name, &absent).map(drop), "HTTP 404 BLOB_UNKNOWN"),
        (
            client.push_manifest(&name, media_type::MANIFEST, manifest).map(drop),
            "HTTP 400 DIGEST_INVALID: provided digest",
        ),
        (
            client
                .push_manifest(
                    &format!("{name}@{}", Digest::of(b"")).parse().unwrap(),
                    media_type::MANIFEST,
                    b"x",
                )
                .map(drop),
            "expected sha256:e3b0c442",
        ),
    ] {
        let got = told(outcome).unwrap_err();
        assert!(got.contains(want), "{got}, not {want}");
    }
}

#[test]
fn tls_is_found_and_checked_even_here() {
    let Some(daemon) = Daemon::start(Access::Tls) else { return };
    let name: Reference = format!("{}/app:1", daemon.address()).parse().unwrap();
    let error = told(client(patient()).manifest(&name)).unwrap_err();
    assert!(error.contains("TLS with 127.0.0.1") && error.contains("--tls-verify=false"), "{error}");
    round_trip(&Options { insecure: true, ..patient() }, &name);
}

#[test]
fn a_login_is_checked_with_the_registry() {
    for access in [Access::Anyone, Access::Basic, Access::Token] {
        let Some(daemon) = Daemon::start(access) else { return };
        let registry = daemon.address().to_string();
        client(patient()).check_login(&registry, LOGIN.0, LOGIN.1).unwrap();
        let wrong = client(patient()).check_login(&registry, LOGIN.0, "wrong");
        match access {
            Access::Anyone => wrong.unwrap(),
            _ => assert!(matches!(wrong, Err(Error::Unauthorized { .. })), "{access:?}: {wrong:?}"),
        }
    }
}
