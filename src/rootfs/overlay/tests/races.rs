//! Several at once: a huge directory read while it changes, `..` of what is being moved, one copy-up by many.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags};

use super::namespace::{Half, enter};
use super::{Scratch, dump};

#[test]
fn a_hundred_thousand_names_are_read_while_they_change() {
    if enter("rootfs::overlay::tests::races::a_hundred_thousand_names_are_read_while_they_change")
        == Half::Outer
    {
        return;
    }
    let scratch = Scratch::new();
    let lines = (0..100_000).map(|n| format!("file d/{n:06} {n}")).collect::<Vec<_>>().join("\n");
    let root = scratch.mount(&scratch.stack(&[&lines]));
    let d = root.path().join("d");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in (0..100_000).step_by(100) {
                fs::remove_file(d.join(format!("{n:06}"))).unwrap();
                fs::write(d.join(format!("new{n}")), "new").unwrap();
                fs::rename(d.join(format!("{:06}", n + 1)), d.join(format!("moved{n}"))).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        let mut passes = 0;
        while passes == 0 || !done.load(Ordering::Acquire) {
            passes += 1;
            let mut met = HashMap::new();
            for entry in fs::read_dir(&d).unwrap() {
                *met.entry(entry.unwrap().file_name().into_string().unwrap()).or_insert(0) += 1;
            }
            let stays = (0..100_000).filter(|n| n % 100 > 1).map(|n| format!("{n:06}"));
            let missed: Vec<_> = stays.filter(|name| met.get(name) != Some(&1)).collect();
            assert!(missed.is_empty(), "pass {passes}: not met once: {missed:?}");
            assert!(met.values().all(|times| *times == 1), "pass {passes}: a name was met twice");
        }
    });
    assert_eq!(fs::read_dir(&d).unwrap().count(), 100_000);
    let lines = dump::layer(&scratch.freeze(root, &[]));
    let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!((count("wh d/"), count("file d/new"), count("file d/moved")), (2000, 1000, 1000));
}

#[test]
fn the_parent_of_what_is_moved_is_one_of_the_two() {
    if enter("rootfs::overlay::tests::races::the_parent_of_what_is_moved_is_one_of_the_two") == Half::Outer {
        return;
    }
    let scratch = Scratch::new();
    let root = scratch
        .mount(&scratch.stack(&["dir a\ndir a/x\ndir a/x/deep\nfile a/x/f text\ndir b\ndir b/x\ndir c"]));
    let top = root.path();
    let at = |path: &str| top.join(path);
    let number = |path: &str| fs::metadata(at(path)).unwrap().ino();
    let parents = [number("a"), number("b")];
    let open = |path| rustix::fs::open(path, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty());
    let inside = open(at("a/x")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..1000 {
                rustix::fs::renameat_with(CWD, at("a/x"), CWD, at("b/x"), RenameFlags::EXCHANGE).unwrap();
                fs::rename(at("a/x"), at("c/x")).unwrap();
                fs::rename(at("c/x"), at("a/x")).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            let above =
                rustix::fs::openat(&inside, "..", OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap();
            let above = rustix::fs::fstat(above).unwrap().st_ino;
            assert!(parents.contains(&above) || above == number("c"), "{above}");
            // A path through both directions of the move leads to the same place, or nowhere.
            match fs::metadata(at("b/x/deep/../../../a")) {
                Ok(found) => assert_eq!(found.ino(), parents[0]),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
            }
        }
    });
    drop(inside);
    // All is back where it was, only the times of the three directories are not.
    assert_eq!(dump::layer(&scratch.freeze(root, &[])), ["dir a", "dir b", "dir c"]);
}

#[test]
fn many_writers_of_one_file_copy_it_once() {
    if enter("rootfs::overlay::tests::races::many_writers_of_one_file_copy_it_once") == Half::Outer {
        return;
    }
    // Small enough for memory, too large for it, and far too large.
    for length in [1_000, 100_000, 4 << 20] {
        let scratch = Scratch::new();
        let text = "0123456789".repeat(length / 10);
        let root = scratch.mount(&scratch.stack(&[&format!("file one {text}\nlink two one")]));
        std::thread::scope(|scope| {
            for writer in 0..8_u8 {
                let path = root.path().join(["one", "two"][usize::from(writer % 2)]);
                scope.spawn(move || {
                    let file = OpenOptions::new().write(true).open(path).unwrap();
                    file.write_all_at(&[b'a' + writer], u64::from(writer) * 100).unwrap();
                });
            }
        });
        let mut expected = text.into_bytes();
        for writer in 0..8_u8 {
            expected[usize::from(writer) * 100] = b'a' + writer;
        }
        assert!(fs::read(root.path().join("one")).unwrap() == expected, "{length}");
        let [one, two] =
            ["one", "two"].map(|name| File::open(root.path().join(name)).unwrap().metadata().unwrap());
        assert_eq!((one.ino(), one.nlink()), (two.ino(), 2));
        assert_eq!(dump::layer(&scratch.freeze(root, &[])), ["file+ one", "file+ two"], "{length}");
    }
}
