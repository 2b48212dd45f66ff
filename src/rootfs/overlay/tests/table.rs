//! The table: every operation in every place, against the same on a plain copy.
//!
//! A place is a way in which directory `d` with its known content comes about: from the stack, made by the step,
//! moved, made anew over what was removed. What a row saw, the merged tree and the tree after the next mount must
//! all equal the plain copy's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FallocateFlags, RenameFlags, Timespec, Timestamps, XattrFlags};

use super::dump::{self, Row};
use super::namespace::{Half, enter, has_many_ids};
use super::{Scratch, oracle};
use crate::rootfs::Stack;

/// What an operation saw.
type Saw = io::Result<String>;

struct Place {
    name: &'static str,
    layers: &'static [&'static str],
    setup: fn(&Path),
}

const TREE: &str = "
    dir d
    file d/f lower text of f
    link d/g d/f
    symlink d/s f
    fifo d/p
    dir d/sub
    file d/sub/x text of x
    dir d/sub/deep
    file d/sub/deep/y text of y
    dir d/empty
    dir other
    file other/o text of o";

/// The same content, made by a process.
fn make(d: &Path) {
    fs::create_dir(d).unwrap();
    fs::write(d.join("f"), "lower text of f").unwrap();
    fs::hard_link(d.join("f"), d.join("g")).unwrap();
    symlink("f", d.join("s")).unwrap();
    rustix::fs::mknodat(CWD, d.join("p"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    fs::create_dir_all(d.join("sub/deep")).unwrap();
    fs::write(d.join("sub/x"), "text of x").unwrap();
    fs::write(d.join("sub/deep/y"), "text of y").unwrap();
    fs::create_dir(d.join("empty")).unwrap();
}

const PLACES: &[Place] = &[
    Place { name: "below", layers: &[TREE], setup: |_| {} },
    Place {
        name: "above",
        layers: &["dir other\nfile other/o text of o"],
        setup: |root| make(&root.join("d")),
    },
    Place {
        name: "both",
        layers: &[TREE],
        setup: |root| {
            OpenOptions::new().append(true).open(root.join("d/f")).unwrap().write_all(b" and more").unwrap();
            fs::write(root.join("d/sub/new"), "new").unwrap();
            fs::set_permissions(root.join("d/empty"), fs::Permissions::from_mode(0o700)).unwrap();
            fs::write(root.join("d/sub/x"), "x again").unwrap();
        },
    },
    Place {
        name: "whited out",
        layers: &[TREE],
        setup: |root| {
            fs::remove_dir_all(root.join("d")).unwrap();
            fs::create_dir(root.join("d")).unwrap();
        },
    },
    Place {
        name: "opaque",
        layers: &[TREE],
        setup: |root| {
            fs::remove_dir_all(root.join("d")).unwrap();
            make(&root.join("d"));
        },
    },
    Place {
        name: "names made anew",
        layers: &[TREE],
        setup: |root| {
            for name in ["f", "g", "s", "p"] {
                fs::remove_file(root.join("d").join(name)).unwrap();
            }
            fs::write(root.join("d/f"), "lower text of f").unwrap();
            fs::hard_link(root.join("d/f"), root.join("d/g")).unwrap();
        },
    },
    Place {
        name: "moved from below",
        layers: &[MOVED],
        setup: |root| fs::rename(root.join("e"), root.join("d")).unwrap(),
    },
    Place {
        name: "moved over an empty one",
        layers: &[MOVED, "dir d"],
        setup: |root| fs::rename(root.join("e"), root.join("d")).unwrap(),
    },
    Place {
        name: "there and back",
        layers: &[TREE],
        setup: |root| {
            fs::rename(root.join("d"), root.join("other/d")).unwrap();
            fs::rename(root.join("other/d"), root.join("d")).unwrap();
        },
    },
    Place {
        name: "two layers",
        layers: &[
            TREE,
            "wh d/f\nfile d/f second f\nfile d/sub/x second x\nwh d/s\ndir d/sub/deep\nopaque d/sub/deep\nfile d/sub/deep/z z",
        ],
        setup: |_| {},
    },
];

const MOVED: &str = "
    dir e
    file e/f lower text of f
    link e/g e/f
    symlink e/s f
    fifo e/p
    dir e/sub
    file e/sub/x text of x
    dir e/sub/deep
    file e/sub/deep/y text of y
    dir e/empty
    dir other
    file other/o text of o";

fn done(result: io::Result<()>) -> Saw {
    result.map(|()| "done".into())
}

fn rename(from: &Path, to: &Path, flags: RenameFlags) -> Saw {
    done(rustix::fs::renameat_with(CWD, from, CWD, to, flags).map_err(io::Error::from))
}

fn names(d: &Path) -> Saw {
    let mut names = Vec::new();
    for entry in fs::read_dir(d)? {
        let entry = entry?;
        names.push(format!("{} {:?}", entry.file_name().display(), entry.file_type()?));
    }
    names.sort();
    Ok(names.join(", "))
}

fn overwrite(path: &Path, offset: u64, text: &str) -> Saw {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    file.write_all_at(text.as_bytes(), offset)?;
    let mut all = vec![0; usize::try_from(file.metadata()?.len()).unwrap()];
    file.read_exact_at(&mut all, 0)?;
    Ok(String::from_utf8_lossy(&all).into_owned())
}

fn mode(path: &Path, mode: u32) -> Saw {
    done(fs::set_permissions(path, fs::Permissions::from_mode(mode)))
}

fn allocate(path: &Path, flags: FallocateFlags, offset: u64, length: u64) -> Saw {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    rustix::fs::fallocate(&file, flags, offset, length)?;
    Ok(file.metadata()?.len().to_string())
}

type Operation = (&'static str, fn(&Path) -> Saw);

/// Each gets the path of `d`.
const OPERATIONS: &[Operation] = &[
    ("nothing", |_| Ok(String::new())),
    ("read a file", |d| fs::read_to_string(d.join("f"))),
    ("read through a symlink", |d| fs::read_to_string(d.join("s"))),
    ("read what is not there", |d| fs::read_to_string(d.join("none"))),
    ("list", names),
    ("list below", |d| names(&d.join("sub"))),
    ("list a file", |d| names(&d.join("f"))),
    ("create", |d| done(fs::write(d.join("n"), "new"))),
    ("create anew only", |d| done(File::create_new(d.join("f")).map(drop))),
    ("create read-only and write", |d| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o444).open(d.join("ro"))?;
        done(file.write_all(b"text"))
    }),
    ("create below a file", |d| done(fs::write(d.join("f/n"), "new"))),
    ("overwrite the middle", |d| overwrite(&d.join("f"), 6, "TEXT")),
    ("write through the other name", |d| overwrite(&d.join("g"), 0, "LOWER")),
    ("write past the end", |d| overwrite(&d.join("f"), 100, "far")),
    ("append", |d| {
        let mut file = OpenOptions::new().append(true).open(d.join("f"))?;
        file.write_all(b" one")?;
        file.write_all(b" two")?;
        fs::read_to_string(d.join("g"))
    }),
    ("truncate to nothing", |d| done(File::create(d.join("f")).map(drop))),
    ("truncate shorter", |d| done(OpenOptions::new().write(true).open(d.join("f"))?.set_len(5))),
    ("truncate longer", |d| done(OpenOptions::new().write(true).open(d.join("sub/x"))?.set_len(200_000))),
    ("write much", |d| done(fs::write(d.join("sub/x"), vec![b'm'; 300_000]))),
    ("grow in steps", |d| {
        let mut file = OpenOptions::new().append(true).open(d.join("sub/x"))?;
        (0..40).try_for_each(|_| file.write_all(&[b's'; 5000]))?;
        Ok(file.metadata()?.len().to_string())
    }),
    ("chmod", |d| mode(&d.join("f"), 0o4750)),
    ("chmod a directory", |d| mode(&d.join("sub"), 0o1777)),
    ("chmod to what it is", |d| mode(&d.join("f"), 0o644)),
    ("chown", |d| done(std::os::unix::fs::lchown(d.join("f"), Some(7), Some(8)))),
    ("chown a symlink", |d| done(std::os::unix::fs::lchown(d.join("s"), Some(7), Some(8)))),
    ("set a time", |d| {
        let time = Timespec { tv_sec: -3, tv_nsec: 7 };
        let times = Timestamps { last_access: time, last_modification: time };
        done(rustix::fs::utimensat(CWD, d.join("f"), &times, AtFlags::empty()).map_err(io::Error::from))
    }),
    ("unlink", |d| done(fs::remove_file(d.join("f")))),
    ("unlink a symlink", |d| done(fs::remove_file(d.join("s")))),
    ("unlink a directory", |d| done(fs::remove_file(d.join("sub")))),
    ("unlink and use", |d| {
        let file = OpenOptions::new().read(true).write(true).open(d.join("sub/x"))?;
        fs::remove_file(d.join("sub/x"))?;
        file.write_all_at(b"still", 0)?;
        let mut text = [0; 5];
        file.read_exact_at(&mut text, 0)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }),
    ("unlink and create again", |d| {
        fs::remove_file(d.join("f"))?;
        done(fs::write(d.join("f"), "again"))
    }),
    ("replace a file by a directory", |d| {
        fs::remove_file(d.join("f"))?;
        done(fs::create_dir_all(d.join("f/inner")))
    }),
    ("replace a directory by a file", |d| {
        fs::remove_dir_all(d.join("sub"))?;
        done(fs::write(d.join("sub"), "a file now"))
    }),
    ("rmdir", |d| done(fs::remove_dir(d.join("empty")))),
    ("rmdir with something in it", |d| done(fs::remove_dir(d.join("sub")))),
    ("rmdir a file", |d| done(fs::remove_dir(d.join("f")))),
    ("remove all", |d| done(fs::remove_dir_all(d))),
    ("remove all and make again", |d| {
        fs::remove_dir_all(d)?;
        fs::create_dir(d)?;
        done(fs::write(d.join("f"), "anew"))
    }),
    ("mkdir", |d| done(fs::create_dir(d.join("n")))),
    ("mkdir over a file", |d| done(fs::create_dir(d.join("f")))),
    ("remove and mkdir", |d| {
        fs::remove_dir_all(d.join("sub"))?;
        done(fs::create_dir(d.join("sub")))
    }),
    ("setgid is inherited", |d| {
        fs::set_permissions(d.join("sub"), fs::Permissions::from_mode(0o2755))?;
        done(fs::create_dir(d.join("sub/inherits")))
    }),
    ("symlink", |d| done(symlink("target", d.join("n")))),
    ("symlink over a name", |d| done(symlink("target", d.join("f")))),
    ("fifo", |d| {
        done(
            rustix::fs::mknodat(CWD, d.join("n"), rustix::fs::FileType::Fifo, 0o640.into(), 0)
                .map_err(Into::into),
        )
    }),
    ("socket", |d| {
        let made = rustix::fs::mknodat(CWD, d.join("n"), rustix::fs::FileType::Socket, 0o640.into(), 0);
        done(made.map_err(Into::into))
    }),
    ("link", |d| done(fs::hard_link(d.join("f"), d.join("n")))),
    ("link into another directory and write", |d| {
        fs::hard_link(d.join("f"), d.join("sub/n"))?;
        overwrite(&d.join("sub/n"), 0, "LINKED")
    }),
    ("link over a name", |d| done(fs::hard_link(d.join("f"), d.join("sub/x")))),
    ("link a directory", |d| done(fs::hard_link(d.join("sub"), d.join("n")))),
    ("link a symlink", |d| done(fs::hard_link(d.join("s"), d.join("n")))),
    ("rename a file", |d| rename(&d.join("f"), &d.join("n"), RenameFlags::empty())),
    ("rename a file over another", |d| rename(&d.join("f"), &d.join("sub/x"), RenameFlags::empty())),
    ("rename a file over its other name", |d| rename(&d.join("f"), &d.join("g"), RenameFlags::empty())),
    ("rename a file over a directory", |d| rename(&d.join("f"), &d.join("sub"), RenameFlags::empty())),
    ("rename a directory", |d| rename(&d.join("sub"), &d.join("n"), RenameFlags::empty())),
    ("rename a directory over a file", |d| rename(&d.join("sub"), &d.join("f"), RenameFlags::empty())),
    ("rename a directory over an empty one", |d| {
        rename(&d.join("sub"), &d.join("empty"), RenameFlags::empty())
    }),
    ("rename a directory over a full one", |d| {
        rename(&d.join("empty"), &d.join("sub"), RenameFlags::empty())
    }),
    ("rename a directory into itself", |d| {
        rename(&d.join("sub"), &d.join("sub/deep/n"), RenameFlags::empty())
    }),
    ("rename a directory out and write in it", |d| {
        let other = d.parent().unwrap().join("other/moved");
        fs::rename(d.join("sub"), &other)?;
        fs::write(other.join("deep/y"), "written after")?;
        fs::remove_file(other.join("x"))?;
        names(&other)
    }),
    ("rename d itself", |d| rename(d, &d.parent().unwrap().join("other/d"), RenameFlags::empty())),
    ("rename if free", |d| rename(&d.join("f"), &d.join("sub/x"), RenameFlags::NOREPLACE)),
    ("rename if free, and it is", |d| rename(&d.join("f"), &d.join("sub/n"), RenameFlags::NOREPLACE)),
    ("exchange files", |d| rename(&d.join("f"), &d.join("sub/x"), RenameFlags::EXCHANGE)),
    ("exchange a file and a directory", |d| rename(&d.join("f"), &d.join("sub"), RenameFlags::EXCHANGE)),
    ("exchange directories", |d| {
        rename(&d.join("sub"), &d.parent().unwrap().join("other"), RenameFlags::EXCHANGE)
    }),
    ("exchange with nothing", |d| rename(&d.join("f"), &d.join("n"), RenameFlags::EXCHANGE)),
    ("set an attribute", |d| {
        rustix::fs::setxattr(d.join("f"), "user.one", b"1", XattrFlags::CREATE)?;
        let again = rustix::fs::setxattr(d.join("f"), "user.one", b"2", XattrFlags::CREATE);
        rustix::fs::setxattr(d.join("sub"), "user.two", b"2", XattrFlags::empty())?;
        Ok(format!("{again:?}"))
    }),
    ("remove an attribute that is not there", |d| {
        done(rustix::fs::removexattr(d.join("f"), "user.none").map_err(Into::into))
    }),
    ("allocate", |d| allocate(&d.join("f"), FallocateFlags::empty(), 0, 10_000)),
    ("allocate past the end, keep the size", |d| {
        allocate(&d.join("f"), FallocateFlags::KEEP_SIZE, 0, 10_000)
    }),
    ("punch a hole", |d| {
        allocate(&d.join("f"), FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 2, 4)?;
        fs::read_to_string(d.join("g"))
    }),
    ("copy_file_range", |d| {
        let from = File::open(d.join("f"))?;
        let to = File::create_new(d.join("n"))?;
        let copied = rustix::fs::copy_file_range(&from, Some(&mut 2), &to, Some(&mut 0), 100)?;
        Ok(format!("{copied} {}", fs::read_to_string(d.join("n"))?))
    }),
    ("sparse file", |d| {
        let file = File::create_new(d.join("n"))?;
        file.write_all_at(b"end", 1 << 20)?;
        Ok(file.metadata()?.len().to_string())
    }),
];

/// Errors by number: texts differ between raw and wrapped ones.
fn seen(saw: Saw) -> Result<String, Option<i32>> {
    saw.map_err(|error| error.raw_os_error())
}

#[test]
fn every_operation_in_every_place_is_as_on_a_plain_copy() {
    if enter("rootfs::overlay::tests::table::every_operation_in_every_place_is_as_on_a_plain_copy")
        == Half::Outer
    {
        return;
    }
    rustix::process::umask(0o022.into());
    let operations: Vec<_> =
        OPERATIONS.iter().filter(|(name, _)| has_many_ids() || !name.starts_with("chown")).collect();
    let of_place = |place: &'static Place| {
        let wrong = operations.iter().filter_map(|(operation, run)| {
            row(place, *run).err().map(|difference| format!("{operation} [{}]: {difference}", place.name))
        });
        wrong.collect::<Vec<_>>()
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let places: Vec<_> = PLACES.iter().map(|place| scope.spawn(|| of_place(place))).collect();
        places.into_iter().flat_map(|place| place.join().unwrap()).collect()
    });
    let rows = PLACES.len() * operations.len();
    assert!(wrong.is_empty(), "{} of {rows} rows differ:\n{}", wrong.len(), wrong.join("\n"));
    println!("{rows} rows");
}

fn row(place: &Place, run: fn(&Path) -> Saw) -> Result<(), String> {
    let scratch = Scratch::new();
    let stack = scratch.stack(place.layers);
    let plain = scratch.make("plain");
    oracle::materialise(&dump::stack(&stack), &plain);
    (place.setup)(&plain);
    let expected = seen(run(&plain.join("d")));
    let expected_tree = dump::directory(&plain);

    let root = scratch.mount(&stack);
    (place.setup)(root.path());
    let saw = seen(run(&root.path().join("d")));
    let tree = dump::directory(root.path());
    let layer = scratch.freeze(root, &[]);
    let mut layers = stack.layers().to_vec();
    layers.push(layer);
    let frozen = dump::stack(&Stack::new(layers));

    if saw != expected {
        return Err(format!("saw {saw:?}, expected {expected:?}"));
    }
    compare("live", &tree, &expected_tree)?;
    compare("frozen", &frozen, &expected_tree)
}

fn compare(what: &str, tree: &[Row], expected: &[Row]) -> Result<(), String> {
    let without_root =
        |rows: &[Row]| rows.iter().filter(|row| !row.path.is_empty()).cloned().collect::<Vec<_>>();
    let (tree, expected) = (without_root(tree), without_root(expected));
    let more: Vec<_> = tree.iter().filter(|row| !expected.contains(row)).collect();
    let less: Vec<_> = expected.iter().filter(|row| !tree.contains(row)).collect();
    if more.is_empty() && less.is_empty() {
        return Ok(());
    }
    Err(format!("{what}\n    has {more:?}\n    not {less:?}"))
}
