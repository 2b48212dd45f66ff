//! Where else a build goes: directories, tars, archives, registries; read back by skopeo, umoci and tar.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use serde_json::Value;

use crate::support::{Said, World, provided, tool};

/// Everything a file can be that needs no RUN; the device is in an archive.
const FILE: &str = "FROM scratch AS a\nCOPY --chmod=4755 one /d/suid\nCOPY --chown=5:6 --chmod=640 one /d/owned\n\
    FROM a\nADD kinds.tar /k/\nCOPY --chmod=600 two /d/owned\nWORKDIR /w\n";

fn world() -> World {
    let world = World::new();
    world.file("one", "1").file("two", "22");
    let kinds = world.path("kinds");
    fs::create_dir_all(kinds.join("sub")).unwrap();
    fs::write(kinds.join("file"), "x").unwrap();
    fs::hard_link(kinds.join("file"), kinds.join("sub/hard")).unwrap();
    std::os::unix::fs::symlink("../file", kinds.join("sub/soft")).unwrap();
    std::os::unix::fs::symlink("/etc", kinds.join("escape")).unwrap();
    fs::set_permissions(kinds.join("sub"), fs::Permissions::from_mode(0o555)).unwrap();
    let tar = world.context().join("kinds.tar").display().to_string();
    tool("tar", &["-C", kinds.to_str().unwrap(), "--owner=7", "--group=8", "-cf", &tar, "."]);
    fs::set_permissions(kinds.join("sub"), fs::Permissions::from_mode(0o755)).unwrap();
    world
}

fn is_root() -> bool {
    tool("id", &["-u"]).trim() == "0"
}

/// One line for everything below `directory`: mode, length or target, path.
fn listing(directory: &Path) -> Vec<String> {
    let format = if is_root() { "%M %U:%G %l %P\\n" } else { "%M %l %P\\n" };
    let mut lines: Vec<String> =
        tool("find", &[directory.to_str().unwrap(), "-mindepth", "1", "-printf", format])
            .lines()
            .map(str::to_owned)
            .collect();
    lines.sort();
    lines
}

#[test]
fn a_directory_gets_the_tree_and_keeps_what_it_had() {
    let world = world();
    let out = world.path("out");
    let spec = format!("type=local,dest={}", out.display());
    for (args, row) in [(["-o", out.to_str().unwrap()], "short, new"), (["-o", &spec], "long, over the same")]
    {
        world.build(FILE, &args).good();
        assert_eq!(fs::read_to_string(out.join("d/owned")).unwrap(), "22", "{row}");
        assert_eq!(fs::read_link(out.join("k/escape")).unwrap(), Path::new("/etc"), "{row}");
        assert_eq!(fs::metadata(out.join("k/file")).unwrap().nlink(), 2, "{row}");
        let mode = |path: &str| fs::metadata(out.join(path)).unwrap().mode() & 0o7777;
        assert_eq!(mode("d/owned"), 0o600, "{row}");
        assert_eq!(mode("k/sub"), 0o555, "{row}");
        assert_eq!(mode("d/suid"), if is_root() { 0o4755 } else { 0o755 }, "{row}");
        if is_root() {
            let meta = fs::metadata(out.join("k/file")).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (7, 8), "{row}");
        }
        fs::write(out.join("mine"), "kept").unwrap();
        assert!(!listing(&out).iter().any(|line| line.contains(".rbuild-")), "{row}: {:?}", listing(&out));
    }
    assert_eq!(fs::read_to_string(out.join("mine")).unwrap(), "kept");
    world.build(FILE, &["--timestamp", "7", "-o", out.to_str().unwrap()]).good();
    for path in ["d/owned", "k/sub", "k/file"] {
        assert_eq!(fs::metadata(out.join(path)).unwrap().mtime(), 7, "{path}");
    }
}

#[test]
fn a_directory_is_left_as_it_was_by_what_fails() {
    let world = world();
    let out = world.path("out");
    fs::create_dir_all(out.join("d/owned")).unwrap();
    fs::write(out.join("w"), "mine").unwrap();
    let before = listing(&out);
    let said = world.build(FILE, &["-o", out.to_str().unwrap(), "-t", "x"]);
    assert!(said.stderr.contains("is to go where"), "{}", said.stderr);
    assert_eq!(said.code, 125);
    assert_eq!(listing(&out), before);
    // The image is built all the same.
    world.run(&["inspect", "x"]).good();
    // A directory that a symlink stands for is not followed.
    let (other, elsewhere) = (world.path("other"), world.path("elsewhere"));
    fs::create_dir_all(&other).unwrap();
    fs::create_dir_all(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, other.join("d")).unwrap();
    world
        .build(FILE, &["-o", other.to_str().unwrap()])
        .fails(125, "a directory is to go where no directory is");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    // What was made for nothing goes again.
    let damaged = world.path("deep/new");
    fs::write(world.path("deep"), "a file").unwrap();
    world.build(FILE, &["-o", damaged.to_str().unwrap()]).fails(125, "deep");
    for (spec, text) in [
        ("type=tar,dest=/no/such/dir/x.tar", "the directory for it does not exist"),
        ("type=tar,push=true", "type=tar has no push="),
        ("type=registry", "nothing says where to push to"),
        ("type=registry,name=x:1", "names no registry to push to"),
        ("type=docker", "piped into docker load"),
    ] {
        let said = world.build(FILE, &["-o", spec]).fails(125, text);
        assert!(!said.stdout.contains("STEP"), "{spec}: refused before anything is built");
    }
    world.build(FILE, &["-o", "-", "-o", "type=oci"]).fails(125, "standard output can take one");
}

#[test]
fn a_tar_is_the_flattened_tree_on_paths_and_on_standard_output() {
    let world = world();
    let short = world.path("out.tar").display().to_string();
    let long = format!("type=tar,dest={}", world.path("long").display());
    world.build(FILE, &["-t", "x", "-o", &short, "-o", &long, "--timestamp", "7"]).good();
    let listed = tool("tar", &["--numeric-owner", "--utc", "--full-time", "-tvf", &short]);
    for line in [
        "-rw------- 0/0               2 1970-01-01 00:00:07 d/owned",
        "-rwsr-xr-x 0/0               1 1970-01-01 00:00:07 d/suid",
        "hrw-r--r-- 7/8               0 1970-01-01 00:00:07 k/sub/hard link to k/file",
        "lrwxrwxrwx 7/8               0 1970-01-01 00:00:07 k/escape -> /etc",
        "drwxr-xr-x 0/0               0 1970-01-01 00:00:07 w/",
    ] {
        assert!(listed.lines().any(|other| other == line), "{line}\n{listed}");
    }
    assert_eq!(fs::read(&short).unwrap(), fs::read(world.path("long")).unwrap());
    let mut command = world.command();
    command.args(["bud", "--timestamp", "7", "-o", "-", world.context().to_str().unwrap()]);
    let output = command.output().unwrap();
    assert_eq!(output.stdout, fs::read(&short).unwrap(), "nothing but the tar");
    let said = Said::of(output).good();
    assert!(said.stderr.contains("STEP 1/"), "{}", said.stderr);
}

#[test]
fn archives_are_what_skopeo_and_umoci_read() {
    let world = world();
    let path = |name: &str| world.path(name).display().to_string();
    let (oci, plain, layout, docker) =
        (path("oci.tar"), path("plain.tar"), path("layout"), path("docker.tar"));
    let specs = [
        format!("type=oci,dest={oci}"),
        format!("type=oci,dest={plain},compression=uncompressed,name=q:2"),
        format!("type=oci,tar=false,dest={layout},compression=zstd"),
        format!("type=docker,dest={docker}"),
    ];
    let outputs: Vec<&str> = specs.iter().flat_map(|spec| ["-o", spec]).collect();
    let said = world.build(FILE, &[&outputs[..], &["-t", "x:1"]].concat()).good();
    let config = world.config("x:1");
    for (image, packed) in [
        (format!("oci-archive:{oci}:1"), "tar+gzip"),
        (format!("oci-archive:{plain}:2"), "layer.v1.tar"),
        (format!("oci:{layout}:1"), "tar+zstd"),
        (format!("docker-archive:{docker}"), "docker.image.rootfs.diff.tar.gzip"),
    ] {
        let raw: Value = serde_json::from_str(&tool("skopeo", &["inspect", "--raw", &image])).unwrap();
        assert!(raw["layers"][0]["mediaType"].as_str().unwrap().ends_with(packed), "{image}: {raw}");
        let found: Value =
            serde_json::from_str(&tool("skopeo", &["inspect", "--config", "--raw", &image])).unwrap();
        assert_eq!(found["rootfs"], config["rootfs"], "{image}");
        assert_eq!(found["history"], config["history"], "{image}");
        // Every blob is read and verified on the way.
        let copy = path(&format!("copy-{}", packed.replace('.', "-")));
        tool("skopeo", &["copy", "--quiet", &image, &format!("dir:{copy}")]);
    }
    let names = tool("tar", &["-xOf", &docker, "manifest.json"]);
    let names: Value = serde_json::from_str(&names).unwrap();
    assert_eq!(names[0]["RepoTags"][0], "localhost/x:1");
    assert!(names[0]["Config"].as_str().unwrap().ends_with(&said.id()));
    // umoci knows neither zstd nor names with a slash.
    let (unpacked, bundle) = (path("unpacked"), path("bundle"));
    tool("mkdir", &[&unpacked]);
    tool("tar", &["-C", &unpacked, "-xf", &oci]);
    tool("umoci", &["unpack", "--rootless", "--image", &format!("{unpacked}:1"), &bundle]);
    assert_eq!(fs::read_to_string(Path::new(&bundle).join("rootfs/d/owned")).unwrap(), "22");
    world.build(FILE, &["-o", &specs[2]]).fails(125, "the directory is not empty");
}

#[test]
fn an_image_is_named_and_pushed_by_its_output() {
    let Some(registry) = provided("RBUILD_TEST_REGISTRY") else { return };
    let world = world();
    let name = format!("{registry}/e2e/output:1");
    let specs = [format!("type=registry,name={name}"), "type=image,name=local/one".to_owned()];
    let pushed =
        format!("type=image,push=true,name={registry}/e2e/output:2,compression=zstd,force-compression=true");
    world.build(FILE, &["-o", &specs[0], "-o", &specs[1], "-o", &pushed, "-t", "mine"]).good();
    for known in [&name[..], "local/one", "mine"] {
        world.run(&["inspect", known]).good();
    }
    for (tag, packed) in [("1", "tar+gzip"), ("2", "tar+zstd")] {
        let image = format!("docker://{registry}/e2e/output:{tag}");
        let raw = tool("skopeo", &["inspect", "--raw", "--tls-verify=false", &image]);
        let raw: Value = serde_json::from_str(&raw).unwrap();
        assert!(raw["layers"][0]["mediaType"].as_str().unwrap().ends_with(packed), "{tag}: {raw}");
    }
}

#[test]
fn an_output_without_a_name_goes_where_the_tags_say_and_nowhere_else() {
    let Some(registry) = provided("RBUILD_TEST_REGISTRY") else { return };
    let world = world();
    let name = format!("{registry}/e2e/untold:1");
    // Nobody listens there: whoever pushed to it would fail.
    let other = "type=image,name=127.0.0.1:9/me/app:1";
    world.build(FILE, &["-t", &name, "-o", other, "-o", "type=registry"]).good();
    tool("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
    world.run(&["inspect", "127.0.0.1:9/me/app:1"]).good();
    for (args, text) in [
        (&["-o", other, "-o", "type=registry"][..], "nothing says where to push to"),
        (&["-o", "type=image,name=x", "--manifest", "x"], "the same name for the image and for the list"),
    ] {
        world.build(FILE, args).fails(125, text);
    }
}

#[test]
fn what_was_pushed_is_told_by_the_digest_that_the_registry_has() {
    let Some(registry) = provided("RBUILD_TEST_REGISTRY") else { return };
    let world = world();
    let metadata = world.path("metadata").display().to_string();
    let name = format!("{registry}/e2e/told:1");
    for (platform, kind) in [("linux/amd64", "manifest"), ("linux/amd64,linux/arm64", "index")] {
        let args = ["-t", &name, "-o", "type=registry", "--platform", platform, "--metadata-file", &metadata];
        world.build(FILE, &args).good();
        let told: Value = serde_json::from_str(&fs::read_to_string(&metadata).unwrap()).unwrap();
        let digest = told["containerimage.digest"].as_str().unwrap();
        let (repository, _) = name.rsplit_once(':').unwrap();
        let there = |name: &str| {
            tool("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")])
        };
        let raw = there(&format!("{repository}@{digest}"));
        assert_eq!(raw, there(&name), "{platform}");
        let descriptor = &told["containerimage.descriptor"];
        assert_eq!(
            (descriptor["digest"].as_str(), descriptor["size"].as_u64()),
            (Some(digest), Some(raw.len() as u64))
        );
        assert!(descriptor["mediaType"].as_str().unwrap().contains(kind), "{platform}: {told}");
    }
}
