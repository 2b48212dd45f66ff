//! Caches of other places: two machines are two stores that share a registry or a directory.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::build::BUSYBOX;
use crate::server::{Answer, Server};
use crate::support::{Said, World, provided, tool};

/// Two stages without a RUN: four steps, two of them of the stage that the result stands on.
const FOUR: &str =
    "FROM scratch AS first\nCOPY f /f\nENV a=b\nFROM scratch\nCOPY --from=first /f /g\nLABEL x=y\n";

fn hits(said: &Said) -> usize {
    said.stdout.matches("Using cache").count()
}

/// Blobs that were brought from elsewhere.
fn pulled(said: &Said) -> usize {
    said.stderr.lines().filter(|line| line.starts_with("pull sha256:")).count()
}

fn world() -> World {
    let world = World::new();
    world.file("f", "content of f");
    world
}

/// A name that no other test run has.
fn unique(registry: &str, name: &str) -> String {
    format!("{registry}/e2e/{name}-{}", std::process::id())
}

/// The tars in the store, as digests.
fn tars(world: &World) -> Vec<String> {
    let names = fs::read_dir(world.store().join("index/sha256")).unwrap();
    names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect()
}

fn layers(world: &World, image: &str) -> Vec<String> {
    let diff_ids = world.config(image)["rootfs"]["diff_ids"].as_array().unwrap().clone();
    diff_ids.iter().map(|digest| digest.as_str().unwrap()[7..].to_owned()).collect()
}

#[test]
fn an_empty_store_takes_the_records_and_only_the_layers_that_are_read() {
    let Some(registry) = provided("RBUILD_TEST_REGISTRY") else { return };
    let (base, cache) = (unique(&registry, "base"), unique(&registry, "cache"));
    let file = format!(
        "FROM {base} AS tools\nRUN echo a tool > /tool; echo another > /other\nFROM {base} AS unread\n\
         RUN --mount=from=tools,target=/tools cp /tools/tool /copied; echo unread > /unread\n\
         FROM scratch\nCOPY --from=tools /tool /tool\nCOPY --from=unread /copied /copied\nWORKDIR /w\n"
    );
    let one = world();
    one.busybox();
    one.build(BUSYBOX, &["-t", &base]).good();
    one.run(&["push", "-q", &base]).good();
    let to = format!("--cache-to=type=registry,ref={cache},mode=max");
    let first = one.build(&file, &["-t", "result", &to]).good();

    let other = world();
    let from = format!("--cache-from=type=registry,ref={cache}");
    let said = other.build(&file, &["-t", "result", &from]).good();
    assert_eq!((hits(&said), said.id()), (5, first.id()), "{}\n{}", said.stdout, said.stderr);
    let mut own = layers(&other, "result");
    assert_eq!(pulled(&said), own.len(), "{}", said.stderr);
    let mut here = tars(&other);
    own.sort();
    here.sort();
    assert_eq!(here, own, "neither the base nor a layer of another stage is here");
    assert_eq!(other.tree("result"), one.tree("result"));

    // What came is recorded: without the cache the result is known, though not what nobody has read.
    let again = other.build(&file, &[&from]).good();
    assert_eq!((hits(&again), pulled(&again)), (5, 0), "{}", again.stderr);
    // Who reads another file of `tools` needs that stage, and no other.
    let read = other.build(&file.replace("/tool /tool", "/other /other"), &["-t", "read", &from]).good();
    assert!(read.stderr.contains("pull "), "{}", read.stderr);
    assert!(other.tree("read").iter().any(|line| line.contains(" other #")), "{:?}", other.tree("read"));
    let unread = layers(&one, "result");
    assert!(unread.iter().all(|layer| tars(&other).contains(layer)), "the result's own are still here");
}

#[test]
fn a_cached_stage_does_not_pull_its_base() {
    let Some(registry) = provided("RBUILD_TEST_REGISTRY") else { return };
    let base = unique(&registry, "lazy");
    let one = world();
    one.build("FROM scratch\nCOPY f /f\n", &["-t", &base]).good();
    one.run(&["push", "-q", &base]).good();
    let file = format!("FROM {base} AS first\nENV a=b\nFROM scratch\nCOPY --from=first /f /g\n");
    let other = world();
    let said = other.build(&file, &["-t", "x"]).good();
    assert_eq!(pulled(&said), 1, "{}", said.stderr);
    other.run(&["rmi", &base]).good();
    let said = other.build(&file, &["-t", "x"]).good();
    assert_eq!((hits(&said), pulled(&said)), (2, 0), "{}", said.stderr);
    assert_eq!(tars(&other).len(), 1, "the result's");
    // A result that stands on it is whole.
    let said = other.build(&format!("FROM {base}\nENV a=b\n"), &["-t", "y"]).good();
    assert_eq!(pulled(&said), 1, "{}", said.stderr);
    assert!(other.tree("y").iter().any(|line| line.contains(" f #")), "{:?}", other.tree("y"));
}

#[test]
fn every_form_carries_what_it_says() {
    let Some(registry) = provided("RBUILD_TEST_REGISTRY") else { return };
    let shared = tempfile::tempdir().unwrap();
    let directory = |name: &str| shared.path().join(name).display().to_string();
    let name = |name: &str| unique(&registry, name);
    let rows = [
        (
            format!("type=registry,ref={}:c", name("max")) + ",mode=max",
            format!("type=registry,ref={}:c", name("max")),
            4,
        ),
        (format!("type=registry,ref={}:c", name("min")), format!("{}:c", name("min")), 2),
        (
            format!("type=registry,ref={},compression=zstd,mode=max", name("zstd")),
            format!("{}:latest", name("zstd")),
            4,
        ),
        (name("repository"), name("repository"), 4),
        (format!("{}:tag", name("tagged")), format!("{}:tag", name("tagged")), 4),
        (
            format!("type=local,dest={},mode=max", directory("max")),
            format!("type=local,src={}", directory("max")),
            4,
        ),
        (
            format!("type=local,dest={},tag=t", directory("min")),
            format!("type=local,src={},tag=t", directory("min")),
            2,
        ),
        (
            format!("type=local,dest={},mode=max,compression=uncompressed", directory("plain")),
            format!("type=local,src={}", directory("plain")),
            4,
        ),
    ];
    let one = world();
    let first = one.build(FOUR, &["-t", "x"]).good();
    for (to, from, hit) in rows {
        one.build(FOUR, &["-t", "x", "--cache-to", &to]).good();
        let other = world();
        let said = other.build(FOUR, &["-t", "x", "--cache-from", &from]).good();
        assert_eq!(
            (hits(&said), &said.stderr.matches("Warning").count()),
            (hit, &0),
            "{to}: {}",
            said.stderr
        );
        assert_eq!(other.tree("x"), one.tree("x"), "{to}");
        if hit == 4 {
            assert_eq!((said.id(), pulled(&said)), (first.id(), 1), "{to}: {}", said.stderr);
        }
        // Of several the first that knows the step counts; the ones that are not there are told.
        let nowhere = format!("type=local,src={}", directory("nowhere"));
        let said = world().build(FOUR, &["--cache-from", &nowhere, "--cache-from", &from]).good();
        assert_eq!(hits(&said), hit, "{to}");
        assert!(said.stderr.contains("nowhere:latest is not used: "), "{}", said.stderr);
        let said = world().build(FOUR, &["--cache-from", &from, "--no-cache"]).good();
        assert_eq!(hits(&said), 0, "{to}");
    }
}

#[test]
fn a_repository_gathers_the_records_of_many_builds_and_a_tag_has_those_of_one() {
    let Some(registry) = provided("RBUILD_TEST_REGISTRY") else { return };
    let one = world();
    let second = FOUR.replace("/g", "/h");
    for (to, hit) in [(unique(&registry, "gathers"), 4), (unique(&registry, "replaces") + ":c", 2)] {
        for file in [FOUR, &second] {
            one.build(file, &["--cache-to", &to]).good();
        }
        assert_eq!(hits(&world().build(FOUR, &["--cache-from", &to]).good()), hit, "{to}");
        assert_eq!(hits(&world().build(&second, &["--cache-from", &to]).good()), 4, "{to}");
        // A store without the layers can add to it: they are there.
        let third = FOUR.replace("x=y", "x=z");
        let said = world().build(&third, &["--cache-from", &to, "--cache-to", &to]).good();
        assert_eq!(hits(&world().build(&third, &["--cache-from", &to]).good()), 4, "{to}: {}", said.stderr);
    }
}

#[test]
fn an_image_carries_its_own_cache() {
    let Some(registry) = provided("RBUILD_TEST_REGISTRY") else { return };
    let image = unique(&registry, "inline");
    let one = world();
    one.build(FOUR, &["-t", &image, "--cache-to", "type=inline"]).good();
    assert_eq!(one.config(&image)["dev.rbuild.cache"]["version"], 1);
    one.run(&["push", "-q", &image]).good();
    let other = world();
    let from = format!("type=registry,ref={image}");
    let said = other.build(FOUR, &["-t", "x", "--cache-from", &from]).good();
    assert_eq!((hits(&said), pulled(&said)), (2, 1), "{}", said.stderr);
    assert_eq!(other.config("x").get("dev.rbuild.cache"), None);
    one.build(&format!("FROM {image}\nENV c=d\n"), &["-t", "y"]).good();
    assert_eq!(one.config("y").get("dev.rbuild.cache"), None, "it is of that image alone");
    // An image without one is no cache, and the build does without.
    one.build(FOUR, &["-t", &image]).good();
    one.run(&["push", "-q", &image]).good();
    let said = world().build(FOUR, &["--cache-from", &from]).good();
    assert!(
        said.stderr.contains("not a build cache: it is an image without inline cache"),
        "{}",
        said.stderr
    );
}

/// A cache in a directory, to be tampered with.
struct Layout(PathBuf);

impl Layout {
    fn blob(&self, digest: &Value) -> PathBuf {
        self.0.join("blobs/sha256").join(&digest.as_str().unwrap()[7..])
    }

    fn read(path: &Path) -> Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    fn manifest(&self) -> Value {
        let index = Self::read(&self.0.join("index.json"));
        Self::read(&self.blob(&index["manifests"][0]["digest"]))
    }

    /// The blobs of its layers.
    fn layers(&self) -> Vec<PathBuf> {
        let manifest = self.manifest();
        manifest["layers"].as_array().unwrap().iter().map(|layer| self.blob(&layer["digest"])).collect()
    }

    /// Writes a blob, and says in `descriptor` what it is.
    fn put(&self, value: &Value, descriptor: &mut Value) {
        let path = self.0.join("new");
        fs::write(&path, value.to_string()).unwrap();
        let sum = tool("sha256sum", &[path.to_str().unwrap()]);
        let digest = json!(format!("sha256:{}", sum.split_whitespace().next().unwrap()));
        descriptor["size"] = json!(fs::metadata(&path).unwrap().len());
        fs::rename(&path, self.blob(&digest)).unwrap();
        descriptor["digest"] = digest;
    }

    /// Changes manifest and document, every digest right.
    fn change(&self, change: impl Fn(&mut Value, &mut Value)) {
        let mut manifest = self.manifest();
        let mut document = Self::read(&self.blob(&manifest["config"]["digest"]));
        change(&mut manifest, &mut document);
        self.put(&document, &mut manifest["config"]);
        let mut index = Self::read(&self.0.join("index.json"));
        self.put(&manifest, &mut index["manifests"][0]);
        fs::write(self.0.join("index.json"), index.to_string()).unwrap();
    }
}

/// What is done to a cache, how, and what is said of it.
type Row = (&'static str, fn(&Layout), &'static str);

/// Shows before any record is taken.
const EARLY: [Row; 11] = [
    ("no index", |layout| fs::remove_file(layout.0.join("index.json")).unwrap(), "is no OCI image layout"),
    ("torn index", |layout| fs::write(layout.0.join("index.json"), "{").unwrap(), "is no OCI image layout"),
    (
        "no manifest",
        |layout| {
            let index = Layout::read(&layout.0.join("index.json"));
            fs::remove_file(layout.blob(&index["manifests"][0]["digest"])).unwrap();
        },
        "No such file",
    ),
    (
        "another version",
        |layout| layout.change(|_, document| document["version"] = json!(2)),
        "malformed build cache: it is of version 2, this rbuild knows 1",
    ),
    (
        "a key that is a path",
        |layout| layout.change(|_, document| document["records"][0]["key"] = json!("../x")),
        "record 0: \"../x\" is no key",
    ),
    (
        "a layer too many",
        |layout| layout.change(|_, document| document["records"][0]["layer"] = json!(9)),
        "record 0: its layer is not in the list",
    ),
    (
        "a layer twice",
        |layout| layout.change(|_, document| document["layers"][1] = document["layers"][0].clone()),
        "is in the list twice",
    ),
    (
        "no time",
        |layout| layout.change(|_, document| document["records"][0]["created"] = json!("\u{1b}[2J")),
        "is no time",
    ),
    (
        "layers that are not named",
        |layout| layout.change(|manifest, _| manifest["layers"] = json!([])),
        "it names 2 layers, the manifest 0",
    ),
    (
        "something else",
        |layout| layout.change(|manifest, _| manifest["config"]["mediaType"] = json!("text/x")),
        "not a build cache: its config is of type text/x",
    ),
    (
        "a flipped document",
        |layout| flip(&layout.blob(&layout.manifest()["config"]["digest"])),
        "the layout is damaged",
    ),
];

/// Shows when a layer is wanted.
const LATE: [Row; 5] = [
    (
        "a lie about the bytes of a layer",
        |layout| {
            layout.change(|_, document| {
                for (number, layer) in document["layers"].as_array_mut().unwrap().iter_mut().enumerate() {
                    layer["diff_id"] = json!(format!("sha256:{number:064}"));
                }
            });
        },
        "unpacks to sha256:",
    ),
    ("a lie about its length", lengthen, "bytes"),
    (
        "no layer",
        |layout| layout.layers().iter().for_each(|path| fs::remove_file(path).unwrap()),
        "No such file",
    ),
    (
        "layers that are cut short",
        |layout| {
            for path in layout.layers() {
                let whole = fs::read(&path).unwrap();
                fs::write(&path, &whole[..40]).unwrap();
            }
        },
        "40 bytes of sha256:",
    ),
    ("flipped layers", |layout| layout.layers().iter().for_each(|path| flip(path)), "the layout is damaged"),
];

fn lengthen(layout: &Layout) {
    layout.change(|_, document| {
        for layer in document["layers"].as_array_mut().unwrap() {
            layer["size"] = json!(layer["size"].as_u64().unwrap() + 512);
        }
    });
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Builds from each of the caches of `rows`; `again`: whether the build has to start again without it.
fn tampered(rows: &[Row], again: bool) {
    let one = world();
    let shared = tempfile::tempdir().unwrap();
    for (number, (what, tamper, want)) in rows.iter().enumerate() {
        let directory = shared.path().join(number.to_string());
        let to = format!("--cache-to=type=local,dest={},mode=max", directory.display());
        one.build(FOUR, &["-t", "x", &to]).good();
        let from = format!("--cache-from=type=local,src={}", directory.display());
        tamper(&Layout(directory));
        let other = world();
        let said = other.build(FOUR, &["-t", "x", &from]).good();
        assert!(said.stderr.contains(want), "{what}: {}", said.stderr);
        assert_eq!(said.stderr.contains("starts again without it"), again, "{what}: {}", said.stderr);
        assert_eq!(said.stderr.matches("[Warning]").count(), 1, "{what}: {}", said.stderr);
        assert!(!said.stderr.contains('\u{1b}'), "{what}");
        assert_eq!(other.tree("x"), one.tree("x"), "{what}");
        let said = other.build(FOUR, &[]).good();
        assert_eq!((hits(&said), &said.stderr[..]), (4, ""), "{what}: nothing wrong was kept");
    }
}

#[test]
fn a_cache_that_is_malformed_is_told_and_not_used() {
    tampered(&EARLY, false);
}

#[test]
fn a_cache_whose_layers_are_not_what_it_says_is_told_and_given_up() {
    tampered(&LATE, true);
}

#[test]
fn a_cache_that_is_wrong_is_mended_where_it_is() {
    let shared = tempfile::tempdir().unwrap();
    for (number, (what, tamper, _)) in LATE.iter().enumerate() {
        let directory = shared.path().join(number.to_string());
        let to = format!("--cache-to=type=local,dest={},mode=max", directory.display());
        let from = format!("--cache-from=type=local,src={}", directory.display());
        world().build(FOUR, &[&to]).good();
        tamper(&Layout(directory));
        world().build(FOUR, &[&from, &to]).good();
        let other = world();
        let said = other.build(FOUR, &["-t", "x", &from]).good();
        assert_eq!((hits(&said), said.stderr.contains("[Warning]")), (4, false), "{what}: {}", said.stderr);
    }
}

#[test]
fn a_layer_that_is_nowhere_is_left_out() {
    let one = world();
    let shared = tempfile::tempdir().unwrap();
    let layout = Layout(shared.path().join("cache"));
    let to = format!("--cache-to=type=local,dest={},mode=max", layout.0.display());
    let from = format!("--cache-from=type=local,src={}", layout.0.display());
    one.build(FOUR, &["-t", "x", &to]).good();
    let own = layers(&one, "x");
    let manifest = layout.manifest();
    let document = Layout::read(&layout.blob(&manifest["config"]["digest"]));
    let is_unread = |layer: &Value| !own.iter().any(|hex| layer["diff_id"].as_str().unwrap().ends_with(hex));
    let unread = document["layers"].as_array().unwrap().iter().position(is_unread).unwrap();
    fs::remove_file(layout.blob(&manifest["layers"][unread]["digest"])).unwrap();
    for (goes_without, hit) in [(true, Some(4)), (false, None), (false, Some(4))] {
        let said = world().build(FOUR, &[&from, &to]).good();
        assert_eq!(said.stderr.contains("goes without 1 of its layers"), goes_without, "{}", said.stderr);
        assert!(hit.is_none_or(|hit| hit == hits(&said)), "{}", said.stdout);
    }
}

/// Forgets the records of a store. Its layers stay.
fn forget(world: &World) {
    for directory in fs::read_dir(world.store().join("rbuild/cache")).unwrap() {
        fs::remove_dir_all(directory.unwrap().path()).unwrap();
    }
}

#[test]
fn a_layer_of_another_length_than_the_record_says_is_fetched_and_looked_at() {
    let one = world();
    let shared = tempfile::tempdir().unwrap();
    let directory = shared.path().join("cache");
    let to = format!("--cache-to=type=local,dest={},mode=max", directory.display());
    let from = format!("--cache-from=type=local,src={}", directory.display());
    one.build(FOUR, &["-t", "x", &to]).good();
    let whole = one.tree("x");
    // The cache is right, the store is torn.
    for tar in tars(&one) {
        let path = one.store().join("blobs/sha256").join(tar);
        fs::File::options().write(true).open(path).unwrap().set_len(512).unwrap();
    }
    forget(&one);
    let said = one.build(FOUR, &["-t", "x", &from]).good();
    assert_eq!((hits(&said), said.stderr.contains("[Warning]")), (4, false), "{}", said.stderr);
    assert_eq!(one.tree("x"), whole);
    // The store is right, the cache lies.
    lengthen(&Layout(directory));
    forget(&one);
    let said = one.build(FOUR, &["-t", "x", &from]).good();
    assert!(said.stderr.contains("starts again without it"), "{}", said.stderr);
    assert_eq!(one.tree("x"), whole);
    let said = one.build(FOUR, &[]).good();
    assert_eq!((hits(&said), &said.stderr[..]), (4, ""), "nothing wrong was kept");
}

#[test]
fn a_cache_that_cannot_be_sent_fails_a_build_whose_image_is_there() {
    let one = world();
    let to = "--cache-to=type=registry,ref=127.0.0.1:1/x:c";
    let said = one.build(FOUR, &["-t", "x", "--retry=0", to]);
    said.fails(125, "is built, but its cache cannot go to 127.0.0.1:1/x:c");
    assert_eq!(one.tree("x").len(), 1, "the image has its name");
    let said = one.build(FOUR, &["-t", "y", "--retry=0", &format!("{to},ignore-error=true")]).good();
    assert!(said.stderr.contains("[Warning] the image is built"), "{}", said.stderr);
    one.build(FOUR, &["--cache-to", "type=gha"]).fails(125, "of BuildKit's kinds it is not supported");
}

#[test]
fn records_that_cannot_be_read_are_not_written_over() {
    // Of a cache that builds share nothing is sent unless what it has is known: that there is none, or what it is.
    for (status, body, sent, want) in [
        (404, "", true, "its cache cannot go to "),
        (500, "", false, ": HTTP 500"),
        (429, "", false, ": HTTP 429"),
        (403, "", false, ": HTTP 403"),
        (200, "{", false, "its cache cannot go to "),
    ] {
        let server = Server::start(move |request, _| match request.path.contains("/manifests/") {
            true => {
                let kind = "application/vnd.oci.image.manifest.v1+json".to_owned();
                Answer(status, vec![("Content-Type", kind)], body.as_bytes().to_vec())
            }
            false if request.path == "/v2/" => Answer(200, Vec::new(), Vec::new()),
            false => Answer(404, Vec::new(), Vec::new()),
        });
        let to = format!("{}/shared", server.address());
        let said = world().build(FOUR, &["--retry=0", "--cache-to", &to]);
        said.fails(125, want);
        let seen = server.seen();
        assert_eq!(seen.iter().any(|request| request.path.contains("/blobs/")), sent, "{status}: {seen:?}");
    }
}
