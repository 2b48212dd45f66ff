//! What is asked of an image as a whole: labels and variables, format, layers; and the files that tell of it.

use serde_json::{Value, json};

use crate::support::{World, provided, tool};

/// A stage with an earlier one, and three layers of its own.
const FILE: &str = "FROM scratch AS a\nCOPY one /d/one\nCOPY one /d/gone\nENV A=own P=stays\nLABEL k=v l=theirs\n\
    FROM a\nCOPY two /d/two\nCOPY two /d/one\nENV B=$A\nCOPY one /z\n";

fn world() -> World {
    let world = World::new();
    world.file("one", "1").file("two", "22");
    world
}

#[test]
fn labels_come_last_and_variables_first() {
    let world = world();
    let args =
        ["--label", "l=ours", "--label", "bare", "--env", "A=cl", "--unsetenv", "P", "--annotation", "n=m"];
    world.build(FILE, &[&args[..], &["-t", "x"]].concat()).good();
    let config = world.config("x");
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(config["config"]["Env"], json!([path, "A=cl", "B=cl"]), "ENV sees what the command line set");
    assert_eq!(config["config"]["Labels"], json!({"k": "v", "l": "ours", "bare": ""}));
    let history: Vec<&str> = config["history"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["created_by"].as_str())
        .collect();
    assert_eq!(history[4], "ENV A=cl", "{history:?}");
    assert_eq!(history.last(), Some(&"LABEL l=ours bare="), "{history:?}");
    let said = world.run(&["inspect", "x"]).good();
    assert_eq!(serde_json::from_str::<Value>(&said.stdout).unwrap()["ImageAnnotations"], json!({"n": "m"}));
    world.build(FILE, &["--label", "=x"]).fails(125, "--label \"=x\": expected NAME=VALUE");
    world.build(FILE, &["--annotation", "a=b", "--format", "docker"]).fails(125, "has no annotations");
    let mut command = world.command();
    command.env("BUILDAH_FORMAT", "vhs").args(["bud", world.context().to_str().unwrap()]);
    crate::support::Said::of(command.output().unwrap())
        .fails(125, "BUILDAH_FORMAT=\"vhs\": expected oci or docker");
}

#[test]
fn the_base_and_what_is_taken_over_of_it_can_be_chosen() {
    let world = world();
    world.build("FROM scratch\nCOPY one /base\nLABEL a=base b=base\n", &["-t", "base"]).good();
    let file = "FROM scratch AS first\nLABEL b=own\nFROM first\nCOPY two /two\n";
    for (args, files, labels) in [
        (&[][..], &["f 0644 0:0 2 two"][..], json!({"b": "own"})),
        (
            &["--from", "localhost/base"],
            &["f 0644 0:0 1 base", "f 0644 0:0 2 two"],
            json!({"a": "base", "b": "own"}),
        ),
        (
            &["--from", "localhost/base", "--inherit-labels=false"],
            &["f 0644 0:0 1 base", "f 0644 0:0 2 two"],
            json!({"b": "own"}),
        ),
        (
            &[
                "--from",
                "other",
                "--build-context",
                "other=docker-image://localhost/base",
                "--inherit-labels=false",
            ],
            &["f 0644 0:0 1 base", "f 0644 0:0 2 two"],
            json!({"b": "own"}),
        ),
    ] {
        let said = world.build(file, &[&["-t", "x"], args].concat()).good();
        let tree = world.tree("x");
        let tree: Vec<_> = tree.iter().filter_map(|line| line.split(" #").next()).collect();
        assert_eq!(tree, files, "{args:?}");
        assert_eq!(world.config("x")["config"]["Labels"], labels, "{args:?}");
        if let [_, base, ..] = args {
            assert!(said.stdout.contains(&format!("FROM {base} AS first")), "{}", said.stdout);
        }
    }
    world.build(file, &["--from", "No Name"]).fails(125, "No Name");
}

#[test]
fn an_image_tells_when_and_how_it_was_made_as_asked() {
    let world = world();
    let created = "org.opencontainers.image.created";
    for (args, annotations, history) in [
        (&[][..], json!({}), 2),
        (&["--created-annotation", "--timestamp", "7"], json!({created: "1970-01-01T00:00:07Z"}), 2),
        (
            &["--created-annotation", "--annotation", "org.opencontainers.image.created=x"],
            json!({created: "x"}),
            2,
        ),
        (&["--created-annotation=false", "--omit-history"], json!({}), 0),
        (&["--omit-history", "--squash"], json!({}), 0),
        (&["--omit-history=false", "--squash"], json!({}), 2),
    ] {
        world.build("FROM scratch\nCOPY one /\nCOPY two /\n", &[&["-t", "x"], args].concat()).good();
        let image: Value = serde_json::from_str(&world.run(&["inspect", "x"]).good().stdout).unwrap();
        assert_eq!(image["ImageAnnotations"], annotations, "{args:?}");
        assert_eq!(world.config("x")["history"].as_array().map_or(0, Vec::len), history, "{args:?}");
    }
    world
        .build("FROM scratch\nCOPY one /\n", &["--created-annotation", "--format", "docker"])
        .fails(125, "--created-annotation: a manifest of Docker's format has no annotations");
}

#[test]
fn layers_become_one_and_the_tree_stays() {
    let world = world();
    let base = "FROM scratch\nCOPY one /base/kept\nCOPY one /base/gone\n";
    world.build(base, &["-t", "base"]).good();
    let file = FILE.replace("FROM scratch", "FROM localhost/base");
    world.build(&file, &["-t", "each"]).good();
    let want = world.tree("each");
    // Layers, then how many entries of the history there are, and which of them have a layer.
    for (args, layers, history, with_layer) in [
        (&["-t", "each"][..], 7, 10, 7),
        (&["-t", "new", "--layers=false"], 3, 10, 3),
        (&["-t", "all", "--squash"], 1, 8, 1),
        (&["-t", "both", "--squash", "--layers=false"], 1, 8, 1),
    ] {
        world.build(&file, args).good();
        let name = args[1];
        let config = world.config(name);
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), layers, "{args:?}");
        let entries = config["history"].as_array().unwrap();
        let empty = entries.iter().filter(|entry| entry["empty_layer"] == true).count();
        assert_eq!((entries.len(), entries.len() - empty), (history, with_layer), "{args:?}\n{entries:#?}");
        assert_eq!(world.tree(name), want, "{args:?}");
        // What was merged may be built upon, and is remembered.
        world.build(&format!("FROM localhost/{name}\nCOPY --from=localhost/{name} /d/two /w\n"), &[]).good();
        let image: Value = serde_json::from_str(&world.run(&["inspect", name]).good().stdout).unwrap();
        assert_eq!(world.build(&file, args).good().id(), image["FromImageID"], "{args:?}");
    }
}

#[test]
fn a_file_that_is_removed_does_not_come_back_by_merging() {
    let world = world();
    world.busybox();
    let file = format!(
        "{}FROM base\nCOPY two /d/two\nRUN rm -r /d && mkdir /d && echo 3 > /d/three\nRUN rm /one\n",
        crate::build::BUSYBOX.replace("FROM scratch", "FROM scratch AS base")
            + "COPY one /one\nCOPY one /d/one\n"
    );
    world.build(&file, &["-t", "each"]).good();
    for args in [["-t", "new", "--layers=false"], ["-t", "all", "--squash"]] {
        world.build(&file, &args).good();
        assert_eq!(world.tree(args[1]), world.tree("each"), "{args:?}");
        assert!(
            !world.tree(args[1]).iter().any(|line| line.contains("d/one") || line.ends_with(" one")),
            "{args:?}"
        );
    }
}

#[test]
fn the_files_that_tell_of_an_image_are_whole_or_absent() {
    let world = world();
    let (id, raw, metadata) = (world.path("id"), world.path("raw"), world.path("metadata"));
    let words = [&id, &raw, &metadata].map(|path| path.to_str().unwrap().to_owned());
    let args = [
        "--iidfile",
        &words[0],
        "--iidfile-raw",
        &words[1],
        "--metadata-file",
        &words[2],
        "-t",
        "x",
        "-t",
        "y:1",
    ];
    let said = world.build(FILE, &args).good();
    let image: Value = serde_json::from_str(&world.run(&["inspect", "x"]).good().stdout).unwrap();
    let read = |path| std::fs::read_to_string(path).unwrap();
    assert_eq!((read(&id), read(&raw)), (format!("sha256:{}", said.id()), said.id()));
    let told: Value = serde_json::from_str(&read(&metadata)).unwrap();
    assert_eq!(told["containerimage.config.digest"], format!("sha256:{}", said.id()));
    assert_eq!(told["containerimage.digest"], image["FromImageDigest"]);
    assert_eq!(told["containerimage.descriptor"]["digest"], image["FromImageDigest"]);
    assert_eq!(told["image.name"], "localhost/x:latest,localhost/y:1");
    // A build that fails leaves them as they were.
    world.build("FROM scratch\nCOPY none /\n", &args).fails(125, "no items matching");
    assert_eq!(read(&raw), said.id());
    let nowhere = world.path("none/id").display().to_string();
    world.build(FILE, &["--iidfile", &nowhere]).fails(125, "none/id: No such file or directory");
}

#[test]
fn docker_has_its_media_types_as_skopeo_sees_them() {
    let Some(registry) = provided("RBUILD_TEST_REGISTRY") else { return };
    let world = world();
    let name = format!("{registry}/e2e/docker:1");
    world.build(&format!("{FILE}HEALTHCHECK CMD true\n"), &["-t", &name, "--format", "docker"]).good();
    world.run(&["push", &name]).good();
    let inspect = |words: &[&str]| {
        let image = format!("docker://{name}");
        tool("skopeo", &[&["inspect", "--raw", "--tls-verify=false"], words, &[&image]].concat())
    };
    let manifest: Value = serde_json::from_str(&inspect(&[])).unwrap();
    assert_eq!(manifest["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.docker.container.image.v1+json");
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 5);
    for layer in layers {
        assert_eq!(layer["mediaType"], "application/vnd.docker.image.rootfs.diff.tar.gzip");
    }
    let config: Value = serde_json::from_str(&inspect(&["--config"])).unwrap();
    assert_eq!(config["config"]["Healthcheck"]["Test"], json!(["CMD-SHELL", "true"]));
    // A base of Docker's types is built upon in either format.
    for (format, media_type) in
        [("docker", "docker.image.rootfs.diff.tar.gzip"), ("oci", "oci.image.layer.v1.tar+gzip")]
    {
        let other = World::new();
        other.build(&format!("FROM {name}\nENV A=b\n"), &["-t", "x", "--format", format]).good();
        let said = other.run(&["inspect", "x"]).good().stdout;
        let image: Value = serde_json::from_str(&said).unwrap();
        let manifest: Value = serde_json::from_str(image["Manifest"].as_str().unwrap()).unwrap();
        assert_eq!(manifest["layers"][0]["mediaType"], format!("application/vnd.{media_type}"), "{format}");
    }
}
