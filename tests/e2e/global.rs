//! Options of every verb, and the variables that stand for options: what is heeded, what is answered, what is refused.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::support::{Said, World};

/// Nothing is said on stderr.
const NOTHING: &str = "";

/// Runs `words` with `variables`.
fn run(world: &World, variables: &[(&str, &str)], words: &[&str]) -> Said {
    let mut command = world.command();
    command.envs(variables.iter().copied()).args(words);
    Said::of(command.output().unwrap())
}

#[test]
fn options_of_every_verb_are_heeded_answered_or_refused_before_and_after_it() {
    let world = World::new();
    for (words, code, told) in [
        (&["--runroot", "/nowhere"][..], 0, "--runroot asks for nothing here"),
        (&["--runroot=/nowhere"], 0, "--runroot asks for nothing here"),
        (&["--transient-store"], 0, "--transient-store asks for nothing here"),
        (&["--cgroup-manager", "systemd"], 0, "--cgroup-manager asks for nothing here"),
        (&["--debug"], 0, "--debug asks for nothing here"),
        (&["--debug", "--log-level", "error"], 0, NOTHING),
        (&["--log-level", "debug"], 0, NOTHING),
        (&["--log-level", "loud"], 125, "--log-level"),
        (&["--storage-driver", "vfs"], 0, "`plain`"),
        (&["--storage-driver", "vfs", "--rootfs", "plain"], 0, NOTHING),
        (&["--storage-driver", "overlay"], 0, "works best here"),
        (&["--storage-driver", "btrfs"], 125, "expected overlay or vfs"),
        (
            &["--storage-opt", "overlay.mount_program=/bin/x,overlay.mountopt=nodev"],
            0,
            "overlay.mountopt asks",
        ),
        (&["--storage-opt", "overlay.imagestore=/x"], 125, "--storage-opt overlay.imagestore=/x"),
        (&["--imagestore", "/x"], 125, "--imagestore is an option of buildah's"),
        (&["--registries-conf", "/x"], 125, "--registries-conf is an option of buildah's"),
        (&["--registries-conf-dir", "/x"], 125, "--registries-conf-dir is an option of buildah's"),
        (&["--short-name-alias-conf", "/x"], 125, "--short-name-alias-conf is an option of buildah's"),
        (&["--default-mounts-file", "/x"], 125, "--default-mounts-file is an option of buildah's"),
        (&["--cpu-profile", "/x"], 125, "--cpu-profile is an option of buildah's"),
    ] {
        let before: Vec<&str> = words.iter().copied().chain(["containers", "--json"]).collect();
        let after: Vec<&str> = ["containers", "--json"].into_iter().chain(words.iter().copied()).collect();
        for words in [before, after] {
            let said = world.run(&words);
            let fits = if told.is_empty() { said.stderr.is_empty() } else { said.stderr.contains(told) };
            assert!(fits && said.code == code, "{words:?}: exit {}\n{}", said.code, said.stderr);
            assert_eq!(said.stdout.trim(), if code == 0 { "[]" } else { "" }, "{words:?}");
        }
    }
    // Verbs about commands have maps of their own.
    for (words, code, told) in [
        (&["--userns-uid-map", "0:1000:1", "containers"][..], 0, NOTHING),
        (&["--userns-uid-map", "0:1000:1,0:2000:1", "containers"], 125, "--userns-uid-map"),
        (&["--userns-gid-map", "nonsense", "containers"], 125, "--userns-gid-map"),
        (&["-v"], 0, NOTHING),
        (&["--version"], 0, NOTHING),
    ] {
        let said = world.run(words).fails(code, told);
        assert!(code != 0 || said.stderr.is_empty(), "{words:?}: {}", said.stderr);
    }
}

#[test]
fn variables_stand_for_options_that_are_not_given() {
    let world = World::new();
    world.file("Dockerfile", "FROM scratch\nENV A=B\nENV C=D\n");
    let context = world.context().display().to_string();
    let kind = |variables: &[(&str, &str)], words: &[&str]| {
        let words: Vec<&str> =
            ["bud", "-q", "-t", "i"].iter().chain(words).copied().chain([context.as_str()]).collect();
        run(&world, variables, &words).good();
        let format = ["inspect", "--type", "image", "--format", "{{.Manifest}}", "i"];
        if world.run(&format).good().stdout.contains("docker") { "docker" } else { "oci" }
    };
    for (variables, words, want) in [
        (&[][..], &[][..], "oci"),
        (&[("BUILDAH_FORMAT", "docker")], &[], "docker"),
        (&[("RBUILD_FORMAT", "docker")], &[], "docker"),
        (&[("RBUILD_FORMAT", "oci"), ("BUILDAH_FORMAT", "docker")], &[], "oci"),
        (&[("RBUILD_FORMAT", ""), ("BUILDAH_FORMAT", "docker")], &[], "docker"),
        (&[("BUILDAH_FORMAT", "docker")], &["--format", "oci"], "oci"),
    ] {
        assert_eq!(kind(variables, words), want, "{variables:?} {words:?}");
    }
    let blocked = r#"{"blockedRegistries": ["registry.example"]}"#;
    let allowed = r#"{"allowedRegistries": ["registry.example"]}"#;
    let build = ["bud", "-q", context.as_str()];
    for (variable, words, code, told) in [
        (("BUILDAH_FORMAT", "tar"), &build[..], 125, "BUILDAH_FORMAT=\"tar\""),
        (("RBUILD_LAYERS", "maybe"), &build, 125, "RBUILD_LAYERS=\"maybe\""),
        (("BUILDAH_LAYERS", "false"), &build, 0, NOTHING),
        (("BUILDAH_ISOLATION", "jail"), &build, 125, "BUILDAH_ISOLATION=\"jail\""),
        (("RBUILD_ISOLATION", "chroot"), &build, 0, NOTHING),
        (
            ("BUILDAH_HISTORY", "perhaps"),
            &["config", "--env", "A=B", "c"],
            125,
            "BUILDAH_HISTORY=\"perhaps\"",
        ),
        (("STORAGE_DRIVER", "vfs"), &["containers"], 0, "STORAGE_DRIVER=vfs: RUN has"),
        (("STORAGE_DRIVER", "vfs"), &["--rootfs", "fuse", "containers"], 0, NOTHING),
        (("STORAGE_DRIVER", "btrfs"), &["containers"], 0, "STORAGE_DRIVER=btrfs asks for nothing"),
        (("STORAGE_OPTS", "overlay.imagestore=/x"), &["containers"], 125, "overlay.imagestore=/x"),
        (("RBUILD_ROOTFS", "floppy"), &["containers"], 125, "RBUILD_ROOTFS=floppy"),
        (("CONTAINERS_CONF", "/x"), &["containers"], 0, "CONTAINERS_CONF is not read"),
        (("BUILD_REGISTRY_SOURCES", blocked), &["pull", "registry.example/a"], 125, "those that are blocked"),
        (("BUILD_REGISTRY_SOURCES", allowed), &["pull", "docker.io/a"], 125, "those that are allowed"),
        (("BUILD_REGISTRY_SOURCES", "[1]"), &["pull", "docker.io/a"], 125, "expected JSON with the lists"),
    ] {
        let said = run(&world, &[variable], words).fails(code, told);
        assert!(!told.is_empty() || said.stderr.is_empty(), "{variable:?} {words:?}: {}", said.stderr);
    }
}

#[test]
fn a_variable_that_is_no_text_is_an_error_with_its_name() {
    let world = World::new();
    world.file("Dockerfile", "FROM scratch\nENV A=B\n");
    let context = world.context().display().to_string();
    for name in [
        "http_proxy",
        "NO_PROXY",
        "BUILDAH_FORMAT",
        "BUILDAH_ISOLATION",
        "SOURCE_DATE_EPOCH",
        "BUILDKIT_PROGRESS",
        "OTEL_SERVICE_NAME",
        "STORAGE_DRIVER",
        "RBUILD_ROOTFS",
        "BUILD_REGISTRY_SOURCES",
    ] {
        let mut command = world.command();
        command.env(name, OsStr::from_bytes(b"\xff")).args(["bud", &context]);
        let said = Said::of(command.output().unwrap());
        said.fails(125, &format!("${name} of the environment is not UTF-8"));
    }
    assert_eq!(world.run(&["images", "--quiet"]).good().stdout, "", "nothing was built");
}
