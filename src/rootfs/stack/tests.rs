use std::io::Read as _;

use super::{Follow, Node, Stack};
use crate::layer::Kind;
use crate::rootfs::Error;
use crate::rootfs::testing::{TIME, stack};

/// Everything in a stack, one word per entry: a directory's path with a slash, a file's with its text.
fn tree(stack: &Stack) -> String {
    let mut words = Vec::new();
    walk(stack, &stack.root(), "", &mut words);
    words.join(" ")
}

fn walk(stack: &Stack, dir: &Node, path: &str, words: &mut Vec<String>) {
    for (name, node) in stack.read_dir(dir) {
        assert_eq!(
            stack.child(dir, &name).as_ref(),
            Some(&node),
            "read_dir and child differ on {path}{}",
            name.escape_ascii()
        );
        let path = format!("{path}{}", name.escape_ascii());
        match stack.inode(&node).kind {
            Kind::Directory => {
                words.push(format!("{path}/"));
                walk(stack, &node, &format!("{path}/"), words);
            }
            Kind::File => {
                let mut text = String::new();
                stack.open(&node).read_to_string(&mut text).unwrap();
                words.push(format!("{path}={text}"));
            }
            Kind::Symlink(target) => words.push(format!("{path}->{}", target.escape_ascii())),
            other => words.push(format!("{path}:{other:?}")),
        }
    }
}

#[test]
fn layers_merge_by_name() {
    for (row, layers, merged) in [
        ("nothing", &[][..], ""),
        ("one layer", &["d a\nf a/x 1"], "a/ a/x=1"),
        ("names add up", &["f a/x 1", "f a/y 2"], "a/ a/x=1 a/y=2"),
        ("the upper file wins", &["f a 1", "f a 2"], "a=2"),
        ("a whiteout hides a file", &["f a 1\nf b 1", "w a"], "b=1"),
        ("a whiteout hides a tree", &["f a/b/c 1\nf d 1", "w a"], "d=1"),
        ("a whiteout hides only what is below", &["f a 1", "w a", "f a 3"], "a=3"),
        ("a whiteout of nothing", &["f a 1", "w b"], "a=1"),
        ("a whiteout in an implicit directory", &["f a/b/c 1\nf a/b/d 2", "w a/b/c"], "a/ a/b/ a/b/d=2"),
        ("opaque hides what was in it", &["f a/x 1", "d a\no a\nf a/y 2"], "a/ a/y=2"),
        ("opaque hides deep", &["f a/b/c 1", "d a\no a\nd a/b"], "a/ a/b/"),
        (
            "opaque hides all layers below",
            &["f a/x 1", "f a/y 2", "o a\nf a/z 3", "f a/w 4"],
            "a/ a/w=4 a/z=3",
        ),
        ("deleted and recreated", &["f a/x 1", "w a", "f a/y 2"], "a/ a/y=2"),
        ("opaque root", &["f a 1", "o .\nf b 2"], "b=2"),
        ("a file over a directory", &["f a/x 1", "f a 2"], "a=2"),
        ("a directory over a file", &["f a 1", "d a\nf a/x 2"], "a/ a/x=2"),
        ("a directory over a file over a directory", &["f a/x 1", "f a 2", "f a/y 3"], "a/ a/y=3"),
        ("a link over a directory is no directory", &["f a/x 1", "l a b"], "a->b"),
        ("hard link in a layer", &["f a 1\nh b a"], "a=1 b=1"),
        ("hard link to a lower layer", &["f a/x 1", "h b a/x"], "a/ a/x=1 b=1"),
        ("link below skips what its own layer says of the target", &["f a 1", "h b a\nw a"], "b=1"),
        ("link below goes through a link", &["f d/x 1\nl e d", "h b e/x"], "b=1 d/ d/x=1 e->d"),
        ("link to a link is the link", &["f x 1\nl s x", "h b s"], "b->x s->x x=1"),
        ("link below that leads nowhere", &["f a 1", "h b nowhere"], "a=1"),
        ("link below to a directory", &["d a", "h b a"], "a/"),
        ("link below over two layers", &["f a 1", "h b a", "h c b"], "a=1 b=1 c=1"),
        (
            "a deep name",
            &["f a/b/c/d/e/f/g 1", "w a/b/c/d/e/f/g"],
            "a/ a/b/ a/b/c/ a/b/c/d/ a/b/c/d/e/ a/b/c/d/e/f/",
        ),
    ] {
        assert_eq!(tree(&stack(layers)), merged, "{row}");
    }
}

#[test]
fn attributes_come_from_the_topmost_entry() {
    for (row, layers, path, mode, owner) in [
        ("the only entry", &["d a 0700 1:2"][..], "a", 0o700, (1, 2)),
        ("implicit above explicit", &["d a 0700 1:2", "f a/x 1"], "a", 0o700, (1, 2)),
        ("explicit above explicit", &["d a 0700 1:2", "d a 0711 3:4"], "a", 0o711, (3, 4)),
        ("a whiteout in it changes nothing", &["d a 0700 1:2\nf a/x 1", "w a/x"], "a", 0o700, (1, 2)),
        ("the root too", &["d . 0711 1:2", "f x 1"], "", 0o711, (1, 2)),
        ("setuid and large ids", &["f a x 4755 3000000:4000000"], "a", 0o4755, (3_000_000, 4_000_000)),
    ] {
        let stack = stack(layers);
        let node = stack.resolve(path.as_bytes(), Follow::Parents).unwrap().node.expect(row);
        let inode = stack.inode(&node);
        assert_eq!((inode.mode, (inode.uid, inode.gid), inode.mtime), (mode, owner, TIME), "{row}");
    }
}

#[test]
fn hard_links_share_their_identity() {
    let stack = stack(&["f a 1\nh b a\nf c 1", "h d a\nh e b\nf f 1"]);
    let id = |name: &str| stack.file_id(&stack.child(&stack.root(), name.as_bytes()).unwrap());
    for (one, other, same) in
        [("a", "b", true), ("a", "d", true), ("d", "e", true), ("a", "c", false), ("c", "f", false)]
    {
        assert_eq!(id(one) == id(other), same, "{one} and {other}");
    }
}

#[test]
fn paths_resolve_inside_the_root() {
    let stack = stack(&[
        "d usr\nd usr/bin\nf usr/bin/sh text\nl bin usr/bin\nl abs /usr/bin/sh\nl up ../../../usr\nl loop loop\nd d",
        "l d/rel ../bin/sh\nl dangling /nowhere/x\nl chain abs\nl d/root /\nf file 1\nl slash usr/",
    ]);
    let missing = |path: &str| (path.to_owned(), false);
    let found = |path: &str| (path.to_owned(), true);
    for (path, follow, expected) in [
        ("", Follow::Last, found("")),
        ("/", Follow::Last, found("")),
        ("..", Follow::Last, found("")),
        ("/../../usr", Follow::Last, found("usr")),
        ("usr/./bin//sh", Follow::Last, found("usr/bin/sh")),
        ("bin/sh", Follow::Last, found("usr/bin/sh")),
        ("bin", Follow::Last, found("usr/bin")),
        ("bin", Follow::Parents, found("bin")),
        ("bin/.", Follow::Parents, found("usr/bin")),
        ("bin/..", Follow::Last, found("usr")),
        ("abs", Follow::Last, found("usr/bin/sh")),
        ("chain", Follow::Last, found("usr/bin/sh")),
        ("up/bin", Follow::Last, found("usr/bin")),
        ("d/rel", Follow::Last, found("usr/bin/sh")),
        ("d/root/d", Follow::Last, found("d")),
        ("slash/bin", Follow::Last, found("usr/bin")),
        ("nothing/at/all", Follow::Last, missing("nothing/at/all")),
        ("bin/new", Follow::Last, missing("usr/bin/new")),
        ("nothing/../usr", Follow::Last, found("usr")),
        ("dangling", Follow::Last, missing("nowhere/x")),
        ("dangling", Follow::Parents, found("dangling")),
    ] {
        let resolved =
            stack.resolve(path.as_bytes(), follow).unwrap_or_else(|error| panic!("{path}: {error}"));
        let got = (String::from_utf8(resolved.path).unwrap(), resolved.node.is_some());
        assert_eq!(got, expected, "{path} {follow:?}");
    }
    for (path, error) in [
        ("loop", "resolve loop: more than 40 symbolic links on the way"),
        ("file/x", "resolve file/x: file is not a directory"),
        ("bin/sh/../x", "resolve bin/sh/../x: usr/bin/sh is not a directory"),
    ] {
        assert_eq!(stack.resolve(path.as_bytes(), Follow::Last).unwrap_err().to_string(), error, "{path}");
    }
}

#[test]
fn small_files_are_read_within_a_limit() {
    let stack = stack(&["f etc/passwd root:x:0:0\nd dir\nl link /etc/passwd\np fifo"]);
    for (path, limit, expected) in [
        ("etc/passwd", 100, Ok(Some("root:x:0:0"))),
        ("/link", 10, Ok(Some("root:x:0:0"))),
        ("absent", 10, Ok(None)),
        ("etc/absent/deep", 10, Ok(None)),
        ("etc/passwd", 9, Err("read etc/passwd: 10 bytes, at most 9 are read")),
        ("dir", 10, Err("read dir: not a regular file")),
        ("fifo", 10, Err("read fifo: not a regular file")),
        ("etc/passwd/x", 10, Err("resolve etc/passwd/x: etc/passwd is not a directory")),
    ] {
        let read = stack.read(path.as_bytes(), limit);
        let got = read.map(|bytes| bytes.map(|bytes| String::from_utf8(bytes).unwrap()));
        let got = got.as_ref().map(Option::as_deref).map_err(Error::to_string);
        assert_eq!(got, expected.map_err(str::to_owned), "{path} {limit}");
    }
}

#[test]
fn names_are_counted_over_all_layers() {
    for (row, layers, counts) in [
        ("its layer knows", &["f a 1\nh b a\nh c b\nf d 1"][..], &[][..]),
        ("nothing is linked", &["f a 1\nf d/b 2", "f a 3"], &[]),
        ("one is hidden", &["f a 1\nh b a\nh c b\nf d 1", "w b"], &[("a", 2)]),
        ("one is replaced", &["f a 1\nh b a\nh c b\nf d 1", "f b 2"], &[("a", 2), ("b", 1)]),
        ("its directory is hidden", &["f a 1\nh d/b a", "d d\no d"], &[("a", 1)]),
        ("its directory is merged", &["f a 1\nh d/b a", "f d/c 2"], &[("a", 2)]),
        ("a directory is replaced by a file", &["f a 1\nh d/b a", "f d 2"], &[("a", 1)]),
        ("one more above", &["f a 1\nf b 2", "h d/c a"], &[("a", 2), ("b", 1)]),
        ("one above, the first is gone", &["f a 1", "h c a", "w a"], &[("c", 1)]),
        ("leads nowhere", &["f a 1", "h c x"], &[("a", 1)]),
        ("linked in two layers", &["f a 1\nh b a", "f a 2\nh c a"], &[("a", 2), ("b", 1)]),
    ] {
        let stack = stack(layers);
        let id =
            |path: &str| stack.file_id(&stack.resolve(path.as_bytes(), Follow::Last).unwrap().node.unwrap());
        let expected = counts.iter().map(|(path, count)| (id(path), *count)).collect();
        assert_eq!(stack.links(), expected, "{row}");
    }
}
