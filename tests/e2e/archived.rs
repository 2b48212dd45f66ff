//! Images in files of other tools: `from`, `pull` and `commit` by `oci-archive:`, `docker-archive:` and `dir:`.

use std::fs;

use crate::support::{World, tool};

/// A store with the image `made` of two layers, the second with `x` and a label.
fn made() -> World {
    let world = World::new();
    world.file("f", "f").file("x", "x");
    world.build("FROM scratch\nCOPY f /\nCOPY --chown=7:8 x /d/\nLABEL a=b\n", &["-q", "-t", "made"]).good();
    world
}

#[test]
fn images_of_other_tools_are_taken_and_given() {
    let world = made();
    let tree = world.tree("made");
    world.run(&["from", "--name", "c", "made"]).good();
    let path = |name: &str| world.path(name).display().to_string();
    let [oci, docker, given, packed] = ["oci.tar", "docker.tar", "given", "docker.tar.gz"].map(&path);
    for place in [
        format!("oci-archive:{oci}:tag"),
        format!("docker-archive:{docker}:localhost/a:b"),
        format!("dir:{given}"),
    ] {
        world.run(&["commit", "-q", "c", &place]).good();
        // skopeo takes them for what they are said to be.
        assert_eq!(
            tool("skopeo", &["inspect", "--format", "{{.Labels}}", &place]).trim(),
            "map[a:b]",
            "{place}"
        );
    }
    let [theirs_oci, theirs_docker, theirs_dir] = ["their-oci.tar", "their-docker.tar", "theirs"].map(path);
    let whole = format!("oci-archive:{oci}:tag");
    for place in [
        format!("oci-archive:{theirs_oci}:v1"),
        format!("docker-archive:{theirs_docker}:localhost/it:v1"),
        format!("dir:{theirs_dir}"),
    ] {
        tool("skopeo", &["copy", "-q", "--insecure-policy", &whole, &place]);
    }
    fs::write(&packed, tool_bytes("gzip", &["-c", &docker])).unwrap();
    for (place, name) in [
        (format!("oci-archive:{oci}:tag"), "oci.tar-working-container"),
        (format!("oci-archive:{theirs_oci}"), "their-oci.tar-working-container"),
        (format!("docker-archive:{docker}"), "docker.tar-working-container"),
        (format!("docker-archive:{theirs_docker}:localhost/it:v1"), "their-docker.tar-working-container"),
        (format!("docker-archive:{packed}:a:b"), "docker.tar.gz-working-container"),
        (format!("dir:{given}"), "given-working-container"),
        (format!("dir:{theirs_dir}"), "theirs-working-container"),
    ] {
        let other = World::new();
        assert_eq!(other.run(&["from", &place]).good().stdout.trim_end(), name, "{place}");
        let label = ["inspect", "-f", "{{.OCIv1.Config.Labels}}", name];
        assert_eq!(other.run(&label).good().stdout, "map[a:b]", "{place}");
        other.run(&["commit", "-q", name, "again"]).good();
        assert_eq!(other.tree("again"), tree, "{place}");
        let id = other.run(&["pull", "-q", &place]).good().id();
        assert_eq!(other.run(&["inspect", "-f", "{{.FromImageID}}", &id]).good().stdout, id, "{place}");
        assert_eq!(
            fs::read_dir(other.store().join("tmp")).unwrap().count(),
            0,
            "{place}: nothing is left over"
        );
    }
    for place in [format!("dir:{given}"), format!("oci-archive:{oci}:tag")] {
        let again = world.run(&["commit", "-q", "c", &place]);
        assert_eq!(again.code, if place.starts_with("dir:") { 125 } else { 0 }, "{place}: {}", again.stderr);
    }
}

/// What a program writes, which may be no text.
fn tool_bytes(name: &str, args: &[&str]) -> Vec<u8> {
    let output = std::process::Command::new(name).args(args).output().unwrap();
    assert!(output.status.success(), "{name} {args:?}");
    output.stdout
}

#[test]
fn what_is_no_such_archive_is_refused_and_leaves_nothing() {
    let world = made();
    let path = |name: &str| world.path(name).display().to_string();
    world.run(&["from", "--name", "c", "made"]).good();
    let [oci, docker, dir] = [path("o.tar"), path("d.tar"), path("dir")];
    for place in [
        format!("oci-archive:{oci}:tag"),
        format!("docker-archive:{docker}:localhost/a:b"),
        format!("dir:{dir}"),
    ] {
        world.run(&["commit", "-q", "c", &place]).good();
    }
    fs::write(
        world.path("text"),
        "no tar at all, but a text that is longer than a header of a tar".repeat(20),
    )
    .unwrap();
    let text = path("text");
    // A layer of the directory with another byte in it.
    let largest = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
    let largest = largest.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&largest).unwrap();
    bytes[512] ^= 1;
    fs::write(&largest, bytes).unwrap();
    let empty = path("empty");
    fs::create_dir(&empty).unwrap();
    let before = world.run(&["images", "-a", "-q"]).good().stdout;
    for (place, told) in [
        (format!("oci-archive:{oci}:other"), "no image \"other\" in the layout; it has: tag"),
        (format!("oci-archive:{docker}:x"), "no image \"x\""),
        (format!("oci-archive:{text}"), "text\" is nothing for oci-archive"),
        (format!("docker-archive:{text}"), "text\" is nothing for docker-archive"),
        (format!("docker-archive:{oci}"), "manifest.json is missing"),
        (format!("docker-archive:{docker}:c:d"), "no image c:d in the layout; it has: localhost/a:b"),
        ("docker-archive:/absent.tar".to_owned(), "/absent.tar"),
        ("oci-archive:".to_owned(), "expected PATH"),
        ("docker-archive:".to_owned(), "expected PATH"),
        (format!("dir:{empty}"), "empty\" is nothing for dir"),
        ("containers-storage:made".to_owned(), "the stores of other tools are not read"),
        ("docker-daemon:made".to_owned(), "docker-daemon: is not supported"),
    ] {
        let said = world.run(&["from", &place]).fails(125, told);
        assert!(!said.stderr.contains("/store/tmp/"), "{place}: {}", said.stderr);
        world.run(&["pull", &place]).fails(125, told);
    }
    // A store that has the layer does not read it again.
    let other = World::new();
    other.run(&["from", &format!("dir:{dir}")]).fails(125, "the layout is damaged");
    assert_eq!(other.run(&["images", "-a", "-q"]).good().stdout, "");
    assert_eq!(world.run(&["images", "-a", "-q"]).good().stdout, before);
    assert_eq!(world.run(&["containers", "-q"]).good().stdout.lines().count(), 1);
}
