//! Named contexts: what FROM, COPY --from and mounts find.

use std::fs;
use std::path::Path;

use super::files;
use crate::copy::archives::forge;
use crate::copy::tree;
use crate::repository::Daemon;
use crate::server::{Answer, Server};
use crate::support::{Said, World, tool};

fn build(world: &World, contexts: &[&str], file: &str) -> Said {
    let flags: Vec<_> = contexts.iter().flat_map(|context| ["--build-context", context]).collect();
    world.build(file, &[&flags[..], &["--retry=0", "-t", "x"]].concat())
}

/// A line of a tree as it is with all of it in the directory `place`.
fn below(place: &str, line: &str) -> String {
    let (entry, target) =
        line.split_once(" -> ").map_or((line, String::new()), |(a, b)| (a, format!(" -> {b}")));
    let (fields, path) = entry.rsplit_once(' ').unwrap();
    format!("{fields} {place}{path}{target}")
}

/// A directory beside the context with a file `f` and one that its ignore file hides.
fn other(world: &World) -> String {
    let other = world.path("other");
    fs::create_dir_all(other.join("d")).unwrap();
    fs::write(other.join("f"), "f").unwrap();
    fs::write(other.join("d/hidden"), "").unwrap();
    fs::write(other.join(".dockerignore"), ".dockerignore\nd/hid*\n").unwrap();
    other.display().to_string()
}

#[test]
fn every_kind_of_context_is_found_by_its_name() {
    let daemon = Daemon::start();
    let world = &daemon.world;
    let directory = other(world);
    world.build("FROM scratch\nCOPY Dockerfile /f\nLABEL made=by\n", &["-t", "base:1"]).good();
    let layout = world.path("layout");
    fs::create_dir(&layout).unwrap();
    let store = world.store();
    tool(
        "skopeo",
        &[
            "copy",
            "--quiet",
            &format!("oci:{}:localhost/base:1", store.display()),
            &format!("oci:{}:v1", layout.display()),
        ],
    );
    forge(world, "../t.tar", "add('f', b'tar'); add('d/g', b'')");
    let archive = fs::read(world.path("t.tar")).unwrap();
    let server = Server::start(move |_, _| Answer(200, Vec::new(), archive.clone()));
    let url = format!("http://{}/t.tar", server.address());
    let git = format!("{}#v1", daemon.url());
    let digest = fs::read_to_string(layout.join("index.json")).unwrap();
    let digest: serde_json::Value = serde_json::from_str(&digest).unwrap();
    let digest = digest["manifests"][0]["digest"].as_str().unwrap();
    let size = world.context().join("Dockerfile").metadata().unwrap().len();
    let of_image = [format!("f 0644 0:0 {size} f")];
    let own = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
    let of_git = &[
        "f 0644 0:0 34 .gitattributes",
        "f 0644 0:0 3 a",
        "l 0777 0:0 link -> a",
        "d 0755 0:0 sub",
        "f 0755 0:0 2 sub/run",
    ];
    for (value, want) in [
        (directory.clone(), own(&["d 0755 0:0 d", "f 0644 0:0 1 f"])),
        (url.clone(), own(&["d 0755 0:0 d", "f 0644 0:0 0 d/g", "f 0644 0:0 3 f"])),
        (git.clone(), own(of_git)),
        ("docker-image://localhost/base:1".to_owned(), of_image.to_vec()),
        ("container-image://base:1".to_owned(), of_image.to_vec()),
        ("docker://base:1".to_owned(), of_image.to_vec()),
        (format!("oci-layout://{}", layout.display()), of_image.to_vec()),
        (format!("oci-layout://{}:v1", layout.display()), of_image.to_vec()),
        (format!("oci-layout://{}@{digest}", layout.display()), of_image.to_vec()),
        ("target:other".to_owned(), own(&["f 0644 0:0 2 f"])),
    ] {
        let context = format!("ctx={value}");
        let stage = "FROM scratch AS other\nCOPY <<f /\n1\nf\n";
        let last = "FROM ctx\nCOPY --from=ctx / /one/\nCOPY --from=CTX:latest . /two/\n";
        build(world, &[&context], &format!("{stage}{last}")).good();
        let places = ["", "one/", "two/"].into_iter();
        let mut all: Vec<String> =
            places.flat_map(|place| want.iter().map(move |line| below(place, line))).collect();
        all.extend(["d 0755 0:0 one".to_owned(), "d 0755 0:0 two".to_owned()]);
        all.sort_unstable();
        let mut found = tree(world, "x");
        found.sort_unstable();
        assert_eq!(found, all, "{value}");
    }
    // a layout's image comes with its config, and gets no name
    build(world, &[&format!("ctx=oci-layout://{}", layout.display())], "FROM ctx\n").good();
    assert_eq!(world.config("x")["config"]["Labels"]["made"], "by");
    assert!(!world.run(&["images"]).good().stdout.contains("layout"));
}

#[test]
fn a_context_goes_before_stages_and_images() {
    let world = World::new();
    let directory = other(&world);
    let context = |name: &str| format!("{name}={directory}");
    let stage = "FROM nowhere.invalid/none AS stage\nRUN false\nFROM scratch\n";
    for (name, file) in [
        // neither the stage nor its base is looked at
        ("stage", format!("{stage}COPY --from=stage f /\n")),
        ("stage", format!("{stage}COPY --from=0 f /\n")),
        ("stage", "FROM nowhere.invalid/none AS Stage\nRUN false\nFROM stage\n".to_owned()),
        ("stage", "FROM nowhere.invalid/none AS stage\nRUN false\n".to_owned()),
        ("nowhere.invalid/none", "FROM nowhere.invalid/none:latest\n".to_owned()),
        ("alpine", "FROM docker.io/library/alpine\n".to_owned()),
        ("docker.io/library/alpine:latest", "FROM alpine\n".to_owned()),
        ("h.invalid/a:1", "FROM scratch\nCOPY --from=h.invalid/a:1 f /\n".to_owned()),
    ] {
        build(&world, &[&context(name)], &file).good();
        assert!(tree(&world, "x").contains(&"f 0644 0:0 1 f".to_owned()), "{name}: {file}");
    }
    // another stage in its place, without its own steps
    let file = "FROM scratch AS a\nCOPY <<one /\n1\none\nFROM nowhere.invalid/none AS b\nRUN false\nFROM b\n";
    build(&world, &["b=target:a"], file).good();
    assert_eq!(tree(&world, "x"), ["f 0644 0:0 2 one"]);
    // one for the platform, and the last of a name
    build(
        &world,
        &["c=/", &context("c::linux/arm64"), "c=target:s"],
        "FROM scratch AS s\nFROM --platform=linux/arm64 c\n",
    )
    .good();
    assert_eq!(tree(&world, "x"), ["d 0755 0:0 d", "f 0644 0:0 1 f"]);
    // a change of its files is seen, and nothing else does the step again
    let file = "FROM scratch\nCOPY --from=c f /\n";
    build(&world, &[&context("c")], file).good();
    assert!(build(&world, &[&context("c")], file).good().stdout.contains("Using cache"));
    fs::write(Path::new(&directory).join("f"), "ff").unwrap();
    assert!(!build(&world, &[&context("c")], file).good().stdout.contains("Using cache"));
    assert_eq!(tree(&world, "x"), ["f 0644 0:0 2 f"]);
}

#[test]
fn a_wrong_context_is_told_when_it_is_asked_for() {
    let world = World::new();
    let directory = other(&world);
    world.file("f", "f");
    let text = World::new();
    text.file("Dockerfile", "FROM scratch\n");
    let layout = world.path("layout");
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    fs::write(layout.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
    let zeros = "0".repeat(64);
    let index = format!(
        "{{\"schemaVersion\":2,\"manifests\":[{{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
         \"digest\":\"sha256:{zeros}\",\"size\":2,\"annotations\":{{\"org.opencontainers.image.ref.name\":\"v1\"}}}}]}}"
    );
    fs::write(layout.join("index.json"), index).unwrap();
    fs::write(layout.join("blobs/sha256").join(&zeros), "{}").unwrap();
    let server = Server::start(|request, _| match &*request.path {
        "/text" => Answer(200, Vec::new(), b"FROM scratch\n".to_vec()),
        _ => Answer(404, Vec::new(), Vec::new()),
    });
    let url = |path: &str| format!("c=http://u:secret@{}/{path}", server.address());
    let layout = format!("c=oci-layout://{}", layout.display());
    build(&world, &[], "FROM scratch\n").good();
    let before = files(&world);
    let use_it = "FROM scratch\nCOPY --from=c f /\n";
    for (context, file, want) in [
        ("c", use_it, "--build-context c: expected NAME=VALUE"),
        ("c=none", use_it, "--build-context c: none: No such file or directory"),
        ("c=/dev/null", use_it, "--build-context c: /dev/null: not a directory"),
        ("c=-", use_it, "standard input can only be the main context"),
        ("c=ftp://h/x", use_it, "the scheme \"ftp\" is not one of"),
        ("scratch=.", use_it, "scratch cannot be another context"),
        ("a b=.", use_it, "\"a b\" is no name of a context"),
        (
            "c=target:later",
            "FROM c AS x\nFROM scratch AS later\nFROM x\n",
            "no stage of that name stands before this one",
        ),
        (
            "a=target:a",
            "FROM scratch AS a\nFROM a\n",
            "the context \"a\" is target:a, and no stage of that name",
        ),
        (&url("text"), use_it, "/text) is no tar archive"),
        (&url("none"), use_it, "/none: HTTP 404 Not Found"),
        (
            &format!("c={directory}"),
            "FROM scratch\nCOPY --from=c none /\n",
            "no items matching \"none\" in the context \"c\" (",
        ),
        (
            &format!("c={directory}"),
            "FROM scratch\nCOPY --from=c d/hidden /\n",
            "(the ignore file excludes it)",
        ),
        (&layout, use_it, "expected 2; the layout is damaged"),
        (&format!("{layout}:v2"), use_it, "no image \"v2\" in the layout; it has: v1"),
        (
            "c=oci-layout:///nowhere",
            use_it,
            "\"/nowhere\" is no OCI image layout: /nowhere/oci-layout: No such file",
        ),
        ("c=docker-image://A", use_it, "the repository must be lower case"),
    ] {
        let said = build(&world, &[context], file);
        assert!(!said.stderr.contains("secret"), "{}", said.stderr);
        said.fails(125, want);
        // what nobody asks for is not fetched
        if context.contains("://")
            && context.starts_with("c=")
            && !want.contains("lower")
            && !want.contains("scheme")
        {
            build(&world, &[context], "FROM scratch\n").good();
        }
    }
    server.seen();
    // the builds that succeeded in between are recorded
    let unrecorded = |files: &str| {
        let others = files.lines().filter(|file| !file.starts_with("rbuild/builds/"));
        others.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(unrecorded(&files(&world)), unrecorded(&before), "the store is as it was");
    // an archive's names are judged as those of the main context
    forge(&world, "t.tar", "add('../x', b'')");
    let archive = fs::read(world.context().join("t.tar")).unwrap();
    let server = Server::start(move |_, _| Answer(200, Vec::new(), archive.clone()));
    let context = format!("c=http://{}/t.tar", server.address());
    build(&world, &[&context], use_it).fails(125, "name climbs out of the root");
}
