//! One build for several platforms: an image each, a list of them, and that list in a registry.

use std::fs;

use serde_json::{Value, json};

use crate::support::{World, provided, tool};

const FILE: &str = "FROM --platform=$BUILDPLATFORM scratch AS tools\nCOPY one /tool\n\
    FROM scratch\nARG TARGETPLATFORM\nARG TARGETARCH\nARG TARGETVARIANT\nCOPY --from=tools /tool /bin/tool-$TARGETARCH$TARGETVARIANT\n\
    LABEL for=$TARGETPLATFORM\n";
const THREE: &str = "--platform=linux/amd64,linux/arm64,linux/arm/v7,linux/arm64/v8";

fn world() -> World {
    let world = World::new();
    world.file("one", "1");
    world
}

/// `os/architecture[/variant]` of every entry of an index.
fn entries(index: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entry = |entry: &Value| {
        let platform = &entry["platform"];
        let variant = platform.get("variant").map(|variant| format!("/{}", word(variant)));
        format!(
            "{}/{}{}",
            word(&platform["os"]),
            word(&platform["architecture"]),
            variant.unwrap_or_default()
        )
    };
    index["manifests"].as_array().unwrap().iter().map(entry).collect()
}

#[test]
fn several_platforms_become_one_list_and_travel_as_one() {
    let Some(registry) = provided("RBUILD_TEST_REGISTRY") else { return };
    let world = world();
    let (name, metadata) =
        (format!("{registry}/e2e/platforms:1"), world.path("metadata").display().to_string());
    let said = world.build(FILE, &[THREE, "-t", &name, "--metadata-file", &metadata]).good();
    assert_eq!(said.stdout.matches("COPY one /tool").count(), 3);
    assert_eq!(
        said.stdout.matches("--> Using cache").count(),
        2,
        "the tools are built once\n{}",
        said.stdout
    );
    let told: Value = serde_json::from_str(&fs::read_to_string(&metadata).unwrap()).unwrap();
    assert_eq!(told["containerimage.digest"], format!("sha256:{}", said.id()));
    assert_eq!(told["containerimage.descriptor"]["mediaType"], "application/vnd.oci.image.index.v1+json");

    // Whoever asks for the name gets the image for this machine; whoever builds on it, the one it is built for.
    let host = if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" };
    assert_eq!(world.config(&name)["config"]["Labels"]["for"], host);
    let listed: Value = serde_json::from_str(&world.run(&["images", "--json"]).good().stdout).unwrap();
    assert_eq!(listed.as_array().unwrap().iter().filter(|image| image["names"] == json!([name])).count(), 3);
    world
        .build(&format!("FROM {name}\n"), &["--platform", "linux/arm/v7", "--pull=never", "-t", "arm"])
        .good();
    let arm = world.config("arm");
    assert_eq!(
        (&arm["architecture"], &arm["variant"], &arm["config"]["Labels"]["for"]),
        (&json!("arm"), &json!("v7"), &json!("linux/arm/v7"))
    );
    assert_eq!(world.tree("arm").last().unwrap().split(' ').nth(4), Some("bin/tool-armv7"));

    world.run(&["push", &name]).good();
    let raw = tool("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
    let index: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(entries(&index), ["linux/amd64", "linux/arm64", "linux/arm/v7"]);
    // Each is there, packed, and is what its entry says.
    for (architecture, variant) in [("amd64", ""), ("arm64", ""), ("arm", "v7")] {
        let other = world.path(&format!("copy-{architecture}")).display().to_string();
        let image = format!("docker://{name}");
        let mut args = vec!["--override-arch", architecture];
        if !variant.is_empty() {
            args.extend(["--override-variant", variant]);
        }
        args.extend(["copy", "--quiet", "--src-tls-verify=false", &image]);
        let to = format!("oci:{other}:x");
        args.push(&to);
        tool("skopeo", &args);
        let config = tool("skopeo", &["inspect", "--config", "--raw", &format!("oci:{other}:x")]);
        let config: Value = serde_json::from_str(&config).unwrap();
        assert_eq!(config["architecture"], architecture);
    }
    // What was pushed is pulled by platform.
    let other = World::new();
    other.run(&["pull", "--platform", "linux/arm64", &name]).good();
    assert_eq!(other.config(&name)["architecture"], "arm64");
    // And the list goes with its name, and its images with it.
    world.run(&["rmi", "arm"]).good();
    world.run(&["rmi", &name]).good();
    let left = world.run(&["images", "-q"]).good().stdout;
    assert_eq!(left, "", "nothing is left");
}

#[test]
fn a_list_is_added_to_platform_by_platform() {
    let world = world();
    for (platform, tag) in [("linux/amd64", "a:1"), ("linux/arm64", "a:2"), ("linux/amd64", "a:3")] {
        let label = format!("n={tag}");
        let args = ["--platform", platform, "--manifest", "list", "-t", tag, "--label", &label];
        world.build(FILE, &args).good();
        assert_eq!(world.config(tag)["config"]["Labels"]["n"], tag);
    }
    let index: Value = serde_json::from_slice(&fs::read(world.store().join("index.json")).unwrap()).unwrap();
    let named = |name: &str| {
        let entry = index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == name);
        let digest =
            entry.unwrap_or_else(|| panic!("{name}: {index}"))["digest"].as_str().unwrap().to_owned();
        fs::read(world.store().join("blobs/sha256").join(&digest["sha256:".len()..])).unwrap()
    };
    let list: Value = serde_json::from_slice(&named("localhost/list:latest")).unwrap();
    assert_eq!(entries(&list), ["linux/arm64", "linux/amd64"], "the last for a platform stands for it");
    world
        .build(FILE, &["--manifest", "x", "-t", "x"])
        .fails(125, "the same name for the image and for the list");
}

#[test]
fn an_image_of_a_list_is_not_removed_by_the_way() {
    let world = world();
    let build = |args: &[&str]| world.build(FILE, &[&[THREE], args].concat()).good().id();
    let ids = || -> Vec<String> {
        let said = world.run(&["images", "-q", "--no-trunc"]).good();
        let mut ids: Vec<_> = said.stdout.lines().map(|id| id["sha256:".len()..].to_owned()).collect();
        ids.sort_unstable();
        ids
    };
    build(&["-t", "x"]);
    let all = ids();
    assert_eq!(all.len(), 3);
    let refused = world.run(&["rmi", &all[1]]).fails(125, "is one of several in the list localhost/x:latest");
    assert!(
        refused.stderr.contains("hint: rbuild rmi localhost/x:latest removes them all"),
        "{}",
        refused.stderr
    );
    assert_eq!(ids(), all, "refused, nothing is gone");
    // By force that one goes, and the list; the others stay.
    let said = world.run(&["rmi", "--force", &all[1]]).good();
    assert_eq!(said.stdout, format!("untagged: localhost/x:latest\n{}\n", all[1]));
    assert_eq!(ids(), [&all[0][..], &all[2]]);
    world.run(&["tag", &all[2], "kept"]).good();
    // By a name and by the digest the whole list goes, and every image that went is told.
    let list = build(&["-t", "x", "-t", "y"]);
    assert_eq!(world.run(&["rmi", "x"]).good().stdout, "untagged: localhost/x:latest\n");
    world.run(&["tag", &all[0], "mine"]).good();
    world.run(&["rmi", &all[0]]).fails(125, "is one of several in the list localhost/y:latest");
    assert_eq!(world.run(&["rmi", "mine"]).good().stdout, "untagged: localhost/mine:latest\n");
    for given in ["y", &list[..16]] {
        let said = world.run(&["rmi", given]).good();
        let mut gone: Vec<&str> = said.stdout.lines().collect();
        gone.sort_unstable();
        assert_eq!(gone, [&all[0][..], &all[1], "untagged: localhost/y:latest"], "{given}");
        assert_eq!(ids(), [&all[2][..]], "{given}: the one that has a name of its own");
        build(&["-t", "y"]);
    }
    let said = world.run(&["rmi", "--all"]).good().stdout;
    assert!(all.iter().all(|id| said.contains(&format!("{id}\n"))), "{said}");
    assert_eq!(ids(), [""; 0]);
}

#[test]
fn trees_of_several_platforms_have_directories_of_their_own() {
    let world = world();
    let (out, tar) = (world.path("out"), world.path("out.tar").display().to_string());
    world.build(FILE, &[THREE, "-o", out.to_str().unwrap(), "-o", &tar]).good();
    for (directory, tool) in [("linux_amd64", "amd64"), ("linux_arm64", "arm64"), ("linux_arm_v7", "armv7")] {
        assert!(out.join(directory).join(format!("bin/tool-{tool}")).is_file(), "{directory}");
    }
    let listed = tool("tar", &["-tf", &tar]);
    assert!(listed.contains("linux_arm_v7/bin/tool-armv7\n"), "{listed}");
    let spec = format!("type=docker,dest={}", world.path("d.tar").display());
    world.build(FILE, &[THREE, "-o", &spec]).fails(125, "holds one platform alone");
    let archive = world.path("oci.tar").display().to_string();
    world.build(FILE, &[THREE, "-o", &format!("type=oci,dest={archive}"), "-t", "x:1"]).good();
    let raw = tool("skopeo", &["inspect", "--raw", &format!("oci-archive:{archive}:1")]);
    assert_eq!(entries(&serde_json::from_str(&raw).unwrap()), ["linux/amd64", "linux/arm64", "linux/arm/v7"]);
}

#[test]
fn trees_of_several_platforms_share_directories_and_no_file() {
    let world = world();
    let (out, tar) = (world.path("out"), world.path("out.tar"));
    let specs = [("local", &out), ("tar", &tar)]
        .map(|(kind, to)| format!("type={kind},dest={},platform-split=false", to.display()));
    for spec in &specs {
        let said = world.build("FROM scratch\nCOPY one /etc/one\n", &[THREE, "-o", spec]);
        said.fails(125, "\"etc/one\": linux/amd64 and linux/arm64 both have it");
    }
    assert!(!out.exists() && !tar.exists());
    world.build(FILE, &[THREE, "-o", &specs[0], "-o", &specs[1]]).good();
    let listed = tool("tar", &["-tf", tar.to_str().unwrap()]);
    for name in ["bin/tool-amd64", "bin/tool-arm64", "bin/tool-armv7"] {
        assert!(out.join(name).is_file(), "{name}");
        assert!(listed.lines().any(|line| line == name), "{name}: {listed}");
    }
}

#[test]
fn stages_are_saved_as_images_of_their_own() {
    let world = world();
    let file = "FROM scratch AS one\nCOPY one /1\nFROM one\nCOPY one /2\nFROM scratch AS unused\nCOPY one /3\n\
        FROM scratch\nCOPY --from=1 /2 /4\n";
    let said = world.build(file, &["--save-stages", "--stage-labels", "-t", "x"]).good();
    let saved: Vec<(String, String)> = said
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("--> Saved stage ")?.split_once(" as "))
        .map(|(stage, id)| (stage.to_owned(), id.to_owned()))
        .collect();
    assert_eq!(saved.len(), 2, "{}", said.stdout);
    for (stage, id) in &saved {
        let config = world.config(id);
        assert_eq!(config["config"]["Labels"]["io.buildah.stage.name"], *stage);
        let base = if stage == "one" { "scratch" } else { "one" };
        assert_eq!(config["config"]["Labels"]["io.buildah.stage.base"], base);
        assert_eq!(
            config["rootfs"]["diff_ids"].as_array().unwrap().len(),
            if stage == "one" { 1 } else { 2 }
        );
    }
    assert!(world.config("x")["config"].get("Labels").is_none(), "the labels stay with the stages");
    let listed = world.run(&["images", "-q", "-a"]).good().stdout;
    assert_eq!(listed.lines().count(), 3, "{listed}");
    world.build(file, &["--stage-labels"]).fails(125, "--save-stages");
}
