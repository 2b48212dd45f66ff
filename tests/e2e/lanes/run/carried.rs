//! `rbuild cache`: caches of RUN as tars.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{build, make_base};
use crate::lanes::worlds;
use crate::support::{World, tool};

fn lane() -> String {
    std::env::var("RBUILD_TEST_LANE").unwrap_or_default()
}

/// What a step finds in the cache.
fn seen(world: &World) -> String {
    let look = "RUN --mount=type=cache,target=/c echo seen; cd /c; find . | sort | xargs stat -c '%n %a %u:%g %Y %h'; cat d/f; readlink l\n";
    let said = build(world, look, &["--no-cache"]).good().stdout;
    let (_, lines) = said.split_once("\nseen\n").unwrap();
    let lines: Vec<&str> = lines.lines().take_while(|line| !line.starts_with("-->")).collect();
    lines.join("\n")
}

fn export(world: &World, id: &str, file: &Path) {
    world.run(&["cache", "export", "-f", file.to_str().unwrap(), id]).good();
}

#[test]
fn a_cache_travels_to_another_store_as_it_is() {
    let owner = if lane() == "single" { "0:0" } else { "7:8" };
    let fill = format!(
        "RUN --mount=type=cache,target=/c mkdir /c/d; echo 1 > /c/d/f; ln /c/d/f /c/h; ln -s d/f /c/l; \
         chown -hR {owner} /c/d /c/l; chmod 4750 /c/d/f; touch -h -d @7 /c/d/f /c/l /c/d; chmod 711 /c; touch -d @8 /c\n"
    );
    for ((driver, world), (_, other)) in worlds().into_iter().zip(worlds()) {
        for world in [&world, &other] {
            world.busybox();
            make_base(world);
        }
        build(&world, &fill, &[]).good();
        let before = seen(&world);
        assert!(before.contains("./d/f 4750") && before.contains("./l 777"), "{driver}\n{before}");
        let tar = world.path("cache.tar");
        export(&world, "/c", &tar);
        assert_eq!(world.run(&["cache", "list"]).good().stdout, "\"/c\"\n");
        // a tar like any other
        let listed = tool("tar", &["-tf", tar.to_str().unwrap()]);
        assert!(listed.lines().any(|line| line == "d/f"), "{driver}\n{listed}");
        tool("gzip", &["-k", tar.to_str().unwrap()]);
        for archive in ["cache.tar", "cache.tar.gz"] {
            let archive = world.path(archive);
            // whatever it held before goes
            build(&other, "RUN --mount=type=cache,target=/c echo x > /c/old\n", &["--no-cache"]).good();
            other.run(&["cache", "import", "-f", archive.to_str().unwrap(), "/c"]).good();
            assert_eq!(seen(&other), before, "{driver}: {}", archive.display());
        }
        // and back, byte for byte
        let again = other.path("cache.tar");
        export(&other, "/c", &again);
        assert!(fs::read(tar).unwrap() == fs::read(again).unwrap(), "{driver}");
        for left in ["live", "mounts/*/0/new-*", "mounts/*/0/old-*"] {
            let pattern = other.store().join("rbuild").join(left);
            let found = tool("sh", &["-c", &format!("ls -A {} 2>/dev/null || true", pattern.display())]);
            assert_eq!(found, "", "{driver}: {left}");
        }
    }
}

/// A tar of one member.
fn hostile(world: &World, member: &str) -> PathBuf {
    let script = "import sys, tarfile\nt = tarfile.open(sys.argv[1], 'w')\nt.addfile(tarfile.TarInfo(sys.argv[2]))\nt.close()\n";
    let path = world.path("hostile.tar");
    tool("python3", &["-c", script, path.to_str().unwrap(), member]);
    path
}

#[test]
fn what_cannot_be_carried_is_refused_and_the_cache_is_as_it_was() {
    let (_, world) = worlds().remove(0);
    world.busybox();
    make_base(&world);
    build(
        &world,
        "RUN --mount=type=cache,target=/cache mkdir /cache/d; echo 1 > /cache/d/f; ln -s d/f /cache/l\n",
        &[],
    )
    .good();
    world
        .run(&["cache", "export", "/cachr"])
        .fails(125, "no cache has the id \"/cachr\" (did you mean /cache?)");
    world.run(&["cache", "export"]).fails(125, "the id of a cache is needed");
    world.run(&["cache", "list", "/cache"]).fails(125, "cache list takes no id");
    world.run(&["cache", "import", "-f", "/nonexistent", "/cache"]).fails(125, "tar /nonexistent: ");
    world.file("junk", "junk");
    let junk = world.path("context/junk");
    world.run(&["cache", "import", "-f", junk.to_str().unwrap(), "/cache"]).fails(125, "junk: ");
    for member in ["../outside", "a/../../b"] {
        let tar = hostile(&world, member);
        world.run(&["cache", "import", "-f", tar.to_str().unwrap(), "/cache"]).fails(125, "hostile.tar: ");
    }
    // one that is cut short
    let whole = world.path("whole.tar");
    export(&world, "/cache", &whole);
    let bytes = fs::read(&whole).unwrap();
    fs::write(&whole, &bytes[..bytes.len() / 3]).unwrap();
    world.run(&["cache", "import", "-f", whole.to_str().unwrap(), "/cache"]).fails(125, "whole.tar: ");
    let again = world.path("again.tar");
    export(&world, "/cache", &again);
    assert!(fs::read(again).unwrap() == bytes, "it is as it was");
    // a pipe at both ends
    let pipe = Command::new("sh")
        .arg("-c")
        .arg(format!("{0} cache export /cache | {0} cache import other", {
            let command = world.command();
            let words = std::iter::once(command.get_program()).chain(command.get_args());
            words.map(|word| word.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        }))
        .status()
        .unwrap();
    assert!(pipe.success());
    assert_eq!(world.run(&["cache", "list"]).good().stdout, "\"/cache\"\n\"other\"\n");
}

/// What a killed step has left is named after its live directory, and no other step's work is taken for it.
#[test]
fn what_a_killed_step_was_making_goes_with_the_next() {
    let (_, world) = worlds().remove(0);
    world.busybox();
    make_base(&world);
    let use_it = "RUN --mount=type=cache,target=/c ls /c | wc -l\n";
    build(&world, use_it, &["--no-cache"]).good();
    let mounts = world.store().join("rbuild/mounts");
    let cache = fs::read_dir(mounts).unwrap().next().unwrap().unwrap().path().join("0");
    fs::create_dir_all(cache.join("new-gone-0/deep")).unwrap();
    build(&world, use_it, &["--no-cache"]).good();
    assert!(!cache.join("new-gone-0").exists());
    assert!(cache.join("data").exists());
}
