//! Files of the context that are known not to have changed are not read again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::{World, program};

const FILES: usize = 500;
const DOCKERFILE: &str = "FROM scratch\nCOPY . /context\nCOPY tree /tree\nENV a=b\n";

fn world() -> World {
    let world = World::new();
    for number in 0..FILES {
        world.file(&format!("tree/{}/leaf{number}", number % 7), format!("{number}"));
    }
    world.file("Dockerfile", DOCKERFILE);
    world
}

/// Builds under strace: what it said, which files of the context it opened, and how many calls asked for a file's status.
fn traced(world: &World) -> (String, Vec<String>, usize) {
    let log = world.path("trace");
    let mut traced = Command::new("strace");
    traced
        .args([
            "-f",
            "-e",
            "trace=open,openat,openat2,newfstatat,statx,listxattr,llistxattr,readlinkat",
            "-o",
        ])
        .arg(&log);
    traced.arg(program()).arg("--root").arg(world.store()).arg("bud").arg(world.context());
    let output = traced.output().expect("the package strace is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let log = fs::read_to_string(log).unwrap();
    let of_files = |line: &&str| line.contains("leaf");
    let lines: Vec<&str> = log.lines().filter(of_files).collect();
    let opened = lines.iter().filter(|line| line.contains("open")).map(|line| (*line).to_owned()).collect();
    let asked = lines.iter().filter(|line| !line.contains("open")).count();
    (String::from_utf8_lossy(&output.stdout).into_owned(), opened, asked)
}

/// Builds until every file has been found old enough to be remembered: one that was written a moment ago is not.
fn settle(world: &World) {
    for _ in 0..50 {
        if traced(world).1.is_empty() {
            return;
        }
        thread::sleep(Duration::from_millis(200));
    }
    panic!("files are read again and again: {:?}", traced(world).1);
}

#[test]
fn a_rebuild_without_changes_reads_no_file_and_asks_once_for_each() {
    let world = world();
    settle(&world);
    let (stdout, opened, asked) = traced(&world);
    assert_eq!(stdout.matches("Using cache").count(), 3, "{stdout}");
    assert_eq!(opened, [""; 0]);
    assert_eq!(asked, 2 * FILES, "one call a file in each of the two COPY");
}

/// What is done to a file, how many steps are done again, whether the file has to be read.
type Row<'a> = (&'a str, &'a dyn Fn(), usize, bool);

#[test]
fn what_was_touched_is_read_again_and_nothing_else() {
    let world = world();
    settle(&world);
    let path = world.context().join("tree/3/leaf3");
    let meta = fs::metadata(&path).unwrap();
    let times =
        fs::FileTimes::new().set_modified(meta.modified().unwrap()).set_accessed(meta.accessed().unwrap());
    let restore =
        |path: &Path| fs::File::options().append(true).open(path).unwrap().set_times(times).unwrap();
    let moved = world.path("moved");
    let rows: [Row<'_>; 6] = [
        (
            "other bytes of the same length and time",
            &|| {
                fs::write(&path, "x").unwrap();
                restore(&path);
            },
            3,
            true,
        ),
        (
            "the same bytes and time",
            &|| {
                fs::write(&path, "x").unwrap();
                restore(&path);
            },
            0,
            true,
        ),
        ("another mode", &|| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap(), 3, true),
        ("another name", &|| fs::rename(&path, path.with_file_name("leaf3b")).unwrap(), 3, true),
        (
            "replaced by another of the same length, time and name",
            &|| {
                fs::write(&moved, "y").unwrap();
                fs::set_permissions(&moved, fs::Permissions::from_mode(0o600)).unwrap();
                restore(&moved);
                fs::rename(&moved, path.with_file_name("leaf3b")).unwrap();
            },
            3,
            true,
        ),
        ("nothing", &|| {}, 0, false),
    ];
    for (what, change, again, is_read) in rows {
        change();
        if !is_read {
            settle(&world);
        }
        let (stdout, opened, _) = traced(&world);
        assert_eq!(stdout.matches("Using cache").count(), 3 - again, "{what}: {stdout}");
        // (a layer that is written anew takes all of them)
        let others = opened.iter().filter(|line| again == 0 && !line.contains("leaf3"));
        assert_eq!(others.collect::<Vec<_>>(), [""; 0], "{what}");
        assert_eq!(opened.iter().any(|line| line.contains("leaf3")), is_read, "{what}: {opened:?}");
    }
}

/// A table that cannot be written costs the next build some reading, and nothing else.
#[test]
fn digests_that_cannot_be_kept_are_a_warning() {
    const TOLD: &str = "[Warning] the digests of context files are not remembered: ";
    let world = World::new();
    world.file("f", "content").run(&["images"]).good();
    fs::create_dir_all(world.store().join("rbuild/locks/filehash")).unwrap();
    let copy = "FROM scratch\nCOPY f /f\n";
    let is_told = (0..50).any(|_| {
        thread::sleep(Duration::from_millis(100));
        world.build(copy, &["--no-cache"]).good().stderr.contains(TOLD)
    });
    assert!(is_told, "a file that is old enough is remembered");
    let said = world.build(&format!("{copy}COPY missing /x\n"), &["--no-cache"]);
    assert!(said.code != 0 && said.stderr.contains("missing"), "{}", said.stderr);
    assert!(said.stderr.contains(TOLD), "{}", said.stderr);
    assert!(said.stderr.rfind("missing") > said.stderr.find(TOLD), "its own error ends it: {}", said.stderr);
}
