//! Round trips through docker-registry. skopeo brings images there, and says what arrived.

use std::collections::BTreeMap;
use std::io::Cursor;

use super::images::{Served, run, tar};
use super::{Log, client, scratch};
use crate::layer::{self, Compression, Index, Limits};
use crate::oci::{Digest, ImageConfig, Platform, Reference, media_type};
use crate::registry::tests::daemon::{Access, Daemon, have};
use crate::store::{Image, Store};
use crate::transfer::{PushOptions, pull, push};

const NOISE: u32 = 1_600_000;
const GZIP: PushOptions = PushOptions { compression: Compression::Gzip, force: false };

/// Three layers, one of them of a size that does not pass in one piece, one in two places, the last packed by
/// `program`.
fn three_layers(program: &str, kind: &str) -> Served {
    let noise: Vec<u8> = (0..NOISE / 4).flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let [first, large, last] = [tar("a", b"first"), tar("noise", &noise), tar("z", b"third")];
    Served::new(&[
        (&first, Some("gzip"), media_type::LAYER_GZIP),
        (&large, Some("gzip"), media_type::LAYER_GZIP),
        (&last, Some(program), kind),
        (&first, Some("gzip"), media_type::LAYER_GZIP),
    ])
}

/// Skopeo's word on the manifest at `name`.
fn inspect(name: &str) -> Vec<u8> {
    run("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")], b"")
}

/// What file `path` of the image says, the uppermost layer first.
fn read(store: &Store, image: &Image, path: &[&str]) -> Vec<u8> {
    for layer in store.stack(&image.config).unwrap().iter().rev() {
        let mut at = Index::ROOT;
        let found = path.iter().all(|name| match layer.index.lookup(at, name.as_bytes()) {
            Some(layer::Child::Node(child)) => {
                at = child;
                true
            }
            _ => false,
        });
        if found {
            let mut content = vec![0; usize::try_from(layer.index.inode(at).size).unwrap()];
            let len = layer.read_at(at, &mut content, 0).unwrap();
            assert_eq!(len, content.len());
            return content;
        }
    }
    panic!("{path:?} is in no layer");
}

#[test]
fn what_skopeo_pushed_is_pulled_and_goes_out_as_it_came() {
    let Some(daemon) = Daemon::start(Access::Anyone).filter(|_| have("skopeo")) else { return };
    let registry = daemon.address();
    for (format, program, kind) in
        [("oci", "zstd", media_type::LAYER_ZSTD), ("v2s2", "gzip", media_type::LAYER_GZIP)]
    {
        let (tag, layers) = (format, 3);
        let dir = tempfile::tempdir().unwrap();
        three_layers(program, kind).lay_out(dir.path(), "x");
        let name = format!("{registry}/app:{tag}");
        let source = format!("oci:{}:x", dir.path().display());
        let target = format!("docker://{name}");
        run("skopeo", &["copy", "--dest-tls-verify=false", "--format", format, &source, &target], b"");

        let (_dir, store) = scratch();
        let (log, client) = (Log::default(), client());
        let reference: Reference = name.parse().unwrap();
        let image = pull(&store, &client, &reference, &Platform::host(), &log).unwrap();
        assert_eq!(log.moved(), layers, "{format}: a layer in two places travels once");
        assert_eq!(read(&store, &image, &["d", "a"]), b"first", "{format}");
        assert_eq!(read(&store, &image, &["d", "noise"]).len(), NOISE as usize, "{format}");
        assert_eq!(image.descriptor.digest, Digest::of(&inspect(&name)), "{format}");
        assert_eq!(store.find(&name).unwrap().unwrap().id(), image.id(), "{format}");
        pull(&store, &client, &reference, &Platform::host(), &log).unwrap();
        assert_eq!(log.moved(), 0, "{format}: all is here already");

        let copy = format!("{registry}/copy/{tag}").parse().unwrap();
        let digest = push(&store, &client, &image, &copy, GZIP, &log).unwrap().digest;
        assert_eq!(digest, image.descriptor.digest, "{format}: the digest survives");
        assert_eq!(Digest::of(&inspect(&copy.to_string())), digest, "{format}: without a tag it is latest");
        assert_eq!(log.moved(), layers + 1, "{format}: the config, too");
    }
}

/// An image of two plain layers, as a build leaves it.
fn built(store: &Store) -> Image {
    let layers: Vec<_> = [tar("one", &vec![b'1'; 1_200_000]), tar("two", b"2")]
        .into_iter()
        .map(|tar| {
            let tmp = store.tmp_file().unwrap();
            let file = tmp.file().try_clone().unwrap();
            let written = layer::ingest(&mut Cursor::new(tar), file, &Limits::default()).unwrap();
            store.commit_layer(tmp, &written).unwrap()
        })
        .collect();
    let mut config =
        ImageConfig { architecture: "amd64".into(), os: "linux".into(), ..ImageConfig::default() };
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    store.put_image(&config, &layers, &BTreeMap::from([("note".to_owned(), "kept".to_owned())])).unwrap()
}

#[test]
fn built_images_are_packed_once_and_arrive() {
    let Some(daemon) = Daemon::start(Access::Anyone).filter(|_| have("skopeo")) else { return };
    let (_dir, store) = scratch();
    let (log, client, image) = (Log::default(), client(), built(&store));
    for (compression, kind, repository) in [
        (Compression::Gzip, media_type::LAYER_GZIP, "gzip"),
        (Compression::Zstd, media_type::LAYER_ZSTD, "zstd"),
        (Compression::None, media_type::LAYER, "plain"),
    ] {
        let name = format!("{}/{repository}:1", daemon.address());
        let (to, options) = (name.parse().unwrap(), PushOptions { compression, force: false });
        let digest = push(&store, &client, &image, &to, options, &log).unwrap().digest;
        assert_eq!(log.moved(), 3, "{name}");
        assert_eq!(push(&store, &client, &image, &to, options, &log).unwrap().digest, digest, "{name} again");
        assert_eq!(log.moved(), 0, "{name} again");
        let raw = inspect(&name);
        assert_eq!(Digest::of(&raw), digest, "{name}");
        let manifest = crate::oci::Manifest::parse(&raw).unwrap();
        assert!(manifest.layers.iter().all(|layer| layer.media_type == kind), "{name}: {manifest:?}");
        assert_eq!(manifest.annotations["note"], "kept", "{name}");
        // skopeo checks every digest on its way, and the diff ids when it unpacks.
        let dir = tempfile::tempdir().unwrap();
        let target = format!("dir:{}", dir.path().display());
        run(
            "skopeo",
            &["copy", "--src-tls-verify=false", "--dest-decompress", &format!("docker://{name}"), &target],
            b"",
        );

        let (_dir, other) = scratch();
        let back = pull(&other, &client, &to, &Platform::host(), &log).unwrap();
        log.moved();
        assert_eq!(back.config, image.config, "{name}");
        assert_eq!(read(&other, &back, &["d", "two"]), b"2", "{name}");
    }
    // What was packed once is found again, even under another name and by another process's store.
    let again = Store::open(store.root()).unwrap();
    for diff_id in &image.config.rootfs.diff_ids {
        assert_eq!(again.packed(diff_id).unwrap().len(), 2, "gzip and zstd of {diff_id}");
    }
}

#[test]
fn pulled_layers_are_packed_anew_only_by_force() {
    let Some(daemon) = Daemon::start(Access::Anyone).filter(|_| have("skopeo")) else { return };
    let (_dir, store) = scratch();
    let (log, client) = (Log::default(), client());
    let from: Reference = format!("{}/from:1", daemon.address()).parse().unwrap();
    push(&store, &client, &built(&store), &from, GZIP, &log).unwrap();
    let (_dir, store) = scratch();
    let pulled = pull(&store, &client, &from, &Platform::host(), &log).unwrap();
    for (compression, force, kind) in [
        (Compression::Zstd, false, media_type::LAYER_GZIP),
        (Compression::Gzip, true, media_type::LAYER_GZIP),
        (Compression::Zstd, true, media_type::LAYER_ZSTD),
        (Compression::None, true, media_type::LAYER),
    ] {
        let to: Reference = format!("{}/to:1", daemon.address()).parse().unwrap();
        let digest =
            push(&store, &client, &pulled, &to, PushOptions { compression, force }, &log).unwrap().digest;
        let manifest = crate::oci::Manifest::parse(&inspect(&to.to_string())).unwrap();
        assert!(manifest.layers.iter().all(|layer| layer.media_type == kind), "{compression:?} {force}");
        let same = digest == pulled.descriptor.digest;
        assert_eq!(same, kind == media_type::LAYER_GZIP, "{compression:?} {force}");
    }
}

#[test]
fn two_who_want_the_same_layers_fetch_them_once() {
    let Some(daemon) = Daemon::start(Access::Anyone) else { return };
    let (_dir, store) = scratch();
    let (log, name) = (Log::default(), format!("{}/app:1", daemon.address()).parse().unwrap());
    push(&store, &client(), &built(&store), &name, GZIP, &log).unwrap();
    log.moved();
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = Store::open(dir.path()).unwrap();
                pull(&store, &client(), &name, &Platform::host(), &log).unwrap();
            });
        }
    });
    assert_eq!(log.moved(), 2);
}
