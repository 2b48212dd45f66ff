//! What a table row cannot say: what exactly is in the layer, what happens when the disk is full, and programs at
//! work.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use rustix::fs::{OFlags, SeekFrom, XattrFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::namespace::{Half, enter, has_many_ids, is_real_root};
use super::{Scratch, dump};
use crate::rootfs::Stack;

pub const BASE: &str = "
    dir a
    file a/f text
    link a/g a/f
    dir a/sub
    file a/sub/x x
    dir b
    link b/h a/f
    symlink b/s f";

pub fn shell(script: &str, at: &Path) {
    let output = Command::new("sh").args(["-ec", script]).current_dir(at).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

struct Case {
    name: &'static str,
    step: &'static str,
    /// Entries of the frozen layer.
    layer: &'static str,
}

const CASES: &[Case] = &[
    Case { name: "only looked", step: "find . -ls >/dev/null; cat a/f", layer: "" },
    Case { name: "chmod to what it is", step: "chmod 644 a/f", layer: "" },
    Case {
        name: "there and back",
        step: "mv a/sub/x q; mv q a/sub/x; touch -d @1000000000.000000005 a/sub",
        layer: "",
    },
    Case { name: "a file", step: "echo 1 > b/n", layer: "dir b, file b/n" },
    Case { name: "an empty file", step: "touch b/n", layer: "dir b, file b/n" },
    Case {
        name: "attributes only",
        step: "chmod 600 b; chmod 700 a/sub/x",
        layer: "dir a, dir a/sub, file a/sub/x, dir b",
    },
    Case { name: "removed", step: "rm a/sub/x", layer: "dir a, dir a/sub, wh a/sub/x" },
    Case { name: "removed directory", step: "rm -r a", layer: "wh a" },
    Case { name: "made and removed", step: "mkdir n; rm -r n", layer: "" },
    Case { name: "made anew", step: "rm -r a; mkdir a; echo > a/n", layer: "opaque a, file a/n" },
    Case {
        name: "moved directory",
        step: "mv a n",
        layer: "wh a, dir b, file+ b/h, dir n, file+ n/f, file+ n/g, dir n/sub, file n/sub/x",
    },
    Case {
        name: "written through one of three names",
        step: "echo more >> b/h",
        layer: "dir a, file+ a/f, file+ a/g, dir b, file+ b/h",
    },
    Case { name: "one of three names goes", step: "rm b/h", layer: "dir b, wh b/h" },
    Case {
        name: "a fourth name",
        step: "ln a/f n",
        layer: "dir a, file+ a/f, file+ a/g, dir b, file+ b/h, file+ n",
    },
    Case {
        name: "a socket",
        step: "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"n\")'",
        layer: "",
    },
    Case {
        name: "a file becomes a directory",
        step: "rm b/s; mkdir b/s; echo > b/s/n",
        layer: "dir b, dir b/s, file b/s/n",
    },
    Case { name: "a directory becomes a file", step: "rm -r a; echo > a", layer: "file a" },
];

#[test]
fn the_layer_holds_what_changed_and_nothing_else() {
    if enter("rootfs::overlay::tests::cases::the_layer_holds_what_changed_and_nothing_else") == Half::Outer {
        return;
    }
    for case in CASES {
        let scratch = Scratch::new();
        let (mut lines, _) = scratch.run(&[BASE], |root| shell(case.step, root));
        lines.retain(|line| !line.starts_with("implicit"));
        assert_eq!(lines.join(", "), case.layer, "{}", case.name);
    }
}

#[test]
fn stubs_of_the_step_do_not_reach_the_layer() {
    if enter("rootfs::overlay::tests::cases::stubs_of_the_step_do_not_reach_the_layer") == Half::Outer {
        return;
    }
    let stubs = ["proc", "etc", "etc/hosts", "run/secrets", "run/secrets/key", "run"];
    let make = "mkdir -p proc etc run/secrets; touch etc/hosts run/secrets/key";
    for (name, base, step, layer) in [
        ("none used", "dir a", "true", ""),
        ("parent from below", "dir etc\nfile etc/passwd root", "true", ""),
        ("written to", "dir a", "echo 127.0.0.1 > etc/hosts", "dir etc, file etc/hosts"),
        ("parent used", "dir etc", "echo > etc/other", "dir etc, file etc/other"),
        ("in an own directory", "dir a", "echo > run/pid", "dir run, file run/pid"),
        ("the stack has it", "dir etc\nfile etc/hosts old", "true", ""),
    ] {
        let scratch = Scratch::new();
        let root = scratch.mount(&scratch.stack(&[base]));
        shell(make, root.path());
        shell("touch -m -d @1000000000.000000005 etc/hosts 2>/dev/null || true", root.path());
        shell(step, root.path());
        let layer_written = scratch.freeze(root, &stubs);
        let lines = dump::layer(&layer_written);
        assert_eq!(lines.join(", "), layer, "{name}");
    }
}

#[test]
fn a_full_disk_leaves_the_file_as_it_was() {
    if enter("rootfs::overlay::tests::cases::a_full_disk_leaves_the_file_as_it_was") == Half::Outer {
        return;
    }
    let scratch = Scratch::new();
    let text = "0123456789abcdef".repeat(1 << 18);
    let stack = scratch.stack(&[&format!("dir a\nfile a/big {text}")]);
    let live = scratch.make("live");
    rustix::mount::mount("tmpfs", &live, "tmpfs", MountFlags::empty(), c"size=1m").unwrap();
    let root = scratch.mount(&stack);
    let big = root.path().join("a/big");
    let file = OpenOptions::new().write(true).open(&big).unwrap();
    assert_eq!(file.write_all_at(b"new", 7).unwrap_err().raw_os_error(), Some(Errno::NOSPC.raw_os_error()));
    assert_eq!(fs::read_to_string(&big).unwrap(), text);
    assert_eq!(file.set_len(3 << 20).unwrap_err().raw_os_error(), Some(Errno::NOSPC.raw_os_error()));
    assert_eq!(fs::read_to_string(&big).unwrap(), text);
    // What fits still works: only what stays is copied.
    fs::set_permissions(&big, fs::Permissions::from_mode(0o600)).unwrap();
    file.set_len(500_000).unwrap();
    assert_eq!(fs::read_to_string(&big).unwrap(), text[..500_000]);
    drop(file);
    let mut file = OpenOptions::new().append(true).open(&big).unwrap();
    let error = file.write_all(&vec![b'n'; 1 << 20]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::NOSPC.raw_os_error()));
    drop(file);
    let length = fs::metadata(&big).unwrap().len();
    assert!((500_000..=1 << 20).contains(&length), "{length}");
    drop(scratch.freeze(root, &[]));
}

#[test]
fn a_mapped_write_that_is_lost_fails_the_freeze() {
    if enter("rootfs::overlay::tests::cases::a_mapped_write_that_is_lost_fails_the_freeze") == Half::Outer {
        return;
    }
    let scratch = Scratch::new();
    let text = "0123456789abcdef".repeat(1 << 18);
    let stack = scratch.stack(&[&format!("file big {text}")]);
    let live = scratch.make("live");
    rustix::mount::mount("tmpfs", &live, "tmpfs", MountFlags::empty(), c"size=1m").unwrap();
    let root = scratch.mount(&stack);
    shell(
        "python3 -c 'import mmap; f=open(\"big\",\"r+b\"); m=mmap.mmap(f.fileno(),0); m[5]=65'",
        root.path(),
    );
    let error = root.freeze(tempfile::tempfile().unwrap(), &[]).unwrap_err();
    assert!(error.to_string().contains("No space left"), "{error}");
}

#[test]
fn mapped_writes_reach_file_and_layer() {
    if enter("rootfs::overlay::tests::cases::mapped_writes_reach_file_and_layer") == Half::Outer {
        return;
    }
    let scratch = Scratch::new();
    let (_, rows) = scratch.run(&[BASE], |root| {
        shell(
            "python3 -c 'import mmap; f=open(\"a/f\",\"r+b\"); m=mmap.mmap(f.fileno(),0); m[0:2]=b\"TE\"'",
            root,
        );
        assert_eq!(fs::read_to_string(root.join("b/h")).unwrap(), "TExt");
    });
    let row = rows.iter().find(|row| row.path == "b/h").unwrap();
    assert_eq!((row.kind.as_str(), row.group.as_deref()), ("file TExt", Some("a/f")));
}

#[test]
fn ten_thousand_names_are_read_while_they_go() {
    if enter("rootfs::overlay::tests::cases::ten_thousand_names_are_read_while_they_go") == Half::Outer {
        return;
    }
    let scratch = Scratch::new();
    let lines = (0..10_000).map(|n| format!("file d/{n:05} {n}")).collect::<Vec<_>>().join("\n");
    let stack = scratch.stack(&[&lines]);
    let root = scratch.mount(&stack);
    let d = root.path().join("d");
    let mut seen = 0;
    for (count, entry) in fs::read_dir(&d).unwrap().enumerate() {
        fs::remove_file(entry.unwrap().path()).unwrap();
        if count % 10 == 0 {
            fs::write(root.path().join(format!("d/new{count}")), "new").unwrap();
        }
        seen += 1;
    }
    assert!(seen >= 10_000, "{seen}");
    let left = fs::read_dir(&d)
        .unwrap()
        .filter(|entry| !entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("new"));
    assert_eq!(left.count(), 0, "every name that was there was met");
    shell("for i in 1 2 3 4 5 6 7 8 9; do cp -r d d$i; done; rm -rf d d?", root.path());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    let lines = dump::layer(&scratch.freeze(root, &[]));
    assert_eq!(lines, ["wh d"]);
}

#[test]
fn names_and_what_is_refused() {
    if enter("rootfs::overlay::tests::cases::names_and_what_is_refused") == Half::Outer {
        return;
    }
    let scratch = Scratch::new();
    let (longest, longer) = ("n".repeat(255), "n".repeat(256));
    let (lines, _) = scratch.run(&[BASE], |root| {
        fs::write(root.join(&longest), "x").unwrap();
        let refused = |result: rustix::io::Result<()>, expected: Errno, what: &str| {
            assert_eq!(result, Err(expected), "{what}");
        };
        let open = |path: &Path, flags| rustix::fs::open(path, flags, 0o600.into()).map(drop);
        refused(open(&root.join(&longer), OFlags::CREATE | OFlags::WRONLY), Errno::NAMETOOLONG, "256 bytes");
        let f = root.join("a/f");
        refused(rustix::fs::setxattr(&f, "trusted.x", b"1", XattrFlags::empty()), Errno::PERM, "trusted");
        refused(rustix::fs::setxattr(&f, "user.", b"1", XattrFlags::empty()), Errno::INVAL, "no name");
        let figures = rustix::fs::statvfs(root).unwrap();
        assert!(figures.f_blocks > 0 && figures.f_namemax == 255);
    });
    assert_eq!(lines, [format!("file {longest}")]);
}

#[test]
fn setuid_and_capabilities_go_when_a_file_changes_hands() {
    if enter("rootfs::overlay::tests::cases::setuid_and_capabilities_go_when_a_file_changes_hands")
        == Half::Outer
    {
        return;
    }
    if !has_many_ids() {
        eprintln!("skipped the other user's write: one id is mapped here");
        return;
    }
    let scratch = Scratch::new();
    // VFS_CAP_REVISION_2, cap_net_raw=ep.
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let stack = scratch.stack(&["file x text\nfile y text\nfile z text"]);
    let root = scratch.mount(&stack);
    fs::set_permissions(scratch.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let at = |name: &str| root.path().join(name);
    for name in ["x", "y", "z"] {
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o6777)).unwrap();
        rustix::fs::setxattr(at(name), "security.capability", &capability, XattrFlags::empty()).unwrap();
    }
    let has_capability =
        |name: &str| rustix::fs::getxattr(at(name), "security.capability", &mut [0_u8; 64]).is_ok();
    let mode = |name: &str| fs::metadata(at(name)).unwrap().mode() & 0o7777;
    assert!(has_capability("x") && mode("x") == 0o6777);
    shell("exec setpriv --reuid=5 --regid=5 --clear-groups sh -c 'echo more >> x'", root.path());
    assert_eq!((mode("x"), has_capability("x")), (0o777, false), "written by another user");
    std::os::unix::fs::chown(at("y"), Some(5), None).unwrap();
    assert_eq!((mode("y"), has_capability("y")), (0o777, false), "given away");
    shell("exec setpriv --reuid=5 --regid=5 --clear-groups truncate -s 1 z", root.path());
    assert_eq!((mode("z"), has_capability("z")), (0o777, false), "truncated by another user");
    drop(scratch.freeze(root, &[]));
}

#[test]
fn a_tree_goes_in_and_comes_out_the_same() {
    if enter("rootfs::overlay::tests::cases::a_tree_goes_in_and_comes_out_the_same") == Half::Outer {
        return;
    }
    let scratch = Scratch::new();
    let plain = scratch.make("plain");
    shell(
        "mkdir -p t/deep/er; for i in $(seq 300); do echo $i > t/deep/$i; done; ln t/deep/1 t/one; ln -s one t/s;
         head -c 3000000 /dev/urandom > t/big; truncate -s 500000 t/hole; printf x >> t/hole; mkfifo t/p;
         chmod 1777 t/deep/er; touch -d @-5.5 t/deep/2; tar --format=posix -cf tar t",
        &plain,
    );
    let (_, rows) = scratch.run(&[BASE], |root| {
        let tar = scratch.path("plain/tar");
        shell(&format!("tar xf {0}; mkdir bb; busybox tar xf {0} -C bb; cp -a t copy", tar.display()), root);
        for tree in ["t", "copy", "bb/t"] {
            shell(
                &format!(
                    "diff -r --exclude=p {} {tree} && cmp t/big {tree}/big",
                    scratch.path("plain/t").display()
                ),
                root,
            );
        }
    });
    let strip = |rows: &[dump::Row], prefix: &str| {
        let inside = rows.iter().filter_map(|row| {
            let path = row.path.strip_prefix(prefix)?.to_owned();
            let group = row.group.as_ref().map(|group| group.trim_start_matches(prefix).to_owned());
            Some(dump::Row { path, group, ..row.clone() })
        });
        inside.collect::<Vec<_>>()
    };
    let expected = strip(&dump::directory(&plain), "t/");
    assert_eq!(strip(&rows, "t/"), expected);
    assert_eq!(strip(&rows, "copy/"), expected);
}

#[test]
fn more_small_files_than_memory_takes() {
    if enter("rootfs::overlay::tests::cases::more_small_files_than_memory_takes") == Half::Outer {
        return;
    }
    let scratch = Scratch::new();
    let root = scratch.mount(&Stack::new(Vec::new()));
    let text = |n: usize| vec![u8::try_from(n % 251).unwrap(); 60_000];
    for n in 0..1200 {
        fs::write(root.path().join(n.to_string()), text(n)).unwrap();
    }
    assert!(fs::read_dir(scratch.path("live")).unwrap().count() > 50, "some are on the disk");
    for n in 0..1200 {
        assert_eq!(fs::read(root.path().join(n.to_string())).unwrap(), text(n), "{n}");
        fs::remove_file(root.path().join(n.to_string())).unwrap();
    }
    root.discard().unwrap();
    assert!(!scratch.path("mnt").exists());
    assert_eq!(fs::read_dir(scratch.path("live")).unwrap().count(), 0);
}

#[test]
fn holes_direct_io_and_removed_files() {
    if enter("rootfs::overlay::tests::cases::holes_direct_io_and_removed_files") == Half::Outer {
        return;
    }
    let scratch = Scratch::new();
    let root = scratch.mount(&scratch.stack(&[BASE]));
    let path = root.path().join("n");
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    file.write_all_at(b"data", 1 << 20).unwrap();
    assert_eq!(rustix::fs::seek(&file, SeekFrom::Data(0)), Ok(1 << 20));
    assert_eq!(rustix::fs::seek(&file, SeekFrom::Hole(1 << 20)), Ok((1 << 20) + 4));
    assert_eq!(rustix::fs::seek(&file, SeekFrom::Data(2 << 20)), Err(Errno::NXIO));
    rustix::fs::seek(&file, SeekFrom::Start(0)).unwrap();
    fs::remove_file(&path).unwrap();
    let mut all = Vec::new();
    file.read_to_end(&mut all).unwrap();
    assert_eq!((all.len(), &all[1 << 20..]), ((1 << 20) + 4, &b"data"[..]));
    assert_eq!(file.metadata().unwrap().nlink(), 0);
    drop(file);
    // The last reference goes with a FORGET, which nobody waits for.
    for _ in 0..200 {
        if fs::read_dir(scratch.path("live")).unwrap().count() == 0 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(fs::read_dir(scratch.path("live")).unwrap().count(), 0, "a removed file's bytes are gone");
    shell(
        "dd if=/dev/zero of=direct bs=64k count=10 oflag=direct; dd if=direct of=/dev/null bs=64k iflag=direct",
        root.path(),
    );
    assert_eq!(fs::metadata(root.path().join("direct")).unwrap().len(), 640 << 10);
    root.discard().unwrap();
}

#[test]
fn devices_and_owners_are_rows() {
    if enter("rootfs::overlay::tests::cases::devices_and_owners_are_rows") == Half::Outer {
        return;
    }
    if !is_real_root() {
        eprintln!("skipped devices: mknod(2) of a device needs the real root");
        return;
    }
    let scratch = Scratch::new();
    let (lines, rows) = scratch.run(&["char null\nfile f x"], |root| {
        shell("mknod d c 5 300; mknod b b 259 70000; chown 4000000000:3000000000 f; mv null n", root);
        assert!(
            File::open(root.join("n")).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
        );
    });
    assert_eq!(lines, ["device b", "device d", "file f", "device n", "wh null"]);
    let f = rows.iter().find(|row| row.path == "f").unwrap();
    assert_eq!(f.owner, (4_000_000_000, 3_000_000_000));
}

#[test]
fn workers_at_once_do_not_disturb_each_other() {
    if enter("rootfs::overlay::tests::cases::workers_at_once_do_not_disturb_each_other") == Half::Outer {
        return;
    }
    let scratch = Scratch::new();
    let text = "lower-".repeat(20_000);
    let lower = (0..8).map(|n| format!("file d/{n} {text}")).collect::<Vec<_>>().join("\n");
    let (_, rows) = scratch.run(&[&lower, "dir e\ndir f"], |root| {
        std::thread::scope(|scope| {
            for worker in 0..8 {
                scope.spawn(move || work(root, worker));
            }
        });
    });
    let files = rows.iter().filter(|row| row.path.starts_with("f/") && row.kind.starts_with("file"));
    assert_eq!(files.count(), 8 * 50);
    for worker in 0..8 {
        let row = rows.iter().find(|row| row.path == format!("d/{worker}")).unwrap();
        let expected = format!("{text}{}", "more".repeat(50));
        assert_eq!(
            row.kind,
            format!("file {} bytes {}", expected.len(), blake3::hash(expected.as_bytes()).to_hex())
        );
    }
    assert!(!rows.iter().any(|row| row.path.starts_with("e/")));
}

/// Creates, moves, links and removes in directories that all workers use, and appends to a file of its own from below.
fn work(root: &Path, worker: usize) {
    let mut own = OpenOptions::new().append(true).open(root.join(format!("d/{worker}"))).unwrap();
    for n in 0..50 {
        let name = format!("{worker}-{n}");
        let (d, e, f) = (root.join("d").join(&name), root.join("e").join(&name), root.join("f").join(&name));
        fs::write(&d, vec![b'x'; n * 3000]).unwrap();
        fs::rename(&d, &e).unwrap();
        fs::hard_link(&e, &f).unwrap();
        assert!(fs::read_dir(root.join("e")).unwrap().count() >= 1);
        fs::remove_file(&e).unwrap();
        assert_eq!(fs::read(&f).unwrap().len(), n * 3000);
        own.write_all(b"more").unwrap();
    }
}
