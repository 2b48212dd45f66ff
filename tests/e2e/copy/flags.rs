//! `--chmod`, `--exclude`, `--parents`, `--link`, `--from`, and what a destination may be.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;

use super::archives::forge;
use super::tree;
use crate::support::World;

/// A context with programs, sources and tests, and what a stage needs to be copied onto.
fn world() -> World {
    let world = World::new();
    for name in [
        "src/main.c",
        "src/lib/a.c",
        "src/lib/a.h",
        "src/run.sh",
        "doc/x.md",
        "home.txt",
        "home.md",
        "homely",
    ] {
        world.file(name, name);
    }
    let mode = |name: &str, mode| {
        fs::set_permissions(world.context().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("src/run.sh", 0o755);
    mode("src/main.c", 0o600);
    mode("src/lib", 0o2750);
    symlink("main.c", world.context().join("src/link")).unwrap();
    symlink("src", world.context().join("srclink")).unwrap();
    world
}

/// Builds `rest` on scratch and compares the tree, its sizes left out.
#[track_caller]
fn check(world: &World, rest: &str, want: &[&str]) {
    world.build(&format!("FROM scratch\n{rest}\n"), &["-t", "x"]).good();
    let found: Vec<String> = tree(world, "x").iter().map(|line| without_size(line)).collect();
    assert_eq!(found, want, "{rest}");
}

fn without_size(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    if words[0] == "f" {
        words.remove(3);
    }
    words.join(" ")
}

#[test]
fn chmod_is_octal_or_symbolic_for_files_and_directories() {
    let world = world();
    let tree = |main: &str, run: &str, lib: &str, dest: &str| {
        [
            format!("d {dest} 0:0 t"),
            format!("d {lib} 0:0 t/lib"),
            format!("f {main} 0:0 t/main.c"),
            format!("f {run} 0:0 t/run.sh"),
            "l 0777 0:0 t/link -> main.c".to_owned(),
        ]
    };
    for (chmod, main, run, lib, dest) in [
        ("640", "0640", "0640", "0640", "0640"),
        ("u=rwX,go=rX", "0644", "0755", "0755", "0755"),
        ("+x", "0711", "0755", "2751", "0755"),
        ("a-w", "0400", "0555", "2550", "0755"),
        ("g=u", "0660", "0775", "2770", "0755"),
        ("u+s", "4600", "4755", "6750", "0755"),
        ("go=", "0600", "0700", "0700", "0755"),
    ] {
        let rest = format!("COPY --chmod={chmod} --exclude=lib/* src /t");
        let mut want = tree(main, run, lib, dest).to_vec();
        want[2..].sort_by_key(|line| line.split(' ').nth(3).unwrap_or_default().to_owned());
        want.sort_by_key(|line| {
            line.split(" -> ").next().unwrap_or_default().rsplit(' ').next().unwrap().to_owned()
        });
        check(&world, &rest, &want.iter().map(String::as_str).collect::<Vec<_>>());
    }
    // What is made on the way gets digits, and 0755 from changes; expansion comes first.
    check(&world, "ARG M=700\nCOPY --chmod=$M homely /p/q", &["d 0700 0:0 p", "f 0700 0:0 p/q"]);
    check(&world, "COPY --chmod=u=rwx,go= homely /p/q", &["d 0755 0:0 p", "f 0700 0:0 p/q"]);
    check(&world, "COPY --chmod=a+x <<f /p/\nx\nf", &["d 0755 0:0 p", "f 0755 0:0 p/f"]);
}

#[test]
fn exclude_leaves_out_relative_to_each_source() {
    let world = world();
    for (flags, want) in [
        (
            "--exclude=*.c src",
            &[
                "d 2750 0:0 t/lib",
                "f 0644 0:0 t/lib/a.c",
                "f 0644 0:0 t/lib/a.h",
                "l 0777 0:0 t/link -> main.c",
                "f 0755 0:0 t/run.sh",
            ][..],
        ),
        (
            "--exclude=**/*.c --exclude=link src",
            &["d 2750 0:0 t/lib", "f 0644 0:0 t/lib/a.h", "f 0755 0:0 t/run.sh"],
        ),
        ("--exclude=* --exclude=!lib/a.h src", &["d 2750 0:0 t/lib", "f 0644 0:0 t/lib/a.h"]),
        ("--exclude=lib --exclude=*.* src", &["l 0777 0:0 t/link -> main.c"]),
        ("--exclude=/lib/ --exclude=main.c --exclude=link src", &["f 0755 0:0 t/run.sh"]),
        ("--exclude=*.txt --exclude=*.md hom*", &["f 0644 0:0 t/homely"]),
        ("--exclude=*.c src/main.c homely", &["f 0644 0:0 t/homely"]),
        ("--exclude=a.c src/l?b", &["f 0644 0:0 t/a.h"]),
    ] {
        world.build(&format!("FROM scratch\nCOPY {flags} /t/\n"), &["-t", "x"]).good();
        let found: Vec<String> = tree(&world, "x").iter().map(|line| without_size(line)).collect();
        let inside: Vec<&String> = found.iter().filter(|line| line.contains(" t/")).collect();
        assert_eq!(inside, want.iter().collect::<Vec<_>>(), "{flags}");
    }
    // From a stage, by a variable, and of what the ignore file leaves.
    check(
        &world,
        "COPY src /s\nFROM scratch\nARG P=*.c\nCOPY --from=0 --exclude=lib --exclude=$P --exclude=link /s /",
        &["f 0755 0:0 run.sh"],
    );
    world.file(".dockerignore", "src/run.sh\n");
    check(&world, "COPY --exclude=lib --exclude=link src /", &["f 0600 0:0 main.c"]);
    // Nothing is left: nothing is copied, and nothing is made.
    check(&world, "COPY homely /\nCOPY --exclude=* home.* /t/", &["f 0644 0:0 homely"]);
}

#[test]
fn parents_keep_the_path_from_the_pivot_on() {
    let world = world();
    let lib = "d 2750 0:0 t/src/lib";
    for (rest, want) in [
        (
            "COPY --parents src/lib/a.c home.md /t",
            &["d 0755 0:0 t", "f 0644 0:0 t/home.md", "d 0755 0:0 t/src", lib, "f 0644 0:0 t/src/lib/a.c"][..],
        ),
        ("COPY --parents ./src/./lib/a.c /t/", &["d 0755 0:0 t", "d 2750 0:0 t/lib", "f 0644 0:0 t/lib/a.c"]),
        (
            "COPY --parents src/lib /t/",
            &[
                "d 0755 0:0 t",
                "d 0755 0:0 t/src",
                lib,
                "f 0644 0:0 t/src/lib/a.c",
                "f 0644 0:0 t/src/lib/a.h",
            ],
        ),
        (
            "COPY --parents **/*.c /",
            &["d 0755 0:0 src", "d 2750 0:0 src/lib", "f 0644 0:0 src/lib/a.c", "f 0600 0:0 src/main.c"],
        ),
        ("COPY --parents s*/./*.c /", &["f 0600 0:0 main.c"]),
        ("COPY --parents src/*/a.h /", &["d 0755 0:0 src", "d 2750 0:0 src/lib", "f 0644 0:0 src/lib/a.h"]),
        // The pivot is followed, what lies behind it is not.
        ("COPY --parents srclink/./link /", &["l 0777 0:0 link -> main.c"]),
        (
            "COPY --parents --exclude=**/*.h src/lib homely /",
            &["f 0644 0:0 homely", "d 0755 0:0 src", "d 2750 0:0 src/lib", "f 0644 0:0 src/lib/a.c"],
        ),
        (
            "COPY --parents --chown=7:8 --chmod=u=rwX,go= src/lib/a.h /t/",
            &["d 0755 7:8 t", "d 0700 7:8 t/src", "d 0700 7:8 t/src/lib", "f 0600 7:8 t/src/lib/a.h"],
        ),
        (
            "COPY src /s\nFROM scratch\nCOPY --from=0 --parents /s/lib/./*.h /s/run.sh /",
            &["f 0644 0:0 a.h", "d 0755 0:0 s", "f 0755 0:0 s/run.sh"],
        ),
        ("COPY --parents=false src/lib/a.h /", &["f 0644 0:0 a.h"]),
    ] {
        check(&world, rest, want);
    }
    // The ignore file hides from --parents too; a directory that is there takes the attributes of its like.
    world.file(".dockerignore", "**/*.c\n");
    check(
        &world,
        "COPY --chmod=700 home.md /src/x\nCOPY --parents src/lib/a.* /",
        &["d 0755 0:0 src", "d 2750 0:0 src/lib", "f 0644 0:0 src/lib/a.h", "f 0700 0:0 src/x"],
    );
    world.build("FROM scratch\nCOPY --parents src/main.c /\n", &[]).fails(125, "the ignore file excludes it");
    world.build("FROM scratch\nCOPY --parents srclink/main.c /\n", &[]).fails(125, "no items matching");
}

#[test]
fn a_linked_layer_knows_nothing_of_its_parent_and_serves_on_another() {
    let world = world();
    let linked = "WORKDIR /w\nCOPY --link --chown=app homely sub/\n";
    let base =
        |extra: &str| format!("FROM scratch\nCOPY <<passwd /etc/\napp:x:7:8::/:\npasswd\n{extra}{linked}");
    let layer =
        |world: &World| world.config("x")["rootfs"]["diff_ids"].as_array().unwrap().last().unwrap().clone();
    world.build(&base(""), &["-t", "x"]).good();
    check_tree(
        &world,
        &[
            "d 0755 0:0 etc",
            "f 0644 0:0 etc/passwd",
            "d 0755 7:8 w",
            "d 0755 7:8 w/sub",
            "f 0644 7:8 w/sub/homely",
        ],
    );
    let first = layer(&world);
    // Another parent, another environment: the layer is taken over.
    let said = world.build(&base("ENV a=b\nCOPY home.md /\n"), &["-t", "x"]).good();
    assert_eq!(layer(&world), first);
    assert!(said.stdout.trim_end().lines().rev().nth(2).unwrap().contains("Using cache"), "{}", said.stdout);
    // Another owner behind the name, another place, other bytes: another layer.
    world.build(&base("").replace(":7:8:", ":7:9:"), &["-t", "x"]).good();
    assert_ne!(layer(&world), first);
    world.build(&base("").replace("WORKDIR /w", "WORKDIR /v"), &["-t", "x"]).good();
    assert_ne!(layer(&world), first);
    world.file("homely", "changed");
    world.build(&base(""), &["-t", "x"]).good();
    assert_ne!(layer(&world), first);
    // So it is with an archive: the name decides, and the links of the stage do not.
    forge(&world, "f.tar", "add('d/x', b'x')");
    symlink("etc", world.context().join("doc/d")).unwrap();
    let archive = |gid: &str, extra: &str| {
        let dockerfile =
            base(extra).replace(":7:8:", gid).replace(linked, "ADD --link --chown=app f.tar /\n");
        world.build(&dockerfile, &["-t", "x"]).good();
        layer(&world)
    };
    let first = archive(":7:8:", "");
    assert_eq!(archive(":7:8:", "COPY doc /\n"), first);
    assert_ne!(archive(":7:9:", ""), first);
    // A symlink on the way is replaced, not followed, and a directory that is there takes what the layer says.
    let onto = "COPY --chmod=700 homely /real/f\nCOPY srclink/. /\n";
    for (flag, want) in [
        (
            "",
            &["l 0777 0:0 d -> real", "d 0700 0:0 real", "f 0700 0:0 real/f", "f 0644 0:0 real/home.md"][..],
        ),
        ("--link ", &["d 0755 0:0 d", "f 0644 0:0 d/home.md", "d 0700 0:0 real", "f 0700 0:0 real/f"]),
    ] {
        let links = world.context().join("links");
        fs::create_dir_all(&links).unwrap();
        drop(fs::remove_file(links.join("d")));
        symlink("real", links.join("d")).unwrap();
        let rest = onto.replace("srclink/.", "links") + &format!("COPY {flag}home.md /d/");
        check(&world, &rest, want);
    }
    check(
        &world,
        "COPY --chmod=700 homely /p/f\nCOPY --link home.md /p/",
        &["d 0755 0:0 p", "f 0700 0:0 p/f", "f 0644 0:0 p/home.md"],
    );
}

#[track_caller]
fn check_tree(world: &World, want: &[&str]) {
    let found: Vec<String> = tree(world, "x").iter().map(|line| without_size(line)).collect();
    assert_eq!(found, want);
}

#[test]
fn from_names_a_stage_by_name_or_number_with_variables() {
    let world = world();
    let stages = "COPY homely /a\nFROM scratch AS Two\nCOPY --chown=5:6 homely /b\nFROM scratch\n";
    for (rest, want) in [
        ("COPY --from=0 /a /", "f 0644 0:0 a"),
        ("COPY --from=two b /", "f 0644 5:6 b"),
        ("COPY --from=TWO /b /c", "f 0644 5:6 c"),
        ("COPY --from=1 --chown=9 /b /", "f 0644 9:9 b"),
        ("ARG F=two\nCOPY --from=$F ../b /", "f 0644 5:6 b"),
        ("COPY --link --from=two /b /", "f 0644 5:6 b"),
    ] {
        check(&world, &format!("{stages}{rest}"), &[want]);
    }
    for (rest, want) in [
        ("COPY --from=two /a /", "no items matching \"/a\" in \"two\""),
        ("COPY --from=two /bb /", "(did you mean b?)"),
        ("COPY --from=7 /a /", "7"),
        ("COPY --from=Q!x /a /", "Q!x"),
        ("COPY --from=127.0.0.1:1/none /a /", "nothing listens at 127.0.0.1:1"),
    ] {
        world.build(&format!("FROM scratch\n{stages}{rest}\n"), &["--pull=missing"]).fails(125, want);
    }
}

#[test]
fn a_wildcard_may_match_nothing_beside_another_source() {
    let world = world();
    check(&world, "COPY homely yarn.lock* *.none /t/", &["d 0755 0:0 t", "f 0644 0:0 t/homely"]);
    check(&world, "COPY yarn.lock* <<x /t/\ny\nx", &["d 0755 0:0 t", "f 0644 0:0 t/x"]);
    // One source alone lands at a path that is no directory, whatever its wildcards.
    check(&world, "COPY home.m* /t", &["f 0644 0:0 t"]);
}

#[test]
fn sockets_fifos_and_many_names_are_copied() {
    let world = World::new();
    fs::create_dir(world.context().join("d")).unwrap();
    let _listener = UnixListener::bind(world.context().join("d/socket")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, world.context().join("d/fifo"), 0o600.into()).unwrap();
    world.file("d/a", "1");
    fs::hard_link(world.context().join("d/a"), world.context().join("b")).unwrap();
    fs::set_permissions(world.context().join("d/socket"), fs::Permissions::from_mode(0o755)).unwrap();
    check(&world, "COPY d /", &["f 0644 0:0 a", "p 0600 0:0 fifo", "f 0755 0:0 socket"]);
    // Two names of one file stay one file within one source, and become two files by two.
    check(&world, "COPY b d/a /", &["f 0644 0:0 a", "f 0644 0:0 b"]);
}

#[test]
fn nested_directories_take_the_source_attributes_and_the_destination_keeps_its_own() {
    let world = world();
    let base = "COPY --chown=3:3 --chmod=700 homely /t/lib/old";
    check(
        &world,
        &format!("{base}\nCOPY --exclude=link --exclude=*.c src /t"),
        &[
            "d 0700 3:3 t",
            "d 2750 0:0 t/lib",
            "f 0644 0:0 t/lib/a.c",
            "f 0644 0:0 t/lib/a.h",
            "f 0700 3:3 t/lib/old",
            "f 0755 0:0 t/run.sh",
        ],
    );
    // A source's trailing slash means nothing, the destination's makes a directory.
    check(&world, "COPY doc/ /t", &["d 0755 0:0 t", "f 0644 0:0 t/x.md"]);
    check(&world, "COPY homely/ /t/", &["d 0755 0:0 t", "f 0644 0:0 t/homely"]);
    // A file takes the place of a symlink in a directory, and goes through one that is the destination.
    let links = "COPY --exclude=lib --exclude=*.sh src /s";
    check(
        &world,
        &format!("{links}\nCOPY homely /s/link"),
        &["d 0755 0:0 s", "l 0777 0:0 s/link -> main.c", "f 0644 0:0 s/main.c"],
    );
    check(
        &world,
        &format!("{links}\nCOPY --from=0 /s/link /s/\n").replace("--from=0 /s/link", "srclink/link"),
        &["d 0755 0:0 s", "f 0600 0:0 s/link", "f 0600 0:0 s/main.c"],
    );
}

#[test]
fn devices_come_from_a_stage_and_absolute_links_stay_in_the_root() {
    let world = World::new();
    forge(
        &world,
        "f.tar",
        "add('dev/c', type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666, uid=5)\n\
         add('dev/b', type=tarfile.BLKTYPE, devmajor=8)\nadd('abs', type=tarfile.SYMTYPE, linkname='/../../real')\n\
         add('real/old', b'o')\nadd('file', type=tarfile.SYMTYPE, linkname='/real/old')",
    );
    world.file("a", "a");
    check(
        &world,
        "ADD f.tar /\nFROM scratch\nCOPY --from=0 /dev /d",
        &["d 0755 0:0 d", "b 0644 0:0 8,0 d/b", "c 0666 5:0 1,3 d/c"],
    );
    check(
        &world,
        "ADD f.tar /\nCOPY a /abs/../abs/x\nCOPY a /file\nFROM scratch\nCOPY --from=0 /real /real\nCOPY --from=0 /file /",
        &["f 0644 0:0 file", "d 0755 0:0 real", "f 0644 0:0 real/old", "f 0644 0:0 real/x"],
    );
}

#[test]
fn the_history_tells_the_instruction_after_expansion() {
    let world = world();
    let flags = "--parents --link --exclude=*.x --exclude=y --chown=7 --chmod=u=rw";
    let dockerfile = format!("FROM scratch\nARG D=/t F=homely\nCOPY {flags} $F $D/\n");
    world.build(&dockerfile, &["-t", "x"]).good();
    let history = world.config("x")["history"].clone();
    let last = history.as_array().unwrap().last().unwrap();
    let want = "COPY --chown=7 --chmod=u=rw --link --parents --exclude=*.x --exclude=y homely /t/";
    assert_eq!(last["created_by"], want);
    assert_eq!(last["empty_layer"], serde_json::Value::Null);
}
