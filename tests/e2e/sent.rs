//! `push` in other media types, packed or not, and to files; `pull` of all tags.

use crate::login::Registry;
use crate::support::{World, tool};

#[test]
fn images_are_sent_in_the_form_that_is_asked_for() {
    let world = World::new();
    let Some(registry) = Registry::start(&world) else { return };
    let host = registry.address.to_string();
    world.file("f", "f");
    world.build("FROM scratch\nCOPY f /\nLABEL a=b\n", &["-q", "-t", "oci", "--annotation", "x=y"]).good();
    world.build("FROM scratch\nCOPY f /\nLABEL a=b\n", &["-q", "-t", "docker", "--format", "docker"]).good();
    let push = |args: &[&str], to: &str| {
        let creds = ["push", "-q", "--creds", "user:secret"];
        world.run(&[&creds, args, &[to]].concat())
    };
    let raw = |name: &str| {
        let from = format!("docker://{host}/{name}");
        tool("skopeo", &["inspect", "--raw", "--tls-verify=false", "--creds", "user:secret", &from])
    };
    let (oci, docker) = ("application/vnd.oci.image", "application/vnd.docker");
    for (args, name, has, lacks) in [
        (&["oci"][..], "a:1", &["oci.image.layer.v1.tar+gzip", "\"x\""][..], docker),
        (&["-D", "oci"], "a:2", &["oci.image.layer.v1.tar\""], docker),
        (&["--format", "v2s2", "oci"], "a:3", &["rootfs.diff.tar.gzip", "container.image.v1"], oci),
        (&["--format", "v2s2", "-D", "oci"], "a:4", &["rootfs.diff.tar\""], "\"x\""),
        (&["--format", "oci", "docker"], "a:5", &["oci.image.layer.v1.tar+gzip", "oci.image.config"], docker),
        (&["--format", "v2s2", "docker"], "a:6", &["rootfs.diff.tar.gzip"], oci),
        (&["--compression-format", "zstd", "--all", "oci"], "a:7", &["tar+zstd"], docker),
    ] {
        push(args, &format!("{host}/{name}")).good();
        let manifest = raw(name);
        for part in has {
            assert!(manifest.contains(part), "{args:?}: {part}\n{manifest}");
        }
        assert!(!manifest.contains(lacks), "{args:?}: {lacks}\n{manifest}");
    }
    // Each tag is an image of its own, and the same files.
    let other = World::new();
    let pulled =
        other.run(&["pull", "-q", "-a", "--creds", "user:secret", &format!("{host}/a")]).good().stdout;
    assert_eq!(pulled.lines().count(), 7, "{pulled}");
    for tag in 1..=7 {
        assert_eq!(other.tree(&format!("{host}/a:{tag}")), world.tree("oci"), "{tag}");
    }
    // A list that has arrived may go.
    for (args, left) in [(&["list"][..], 0), (&["--rm", "list"], 1)] {
        world.run(&["manifest", "create", "--amend", "list", "oci"]).good();
        push(args, &format!("{host}/list")).good();
        assert_eq!(world.run(&["manifest", "exists", "list"]).code, left, "{args:?}");
    }
    world.run(&["manifest", "create", "list", "oci"]).good();

    let file = |name: &str| world.path(name).display().to_string();
    for place in [
        format!("oci-archive:{}", file("o.tar")),
        format!("docker-archive:{}:localhost/it:v1", file("d.tar")),
        format!("dir:{}", file("dir")),
        format!("oci:{}:tag", file("layout")),
    ] {
        assert_eq!(push(&["oci"], &place).good().stdout, "");
        let id = other.run(&["pull", "-q", &place]).good().id();
        assert_eq!(id, world.run(&["inspect", "-f", "{{.FromImageID}}", "oci"]).good().stdout, "{place}");
    }
    let (there, digest) = (format!("{host}/a:9"), file("digest"));
    for (args, to, told) in [
        (&["--format", "v2s1", "oci"][..], &*there, "schema 1 is obsolete"),
        (&["--format", "v2s2", "list"], &there, "list is a list, which goes as it is"),
        (&["--digestfile", &digest, "oci"], "dir:/nowhere", "--digestfile"),
        (&["--sign-by", "me", "oci"], &there, "--sign-by is an option of buildah's"),
        (&["oci"], "docker-daemon:x/y", "docker-daemon: is not supported"),
    ] {
        push(args, to).fails(125, told);
    }
    let tagged = format!("{host}/a:1");
    world.run(&["pull", "-a", &tagged]).fails(125, "says a tag or a digest");
    world.run(&["pull", "-a", "--creds", "user:secret", &format!("{host}/absent")]).fails(125, "absent");
}
