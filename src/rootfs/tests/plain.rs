//! What only the `plain` driver can get wrong: changes that leave no trace but the change time, what a directory cannot
//! hold, and a tree that serves several steps.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{Timespec, Timestamps, futimens};

use super::{House, freeze, grown, inside, sh};
use crate::rootfs::testing::{dump, layer, stack};
use crate::rootfs::{Driver, Ids, Room, Stack};

/// Writes `byte` over the first of a file, and gives it back its time.
fn rewrite_in_place(path: &Path, byte: u8) {
    let file = File::options().write(true).open(path).unwrap();
    let before = file.metadata().unwrap();
    file.write_all_at(&[byte], 0).unwrap();
    let time = Timespec { tv_sec: before.mtime(), tv_nsec: before.mtime_nsec() };
    futimens(&file, &Timestamps { last_access: time, last_modification: time }).unwrap();
}

/// The words of a text, sorted: every file system has an order of its own.
fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<_> = text.split(' ').collect();
    words.sort_unstable();
    words
}

#[test]
fn a_rewrite_is_seen_however_soon_it_comes() {
    if !inside("plain::a_rewrite_is_seen_however_soon_it_comes") {
        return;
    }
    let house = House::new();
    let lines: Vec<_> = (0..200).map(|n| format!("f dir/{n:03} old")).collect();
    let mut all = stack(&[&lines.join("\n")]);
    // From the second round on the files are the step's before: they were written a moment ago, with the same time.
    for byte in b'a'..b'k' {
        let (root, _live) = house.prepare(Driver::Plain, &all);
        for n in 0..200 {
            rewrite_in_place(&root.path().join(format!("dir/{n:03}")), byte);
        }
        let layer = freeze(root, &[]).unwrap();
        let missed = (0..200).map(|n| format!("f dir/{n:03} {}ld", char::from(byte)));
        let lines = dump(&layer);
        let missed: Vec<_> = missed.filter(|line| !lines.contains(line)).collect();
        assert!(missed.is_empty(), "round {}: {missed:?}", char::from(byte));
        all = grown(&all, layer);
    }
    house.stop();
}

/// A page that was read before is then written through its mapping, of which a file system in memory never learns.
const THROUGH_A_MAPPING: &str = "python3 -c 'import mmap
with open(\"f\", \"r+b\") as file, mmap.mmap(file.fileno(), 0) as page:
    page[0] = page[0] + 1'";

#[test]
fn a_write_through_a_mapping_is_seen_in_memory_too() {
    if !inside("plain::a_write_through_a_mapping_is_seen_in_memory_too") {
        return;
    }
    if !Path::new("/usr/bin/python3").exists() {
        println!("skipped: needs python3");
        return;
    }
    for in_memory in ["no", "a tmpfs", "an overlay on a tmpfs"] {
        let house = House::new();
        let overlay = house.dir.path().join("overlay");
        let place = match in_memory {
            "no" => house.dir.path(),
            // that of the mount points
            "a tmpfs" => &house.mounts,
            _ => {
                let script = "mkdir t; mount -n -t tmpfs t t; mkdir t/u t/w t/l overlay; \
                    mount -n -t overlay o -o lowerdir=t/l,upperdir=t/u,workdir=t/w,userxattr overlay";
                sh(house.dir.path(), script);
                &overlay
            }
        };
        let live = tempfile::tempdir_in(place).unwrap();
        let shelf = tempfile::tempdir_in(place).unwrap();
        let room = Room { live: live.path().into(), shelf: Some(shelf.path().into()) };
        let step = |script| {
            let stack = stack(&["f f a\nf untouched x"]);
            let root = house.server.prepare(stack, Driver::Plain, &room, Ids::Mapped).unwrap();
            let said = sh(root.path(), script);
            (said, dump(&freeze(root, &[]).unwrap()))
        };
        assert_eq!(step(THROUGH_A_MAPPING).1, ["f f b"], "in memory: {in_memory}");
        assert_eq!(step("cat f").0, "a", "the next step's, in memory: {in_memory}");
        drop((live, shelf));
        if place == overlay {
            sh(house.dir.path(), "umount -n overlay; umount -n t");
        }
        house.stop();
    }
}

/// A file that could not be made as it is: owners that no map has, devices, setuid bits of such owners.
const BEYOND: &str = "f big x 4755 3000000:3000001\nc null 1:3 600 3000000:5\nd dir 2755 3000000:0\nf dir/f y 644 3000000:6\n\
                      l link big\nf plain z\nh hard plain";

const ROWS: &[(&str, &str, &[&str])] = &[
    ("nothing", "find . | xargs stat >/dev/null; cat big dir/f >/dev/null", &[]),
    (
        "attributes that were put back",
        "chmod 600 dir/f plain; chmod 644 dir/f plain",
        &["f hard z", "h plain hard"],
    ),
    ("one attribute put back", "chmod 600 dir/f; chmod 644 dir/f; chmod 700 dir; chmod 2755 dir", &[]),
    ("time put back", "touch dir/f; touch -d @1000000000.123456789 dir/f", &[]),
    (
        "bytes put back",
        "echo -n x > big; echo -n y > dir/f",
        &["f big x 4755 3000000:3000001", "d dir 2755 3000000:0", "f dir/f y 3000000:6"],
    ),
    ("moved and back", "mv dir/f f; mv f dir/f; touch -d @1000000000.123456789 dir", &[]),
    ("append", "echo -n more >> dir/f", &["d dir 2755 3000000:0", "f dir/f ymore 3000000:6"]),
    ("chmod", "chmod 700 big", &["f big x 700 3000000:3000001"]),
    ("chmod of a device", "chmod 666 null", &["c null 1:3 666 3000000:5"]),
    ("chown", "chown 1:1 big", &["f big x 755 1:1"]),
    ("move", "mv big moved", &["w big", "f moved x 4755 3000000:3000001"]),
    ("move a device", "mv null zero", &["w null", "c zero 1:3 600 3000000:5"]),
    ("move a directory", "mv dir other", &["w dir", "d other 2755 3000000:0", "f other/f y 3000000:6"]),
    ("replace", "rm big; echo -n z > big", &["f big z"]),
    (
        "swap",
        "mv dir/f t; mv plain dir/f; mv t plain",
        &["d dir 2755 3000000:0", "f dir/f z", "f hard z", "f plain y 3000000:6"],
    ),
    ("a name less", "rm hard", &["w hard"]),
    ("a name more", "ln plain third", &["f hard z", "h plain hard", "h third hard"]),
    ("another link", "ln -sfn plain link", &["l link plain"]),
    (
        "a new file in a directory of nobody's",
        "chmod 711 dir; echo -n n > dir/n",
        &["d dir 2711 3000000:0", "f dir/n n"],
    ),
];

#[test]
fn what_a_directory_cannot_hold_is_kept() {
    if !inside("plain::what_a_directory_cannot_hold_is_kept") {
        return;
    }
    let house = House::new();
    for (row, script, frozen) in ROWS {
        let (_, layer) = house.run(Driver::Plain, &stack(&[BEYOND]), script, &[]);
        let mut lines = dump(&layer);
        // Directories of which only the time tells.
        lines.retain(|line| !line.starts_with("d ") || frozen.contains(&&**line));
        if lines != *frozen && *row == "swap" {
            // dir/f is one of plain's names now, and the first.
            assert_eq!(
                lines,
                ["d dir 2755 3000000:0", "f dir/f z", "h hard dir/f", "f plain y 3000000:6"],
                "{row}"
            );
            continue;
        }
        assert_eq!(lines, *frozen, "{row}");
    }
    house.stop();
}

#[test]
fn a_tree_serves_the_next_step_and_shows_nothing_but_its_stack() {
    if !inside("plain::a_tree_serves_the_next_step_and_shows_nothing_but_its_stack") {
        return;
    }
    let house = House::new();
    let mut all = stack(&["d d\nf d/f 1\nf d/g 2\nf kept 3\nh also kept\nd e\nf e/f 4\nf still 5"]);
    let still = |root: &Path| root.join("still").metadata().unwrap().ino();
    let look = "find . -mindepth 1 -printf '%P:%y:%m:%n '; cat $(find . -type f | sort); \
                (getfattr -hRd -m - . 2>/dev/null | grep -v ^#; getfacl -pR . | grep default) || true";
    let mut inode = None;
    let mut used = 0;
    for (step, script) in [
        (
            "a socket",
            "perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local=>\"d/s\", Listen=>1) or die $!'",
        ),
        ("a stub", "mkdir -p stub/deep; : > stub/file; echo x > other"),
        ("attributes", "setfattr -n user.overlay.opaque -v y d; setfattr -n user.k -v v e"),
        ("a default ACL", "setfacl -d -m u:7:rwx d && echo y > d/y"),
        ("a name less", "rm also"),
        ("a tree replaced", "rm -r d; mkdir -m 700 d; ln kept d/k; ln -s kept l"),
        ("a directory for a file", "rm e/f; mkdir e/f; echo z > e/f/z"),
        ("nothing", "true"),
    ] {
        let (root, live) = house.prepare(Driver::Plain, &all);
        assert!(inode.is_none_or(|inode| inode == still(root.path())), "before {step}: made anew");
        let seen = sh(root.path(), look);
        let fresh_live = tempfile::tempdir_in(house.dir.path()).unwrap();
        let room = Room { live: fresh_live.path().to_owned(), shelf: None };
        let fresh = house.server.prepare(all.clone(), Driver::Plain, &room, Ids::Mapped).unwrap();
        assert_eq!(words(&seen), words(&sh(fresh.path(), look)), "before {step}");
        fresh.discard().unwrap();
        sh(root.path(), script);
        inode = Some(still(root.path()));
        let layer = freeze(root, &["stub", "stub/deep", "stub/file"]).unwrap();
        assert_eq!(std::fs::read_dir(live).unwrap().count(), 0, "after {step}: left in live");
        assert_eq!(std::fs::read_dir(&house.shelf).unwrap().count(), 1, "after {step}: on the shelf");
        all = grown(&all, layer);
        used += 1;
    }
    assert_eq!(used, 8);
    house.stop();
}

#[test]
fn layers_of_others_are_laid_over_a_used_tree() {
    if !inside("plain::layers_of_others_are_laid_over_a_used_tree") {
        return;
    }
    let house = House::new();
    let base = stack(&["d d\nf d/f 1\nf d/g 2\nf kept 3\nd e\nf e/f 4\nl link kept"]);
    let look = "find . -mindepth 1 \\( -type f -printf '%P:%m:%U ' -o -type d -printf '%P:%m ' -o -printf '%P:%l ' \\); \
                cat $(find . -type f | sort)";
    let over = [
        "f new n\nd d 700",
        "w d/f\nf d/g changed",
        "o e\nf e/only o",
        "h first kept",
        "w d\nf d file",
        "d d\nf d/again a 640 7:7",
        "w kept",
    ];
    let mut all = base.clone();
    for lines in over {
        all = grown(&all, layer(lines));
        // On a tree that somebody else used: a neighbour with the same base.
        let (_, left) = house.run(Driver::Plain, &base, "rm -r d; echo x > kept; mkdir -p new/tree", &[]);
        assert!(!dump(&left).is_empty());
        let (seen, layer) = house.run(Driver::Plain, &all, look, &[]);
        assert!(dump(&layer).is_empty(), "{lines}: {:?}", dump(&layer));
        let (expected, _) = house.run(Driver::Fuse, &all, look, &[]);
        assert_eq!(words(&seen), words(&expected), "{lines}");
    }
    house.stop();
}

#[test]
fn without_dev_fuse_it_is_the_one_that_works() {
    if !inside("plain::without_dev_fuse_it_is_the_one_that_works") {
        return;
    }
    // No node but the few that a container has: a server is started in a /dev of its own.
    sh(
        Path::new("/"),
        "d=$(mktemp -d); mount -n -t tmpfs dev $d; for n in null zero full random urandom tty; do : > $d/$n; \
         mount -n --bind /dev/$n $d/$n; done; mount -n --move $d /dev; rmdir $d",
    );
    let house = House::new();
    let all = stack(&["f f 1"]);
    let live = tempfile::tempdir_in(house.dir.path()).unwrap();
    let room = Room { live: live.path().to_owned(), shelf: None };
    for driver in [Driver::Kernel, Driver::Fuse] {
        let refusal = house
            .server
            .prepare(all.clone(), driver, &room, Ids::Mapped)
            .err()
            .expect("there is no /dev/fuse");
        assert_eq!(
            refusal.to_string(),
            "open /dev/fuse: No such file or directory (os error 2)",
            "{driver:?}"
        );
    }
    let (said, layer) = house.run(Driver::Plain, &all, "cat f; echo 2 > f", &[]);
    assert_eq!((&*said, dump(&layer)), ("1", vec!["f f 2".to_owned()]));
    house.stop();
}

/// The bytes of a file with holes arrive, and its holes stay.
#[test]
fn holes_stay_holes() {
    if !inside("plain::holes_stay_holes") {
        return;
    }
    let house = House::new();
    let tar = house.dir.path().join("sparse.tar");
    sh(
        house.dir.path(),
        "mkdir s; cd s; truncate -s 64M f; printf mid | dd of=f bs=1 seek=20000000 conv=notrunc 2>/dev/null; \
         truncate -s 1M empty; tar --sparse --format=posix -cf ../sparse.tar f empty",
    );
    let file = File::open(&tar).unwrap();
    let written = crate::layer::reindex(&file, &crate::layer::Limits::default()).unwrap();
    let all = Stack::new(vec![crate::rootfs::testing::read_back(written, file)]);
    let script = "[ $(stat -c %s f) = 67108864 ] && [ $(stat -c %b f) -lt 1000 ] && [ $(stat -c %b empty) = 0 ] && \
                  dd if=f bs=1 skip=20000000 count=3 2>/dev/null; tr -d '\\0' < f";
    let (said, layer) = house.run(Driver::Plain, &all, script, &[]);
    assert_eq!((&*said, dump(&layer)), ("midmid", Vec::new()));
    house.stop();
}
