//! What a step sees of its layers, served as one view or one by one, and what it leaves. What operations come to on every
//! driver is the table of `tests/sandbox/table`.

use super::{DRIVERS, House, freeze, grown, inside, sh};
use crate::layer::Layer;
use crate::rootfs::testing::{dump, stack};
use crate::rootfs::{Driver, Error, Follow};

/// The stack of every row, bottom first: the first is served merged, the others one by one once it is known.
const LAYERS: [&str; 3] = [
    "d bin 0755\nf bin/tool old 0755 7:8\nd dir\nf dir/a 1\nf dir/b 2\nd dir/sub\nf dir/sub/deep 3\nl link dir/a\n\
     f one 1\nh two one\nd gone\nf gone/x 1\nd sticky 1777\nd full\nf full/1 x\nd owned 0700 7:8\nf owned/f x",
    "w gone\nd full\no full\nf full/2 y\nf dir/c 4\np fifo\nx capped user.mark=kept\nh lower dir/sub/deep",
    "f dir/sub/top 5\nw dir/b\nf owned/g y\nf gone/y 2",
];

const ROWS: &[(&str, &str, &str, &[&str])] = &[
    ("nothing", "true", "", &[]),
    ("what is there", "ls -A", "bin capped dir fifo full gone link lower one owned sticky two", &[]),
    ("merged names", "ls -A dir dir/sub full gone", "dir: a c sub dir/sub: deep top full: 2 gone: y", &[]),
    ("merged bytes", "cat dir/a dir/c dir/sub/deep dir/sub/top full/2 lower link", "1435y31", &[]),
    ("owner and mode", "stat -c %a:%u:%g bin/tool owned sticky", "755:7:8 700:7:8 1777:0:0", &[]),
    ("mtime with nanoseconds", "stat -c %.9Y dir/a dir", "1000000000.123456789 1000000000.123456789", &[]),
    ("hard links are one inode", "[ $(stat -c %i one) = $(stat -c %i two) ] && stat -c %h one", "2", &[]),
    ("extended attributes", "getfattr --only-values -n user.mark capped; getfattr -d dir", "kept", &[]),
    ("reading changes nothing", "find . -type f | xargs cat >/dev/null; ls -laR >/dev/null", "", &[]),
    ("create", "echo new > dir/new; chmod 600 dir/new; cat dir/new", "new", &["d dir", "f dir/new new 600"]),
    ("create at the top", "echo new > new", "", &["f new new"]),
    ("create deep", "mkdir -p a/b/c; echo x > a/b/c/f", "", &["d a", "d a/b", "d a/b/c", "f a/b/c/f x"]),
    ("empty directory and file", "mkdir e; : > z", "", &["d e", "f z "]),
    ("modify", "echo more >> dir/a; cat dir/a", "1more", &["d dir", "f dir/a 1more"]),
    ("modify keeps the owner", "echo x >> bin/tool", "", &["d bin", "f bin/tool oldx 755 7:8"]),
    (
        "the inode number outlives the copy",
        "i=$(stat -c %i dir/a); echo x > dir/a; [ $i = $(stat -c %i dir/a) ]",
        "",
        &["d dir", "f dir/a x"],
    ),
    ("truncate", ": > dir/a", "", &["d dir", "f dir/a "]),
    ("delete", "rm dir/a; ls dir", "c sub", &["d dir", "w dir/a"]),
    ("delete what only the top has", "rm dir/sub/top", "", &["d dir", "d dir/sub", "w dir/sub/top"]),
    (
        "delete a tree",
        "rm -r dir; ls",
        "bin capped fifo full gone link lower one owned sticky two",
        &["w dir"],
    ),
    ("create and delete", "echo x > x; mkdir y; rm x; rmdir y", "", &[]),
    (
        "delete and recreate a directory",
        "rm -r dir; mkdir dir; echo n > dir/n; ls dir",
        "n",
        &["d dir", "o dir", "f dir/n n"],
    ),
    ("a directory for a file", "rm one; mkdir one; echo x > one/x", "", &["d one", "f one/x x"]),
    ("a file for a directory", "rm -r dir; echo x > dir", "", &["f dir x"]),
    ("rename a file", "mv dir/a moved; cat moved", "1", &["d dir", "w dir/a", "f moved 1"]),
    ("rename over", "mv dir/a dir/c; ls dir", "c sub", &["d dir", "w dir/a", "f dir/c 1"]),
    (
        "rename a directory",
        "mv owned moved; ls moved",
        "f g",
        &["d moved 700 7:8", "f moved/f x", "f moved/g y", "w owned"],
    ),
    ("chmod a file", "chmod 4711 dir/a", "", &["d dir", "f dir/a 1 4711"]),
    ("chmod a directory", "chmod 2775 dir; stat -c %a dir", "2775", &["d dir 2775"]),
    ("chmod the root", "chmod 711 .", "", &["d . 711"]),
    ("chmod and back", "chmod 700 dir; chmod 755 dir", "", &[]),
    ("touch a directory", "touch -d @5 dir", "", &["d dir"]),
    ("chown", "chown 3:4 dir/a dir/c", "", &["d dir", "f dir/a 1 3:4", "f dir/c 4 3:4"]),
    ("owner of a parent is kept", "echo x > owned/new", "", &["d owned 700 7:8", "f owned/new x"]),
    ("hard link of a new file", "echo x > n; ln n m", "", &["f m x", "h n m"]),
    ("hard link of a lower file", "ln dir/a linked", "", &["d dir", "f dir/a 1", "h linked dir/a"]),
    ("symlinks", "ln -s /nowhere s; ln -sfn dir/c link", "", &["l link dir/c", "l s /nowhere"]),
    ("hard link of a symlink", "ln -s t s; ln -P s s2", "", &["l s t", "h s2 s"]),
    ("fifo", "mkfifo -m 622 p", "", &["p p 622"]),
    (
        "a socket is left out",
        "perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local=>\"sock\", Listen=>1) or die $!'",
        "",
        &[],
    ),
    (
        "capability",
        "cp bin/tool cap; chmod 755 cap; setcap cap_net_raw+ep cap; getcap cap",
        "cap cap_net_raw=ep",
        &[
            "f cap old 755 security.capability=\\x01\\x00\\x00\\x02\\x00 \\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00",
        ],
    ),
    (
        "user attribute",
        "setfattr -n user.k -v v dir/a; setfattr -n user.d -v v full",
        "",
        &["d dir", "f dir/a 1 user.k=v", "d full user.d=v"],
    ),
    ("attributes survive a copy-up", "chmod 600 capped", "", &["f capped  600 user.mark=kept"]),
    (
        "overlayfs' own attributes are not the image's",
        "mkdir o; setfattr -n user.overlay.opaque -v y o",
        "",
        &["d o"],
    ),
    ("a bare new name in an opaque directory", "touch full/3", "", &["d full", "f full/3 "]),
    ("delete from an opaque directory", "rm full/2", "", &["d full", "w full/2"]),
    ("bytes in a name", "echo x > \"$(printf 'a\\tb\\\\\\303\\251')\"", "", &["f a\\tb\\\\\\xc3\\xa9 x"]),
];

/// What a layer says. The fuse driver writes the root's unchanged entry before what is written in it, as it does for
/// every directory; that changes nothing, and the table does not mention it.
fn left(driver: Driver, layer: &Layer, expected: &[&str]) -> Vec<String> {
    let mut lines = dump(layer);
    if driver == Driver::Fuse && !expected.contains(&"d .") && lines.first().is_some_and(|line| line == "d .")
    {
        lines.remove(0);
    }
    lines
}

#[test]
fn rows() {
    if !inside("rows::rows") {
        return;
    }
    // The stack as one merged view, then as a merged base with layers one by one above it.
    for (driver, base) in [(Driver::Kernel, 3), (Driver::Kernel, 1), (Driver::Fuse, 3), (Driver::Plain, 3)] {
        let house = House::new();
        let all = stack(&LAYERS);
        house.run(driver, &stack(&LAYERS[..base]), "true", &[]);
        for (row, script, said, frozen) in ROWS {
            let (got, layer) = house.run(driver, &all, script, &[]);
            assert_eq!(got, *said, "{row}, {driver:?}, base {base}: what it said");
            assert_eq!(left(driver, &layer, frozen), *frozen, "{row}, {driver:?}, base {base}: what it left");
        }
        house.stop();
    }
}

#[test]
fn stubs_never_reach_the_layer() {
    if !inside("rows::stubs_never_reach_the_layer") {
        return;
    }
    let house = House::new();
    let stack = stack(&["d etc\nf etc/passwd x\nd run"]);
    for (row, script, ignore, frozen) in [
        ("a stub file", ": > etc/hosts", &["etc/hosts"][..], &[][..]),
        ("stub directories", "mkdir -p proc run/a/b", &["proc", "run/a", "run/a/b"], &[]),
        (
            "a used stub directory",
            "mkdir -p run/a/b; echo x > run/a/f",
            &["run/a", "run/a/b"],
            &["d run", "d run/a", "f run/a/f x"],
        ),
        ("a used stub file", "echo x > etc/hosts", &["etc/hosts"], &["d etc", "f etc/hosts x"]),
        (
            "a change beside a stub",
            ": > etc/hosts; echo y > etc/passwd",
            &["etc/hosts"],
            &["d etc", "f etc/passwd y"],
        ),
        ("a parent that changed too", ": > etc/hosts; chmod 700 etc", &["etc/hosts"], &["d etc 700"]),
        ("an empty file that the image has", ": > etc/passwd", &["etc/passwd"], &["d etc", "f etc/passwd "]),
        ("a path with slashes", ": > etc/hosts", &["/etc/hosts/"], &[]),
        ("not asked to be left out", ": > etc/hosts", &[], &["d etc", "f etc/hosts "]),
    ] {
        for driver in DRIVERS {
            let (_, layer) = house.run(driver, &stack, script, ignore);
            assert_eq!(left(driver, &layer, frozen), *frozen, "{row}, {driver:?}");
        }
    }
    house.stop();
}

#[test]
fn whiteouts_and_opaque_directories_stack_up() {
    if !inside("rows::whiteouts_and_opaque_directories_stack_up") {
        return;
    }
    let house = House::new();
    let mut all = stack(&["d d\nf d/0 x"]);
    // More steps than there are single lowers: the base is merged anew on the way.
    for step in 1..=20 {
        let script = format!("rm -r d; mkdir d; echo {step} > d/{step}; ls d; cat d/{step}");
        let (said, layer) = house.run(Driver::Kernel, &all, &script, &[]);
        assert_eq!(said, format!("{step} {step}"), "step {step}");
        assert_eq!(dump(&layer), ["d d", "o d", &format!("f d/{step} {step}")], "step {step}");
        all = grown(&all, layer);
    }
    assert!(all.resolve(b"d/20", Follow::Last).unwrap().node.is_some());
    house.stop();
}

#[test]
fn a_tree_deeper_than_the_kept_descriptors() {
    if !inside("rows::a_tree_deeper_than_the_kept_descriptors") {
        return;
    }
    let house = House::new();
    let script = "i=0; while [ $i -lt 300 ]; do mkdir d; cd d; i=$((i+1)); done; echo x > f";
    let (_, layer) = house.run(Driver::Kernel, &stack(&[]), script, &[]);
    assert_eq!(layer.index.inodes(), 302, "300 directories, a file and the root");
    house.stop();
}

#[test]
fn the_kernel_refuses_to_rename_a_lower_directory() {
    if !inside("rows::the_kernel_refuses_to_rename_a_lower_directory") {
        return;
    }
    // EXDEV (18), upon which mv(1) copies; the fuse driver renames it.
    let house = House::new();
    let script = "perl -e 'rename(\"d\", \"e\") or print int($!)'";
    // A name that an upper layer gave to a file in it stays that file's.
    let all = stack(&["d d\nf d/x 1", "h y d/x"]);
    for (driver, said, frozen) in
        [(Driver::Kernel, "18", &[][..]), (Driver::Fuse, "", &["w d", "d e", "f e/x 1", "h y e/x"])]
    {
        let (got, layer) = house.run(driver, &all, script, &[]);
        assert_eq!(got, said, "{driver:?}");
        assert_eq!(left(driver, &layer, frozen), *frozen, "{driver:?}");
    }
    house.stop();
}

#[test]
fn a_busy_root_is_detached_and_told() {
    if !inside("rows::a_busy_root_is_detached_and_told") {
        return;
    }
    let house = House::new();
    let (root, _live) = house.prepare(Driver::Kernel, &stack(&["f a 1"]));
    let held = std::fs::File::open(root.path().join("a")).unwrap();
    let at = root.path().to_owned();
    match freeze(root, &[]) {
        Err(Error::Busy { path }) => assert_eq!(path, at),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("frozen while in use"),
    }
    drop(held);
    assert_eq!(sh(house.dir.path(), "ls mounts"), "lower marked");
    house.stop();
}
