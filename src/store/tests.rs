//! What only several processes, or other programs, can show.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use super::{CacheKey, CacheRecord, Image, LayerRecord, Store};
use crate::layer::Written;
use crate::oci::{DiffId, Digest, ImageConfig, RootFs};

/// A fresh store in a directory of its own.
pub(super) fn scratch() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

/// Commits bytes as a layer's tar, with an index that nobody will read.
pub(super) fn put_layer(store: &Store, tar: &[u8]) -> LayerRecord {
    let diff_id = DiffId(Digest::of(tar));
    let written = Written { diff_id, size: tar.len() as u64, entries: 0, index: b"index".to_vec() };
    store.commit_layer(store.tmp_file_of(tar).unwrap(), &written).unwrap()
}

/// A config of these layers, told apart by its author.
pub(super) fn config_of(author: &str, layers: &[LayerRecord]) -> ImageConfig {
    ImageConfig {
        author: Some(author.to_owned()),
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        rootfs: RootFs { diff_ids: layers.iter().map(|layer| layer.diff_id).collect(), ..RootFs::default() },
        ..ImageConfig::default()
    }
}

/// An image without layers.
pub(super) fn put(store: &Store, author: &str) -> Image {
    store.put_image(&config_of(author, &[]), &[], &BTreeMap::new()).unwrap()
}

/// Tells a child of these tests its store.
const ROOT: &str = "RBUILD_TEST_STORE";

/// Starts this test program again to run one ignored test on `root`.
fn child(test: &str, root: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("store::tests::{test}"), "--ignored", "--quiet"])
        .env(ROOT, root)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn root_of_child() -> PathBuf {
    PathBuf::from(env::var_os(ROOT).expect("set by the parent test"))
}

fn step(n: u32) -> (CacheKey, Vec<u8>) {
    (CacheKey(format!("{n:064x}")), format!("{n};").repeat(20_000).into_bytes())
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("{what}: not within 10 s");
}

#[test]
#[ignore = "the child of kill_at_any_moment_leaves_nothing_half_written"]
fn child_that_is_killed() {
    let store = Store::open(&root_of_child()).unwrap();
    let live = store.lease_live().unwrap();
    fs::write(live.path().join("upper"), "x").unwrap();
    for n in 0.. {
        let (key, tar) = step(n);
        let _step = store.lock_step(&key).unwrap();
        let layer = put_layer(&store, &tar);
        let config = config_of(&n.to_string(), &[layer]);
        store.put_cached(&key, &CacheRecord::new(Some(layer), String::new())).unwrap();
        let image = store.put_image(&config, &[layer], &BTreeMap::new()).unwrap();
        store.tag(&image, &"killed".parse().unwrap()).unwrap();
    }
}

#[test]
fn kill_at_any_moment_leaves_nothing_half_written() {
    let (dir, store) = scratch();
    drop(store);
    for round in 0..12 {
        let mut child = child("child_that_is_killed", dir.path());
        let live = dir.path().join("rbuild/live");
        wait_until("a live directory", || fs::read_dir(&live).unwrap().count() == 2);
        thread::sleep(Duration::from_millis(7 * round));
        child.kill().unwrap();
        child.wait().unwrap();

        let store = Store::open(dir.path()).unwrap();
        for swept in ["tmp", "rbuild/live"] {
            let left: Vec<_> = fs::read_dir(dir.path().join(swept)).unwrap().collect();
            assert!(left.is_empty(), "round {round}: {swept} holds {left:?}");
        }
        for entry in fs::read_dir(dir.path().join("rbuild/locks")).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(["gc", "names", "init"].iter().any(|kept| name == *kept), "round {round}: {name:?}");
        }
        for entry in fs::read_dir(dir.path().join("blobs/sha256")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            assert_eq!(Digest::of(&fs::read(&path).unwrap()).hex(), name, "round {round}");
        }
        store.images().unwrap();
        assert!(store.try_lock_step(&step(0).0).unwrap().is_some(), "round {round}: the step's lock is free");
    }
}

/// Does 20 steps, each unless another has done it, noting those it did itself.
fn do_steps(store: &Store) {
    for n in 0..20 {
        let (key, tar) = step(n);
        if store.cached(&key).unwrap().is_some() {
            continue;
        }
        let _step = store.lock_step(&key).unwrap();
        if store.cached(&key).unwrap().is_some() {
            continue;
        }
        fs::File::create_new(store.root().join(format!("done-{n}"))).expect("a step is done once");
        thread::sleep(Duration::from_millis(2));
        let layer = put_layer(store, &tar);
        let record = CacheRecord::new(Some(layer), n.to_string());
        store.put_cached(&key, &record).unwrap();
        let image =
            store.put_image(&config_of(&n.to_string(), &[layer]), &[layer], &BTreeMap::new()).unwrap();
        store.tag(&image, &format!("step{n}").parse().unwrap()).unwrap();
    }
}

#[test]
#[ignore = "the child of processes_and_threads_do_each_step_once"]
fn child_that_does_steps() {
    do_steps(&Store::open(&root_of_child()).unwrap());
}

#[test]
fn processes_and_threads_do_each_step_once() {
    let (dir, store) = scratch();
    let mut children: Vec<Child> = (0..3).map(|_| child("child_that_does_steps", dir.path())).collect();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| do_steps(&store));
        }
    });
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let images = store.images().unwrap();
    assert_eq!(images.len(), 20);
    assert!(images.iter().all(|image| image.names.len() == 1), "no name was lost to another writer");
    assert!(fs::read_dir(dir.path().join("rbuild/locks")).unwrap().count() <= 3, "step locks are gone");
}

#[test]
fn opening_one_new_root_from_many_threads_makes_one_store() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("new");
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| put(&Store::open(&root).unwrap(), "same"));
        }
    });
    assert_eq!(Store::open(&root).unwrap().images().unwrap().len(), 1);
}

#[test]
fn collections_never_take_what_a_build_has_just_stored() {
    let (dir, store) = scratch();
    let building = AtomicU32::new(2);
    thread::scope(|scope| {
        for builder in 0..2 {
            let (store, building) = (Store::open(dir.path()).unwrap(), &building);
            scope.spawn(move || {
                for n in 0..40 {
                    let layer = put_layer(&store, format!("{builder} {n}").as_bytes());
                    let config = config_of(&format!("{builder} {n}"), &[layer]);
                    let image = store.put_image(&config, &[layer], &BTreeMap::new()).unwrap();
                    assert!(store.has_blob(&layer.diff_id.0) && store.has_blob(&image.id()), "{builder} {n}");
                }
                building.fetch_sub(1, Ordering::SeqCst);
            });
        }
        scope.spawn(|| {
            while building.load(Ordering::SeqCst) > 0 {
                let doomed = put(&store, "doomed");
                store.remove(&doomed).unwrap();
            }
        });
    });
    let images = store.images().unwrap();
    assert_eq!(images.len(), 80);
    for image in images {
        assert!(image.blobs().iter().all(|blob| store.has_blob(blob)), "{image:?}");
    }
}

/// Runs another program; `None`, with the reason printed, if it is not installed.
fn run(program: &str, args: &[&str]) -> Option<std::process::Output> {
    match Command::new(program).args(args).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: needs {program}");
            None
        }
        output => Some(output.unwrap()),
    }
}

#[test]
fn skopeo_and_umoci_read_the_store_as_it_is() {
    let (dir, store) = scratch();
    // A tar of one empty file `hello`, ustar, by hand: header, two zero blocks.
    let mut tar = vec![0; 1536];
    for (at, field) in [
        (0, "hello"),
        (100, "0000644"),
        (108, "0000000"),
        (116, "0000000"),
        (124, "00000000000"),
        (136, "00000000000"),
        (148, "        "),
        (156, "0"),
        (257, "ustar\x0000"),
    ] {
        tar[at..at + field.len()].copy_from_slice(field.as_bytes());
    }
    let sum: u32 = tar[..512].iter().map(|&byte| u32::from(byte)).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let layer = put_layer(&store, &tar);
    let image = store.put_image(&config_of("a", &[layer]), &[layer], &BTreeMap::new()).unwrap();
    put(&store, "nameless");
    let names =
        ["localhost/img:latest", "docker.io/library/debian:bookworm-slim", "localhost:5000/team/app_x:v1.2"];
    for name in names {
        store.tag(&image, &name.parse().unwrap()).unwrap();
    }
    let root = dir.path().to_str().unwrap();
    let bundles = tempfile::tempdir().unwrap();
    for (row, name) in names.iter().enumerate() {
        if let Some(output) =
            run("skopeo", &["inspect", "--format", "{{.Digest}}", &format!("oci:{root}:{name}")])
        {
            let talk = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(
                String::from_utf8_lossy(&output.stdout).trim(),
                image.descriptor.digest.to_string(),
                "{name}: {talk}"
            );
        }
        let bundle = bundles.path().join(row.to_string());
        let bundle = bundle.to_str().unwrap();
        if let Some(output) =
            run("umoci", &["unpack", "--rootless", "--image", &format!("{root}:{name}"), bundle])
        {
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            assert!(Path::new(bundle).join("rootfs/hello").is_file(), "{name}");
        }
    }
    // And we read what they write.
    if run("umoci", &["tag", "--image", &format!("{root}:{}", names[0]), "quay.io/by/umoci:1"]).is_some() {
        assert_eq!(store.find("quay.io/by/umoci:1").unwrap().unwrap().id(), image.id());
        assert_eq!(store.images().unwrap().len(), 2);
    }
}

#[test]
fn nothing_in_a_store_resists_its_owner() {
    let (dir, store) = scratch();
    let layer = put_layer(&store, b"tar");
    let image = store.put_image(&config_of("a", &[layer]), &[layer], &BTreeMap::new()).unwrap();
    store.tag(&image, &"img".parse().unwrap()).unwrap();
    let (_live, _step) = (store.lease_live().unwrap(), store.lock_step(&step(0).0).unwrap());
    let mut open = vec![dir.path().to_owned()];
    while let Some(path) = open.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        let needed = if found.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(found.permissions().mode() & needed, needed, "{path:?}");
        assert!(found.is_dir() || found.is_file(), "{path:?} is neither a file nor a directory");
        if found.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}
