//! What entries mean together: replacement, links, whiteouts, implicit parents.

use super::*;

/// Names and kinds only: mode, owner and time are the same in all of these.
fn outline(layer: &Layer) -> Vec<String> {
    describe(layer).into_iter().map(|line| line.replace(" 644 0:0 0.000000000", "")).collect()
}

/// What it is, the tar, and the outline.
type Row = (&'static str, Forge, &'static [&'static str]);

fn forge() -> Forge {
    Forge::default()
}

fn dir(tar: Forge, name: &str) -> Forge {
    tar.entry(b'5', name, "", b"")
}

fn link(tar: Forge, name: &str, target: &str) -> Forge {
    tar.entry(b'1', name, target, b"")
}

fn symlink(tar: Forge, name: &str, target: &str) -> Forge {
    tar.entry(b'2', name, target, b"")
}

fn add_up(rows: Vec<Row>) {
    for (row, tar, want) in rows {
        let layer = layer_of(&tar.end()).unwrap_or_else(|error| panic!("{row}: {error}"));
        assert_eq!(outline(&layer), want, "{row}");
    }
}

#[test]
fn later_entries_replace_earlier_ones() {
    add_up(vec![
        ("nothing", forge(), &[". dir implicit"]),
        ("root", dir(forge(), "./"), &[". dir"]),
        (
            "names are cleaned",
            dir(forge(), "./a//").file("./a/./b", "x"),
            &[". dir implicit", "a dir", "a/b file \"x\""],
        ),
        (
            "parents are implicit",
            forge().file("a/b", "x"),
            &[". dir implicit", "a dir implicit", "a/b file \"x\""],
        ),
        (
            "parent comes later",
            dir(forge().file("a/b", "x"), "a"),
            &[". dir implicit", "a dir", "a/b file \"x\""],
        ),
        ("later file wins", forge().file("a", "1").file("a", "2"), &[". dir implicit", "a file \"2\""]),
        ("file over directory", forge().file("a/b", "1").file("a", "2"), &[". dir implicit", "a file \"2\""]),
        ("directory over file", dir(forge().file("a", "1"), "a"), &[". dir implicit", "a dir opaque"]),
        (
            "parent over file",
            forge().file("a", "1").file("a/b", "2"),
            &[". dir implicit", "a dir implicit opaque", "a/b file \"2\""],
        ),
        (
            "directory, file, directory: no old children",
            dir(forge().file("a/b", "1").file("a", "2"), "a").file("a/c", "3"),
            &[". dir implicit", "a dir opaque", "a/c file \"3\""],
        ),
    ]);
}

#[test]
fn hard_links_name_inodes() {
    add_up(vec![
        (
            "hard link",
            link(forge().file("a", "1"), "b", "a"),
            &[". dir implicit", "a file x2 \"1\"", "b file x2 \"1\""],
        ),
        (
            "the link outlives its target",
            link(forge().file("a", "1"), "b", "./a").file("a", "2"),
            &[". dir implicit", "a file \"2\"", "b file \"1\""],
        ),
        (
            "a link to a link",
            link(link(forge().file("a", "1"), "b", "a"), "c", "b"),
            &[". dir implicit", "a file x3 \"1\"", "b file x3 \"1\"", "c file x3 \"1\""],
        ),
        (
            "a link over its target",
            link(forge().file("a", "1"), "a", "a"),
            &[". dir implicit", "a file \"1\""],
        ),
        (
            "a link to a symlink",
            link(symlink(forge(), "s", "t"), "b", "s"),
            &[". dir implicit", "b ->t x2", "s ->t x2"],
        ),
        ("a link below", link(forge(), "b", "etc/a"), &[". dir implicit", "b =>etc/a"]),
        (
            "two links below, one inode",
            link(link(forge(), "b", "a"), "c", "b"),
            &[". dir implicit", "b =>a x2", "c =>a x2"],
        ),
        (
            "a link to what comes later",
            link(forge(), "b", "a").file("a", "1"),
            &[". dir implicit", "a file x2 \"1\"", "b file x2 \"1\""],
        ),
        ("a link to itself", link(forge(), "a", "a"), &[". dir implicit", "a =>a"]),
        (
            "links in a circle",
            link(link(forge(), "a", "b"), "b", "a"),
            &[". dir implicit", "a =>b x2", "b =>b x2"],
        ),
    ]);
}

#[test]
fn symlinks_lead_to_where_they_point() {
    add_up(vec![
        (
            "link through a symlink",
            link(symlink(forge().file("usr/lib/x", "1"), "lib", "usr/lib"), "b", "lib/x"),
            &[
                ". dir implicit",
                "b file x2 \"1\"",
                "lib ->usr/lib",
                "usr dir implicit",
                "usr/lib dir implicit",
                "usr/lib/x file x2 \"1\"",
            ],
        ),
        (
            "an entry below a symlink",
            symlink(forge(), "lib", "/usr/lib").file("lib/x", "1"),
            &[
                ". dir implicit",
                "lib ->/usr/lib",
                "usr dir implicit",
                "usr/lib dir implicit",
                "usr/lib/x file \"1\"",
            ],
        ),
        (
            "a symlink never leaves the root",
            symlink(forge(), "out", "../../..").file("out/x", "1"),
            &[". dir implicit", "out ->../../..", "x file \"1\""],
        ),
        (
            "a symlink with .. inside",
            symlink(forge(), "a/b/s", "../c").file("a/b/s/x", "1"),
            &[
                ". dir implicit",
                "a dir implicit",
                "a/b dir implicit",
                "a/b/s ->../c",
                "a/c dir implicit",
                "a/c/x file \"1\"",
            ],
        ),
        (
            "directory over symlink",
            dir(symlink(forge(), "a", "b"), "a").file("a/x", "1"),
            &[". dir implicit", "a dir opaque", "a/x file \"1\""],
        ),
    ]);
}

#[test]
fn marks_speak_of_the_layers_below() {
    add_up(vec![
        ("whiteout", forge().file("d/.wh.x", ""), &[". dir implicit", "d dir implicit", "d/x whiteout"]),
        ("whiteout at the root", forge().file(".wh.x", ""), &[". dir implicit", "x whiteout"]),
        (
            "whiteout beside a file",
            forge().file("x", "1").file(".wh.x", ""),
            &[". dir implicit", "x file \"1\""],
        ),
        (
            "whiteout beside a directory",
            dir(forge().file(".wh.x", ""), "x"),
            &[". dir implicit", "x dir opaque"],
        ),
        (
            "directory, then whiteout",
            dir(forge(), "x").file(".wh.x", ""),
            &[". dir implicit", "x dir opaque"],
        ),
        ("opaque", dir(forge().file("x/.wh..wh..opq", ""), "x"), &[". dir implicit", "x dir opaque"]),
        ("opaque later", dir(forge(), "x").file("x/.wh..wh..opq", ""), &[". dir implicit", "x dir opaque"]),
        ("opaque root", forge().file(".wh..wh..opq", ""), &[". dir implicit opaque"]),
        (
            "reserved names",
            dir(forge(), ".wh..wh.plnk").file(".wh..wh.aufs", "").file(".wh..wh.plnk/1.2", "x"),
            &[". dir implicit"],
        ),
        (
            "links through aufs",
            link(forge().file(".wh..wh.plnk/1.2", "x"), "a", ".wh..wh.plnk/1.2"),
            &[". dir implicit", "a file \"x\""],
        ),
    ]);
}

#[test]
fn odd_headers_have_their_meaning() {
    add_up(vec![
        ("fifo", forge().entry(b'6', "p", "", b""), &[". dir implicit", "p fifo"]),
        ("contiguous", forge().entry(b'7', "c", "", b"x"), &[". dir implicit", "c file \"x\""]),
        ("old directory", forge().entry(0, "d/", "", b""), &[". dir implicit", "d dir"]),
        (
            "label and global header",
            forge().entry(b'V', "label", "", b"").entry(b'g', "g", "", b"13 comment=a\n").file("a", "1"),
            &[". dir implicit", "a file \"1\""],
        ),
        (
            "global header between pax and entry",
            forge().pax(&[("path", "b")]).entry(b'g', "g", "", b"13 comment=a\n").file("a", "1"),
            &[". dir implicit", "b file \"1\""],
        ),
        (
            "an empty pax value takes itself back",
            forge().pax(&[("path", "")]).file("a", "1"),
            &[". dir implicit", "a file \"1\""],
        ),
        // As Go has it: a link's size field says nothing about the tape.
        (
            "a link with a size",
            forge().file("a", "1").sized(b'1', "b", "a", b"00000000001", b""),
            &[". dir implicit", "a file x2 \"1\"", "b file x2 \"1\""],
        ),
    ]);
}

#[test]
fn a_tar_may_lack_its_end_mark() {
    let tar = Forge::default().file("a", "1").0;
    for tail in [0, 512, 1024, 1536, 10_240] {
        let tar = [&tar[..], &vec![0; tail]].concat();
        assert_eq!(outline(&layer_of(&tar).unwrap()), [". dir implicit", "a file \"1\""], "{tail} zeros");
    }
    let behind = [&tar[..], &[0; 1024], b"anything"].concat();
    assert_eq!(outline(&layer_of(&behind).unwrap()), [". dir implicit", "a file \"1\""]);
    assert_eq!(outline(&layer_of(b"").unwrap()), [". dir implicit"]);
}

#[test]
fn the_writer_gives_what_it_was_given() {
    let mut meta = Metadata { mode: 0o6755, uid: 4_294_967_294, gid: 2_097_152, ..Metadata::default() };
    meta.mtime = Timestamp { secs: -2, nanos: 500_000_000 };
    meta.xattrs.insert(b"security.capability".to_vec(), b"\x01\0\0\x02\n=\xff".to_vec());
    meta.xattrs.insert(b"user.empty".to_vec(), Vec::new());
    let plain = Metadata { mode: 0o644, ..Metadata::default() };
    let deep = [&b"d/".repeat(200)[..], b"f"].concat();
    let (layer, tar) = layer_by(|writer| {
        writer.append(b"", &meta, Content::Directory).unwrap();
        writer.append(b"bin", &plain, Content::Directory).unwrap();
        writer.append(b"bin/f", &meta, Content::File { size: 5, data: &mut &b"hello"[..] }).unwrap();
        writer.append(b"bin/link", &meta, Content::Hardlink(b"bin/f")).unwrap();
        writer.append(b"below", &plain, Content::Hardlink(b"usr/x")).unwrap();
        writer.append(b"s", &plain, Content::Symlink(&[b't'; 300])).unwrap();
        writer.append(b"null", &plain, Content::Char { major: 1, minor: 3 }).unwrap();
        writer.append(b"loop0", &plain, Content::Block { major: 7, minor: 0 }).unwrap();
        writer.append(b"pipe", &plain, Content::Fifo).unwrap();
        writer.append(&deep, &plain, Content::File { size: 0, data: &mut &b""[..] }).unwrap();
        writer.append(b"\xff", &plain, Content::File { size: 1, data: &mut &b"x"[..] }).unwrap();
        writer.whiteout(b"bin/gone").unwrap();
        writer.opaque(b"bin").unwrap();
    });
    let odd = "6755 4294967294:2097152 -2.500000000";
    let xattrs = "security.capability=\\x01\\x00\\x00\\x02\\n=\\xff user.empty=";
    let file = format!("file {odd} x2 {xattrs} \"hello\"");
    let mut want = vec![
        format!(". dir {odd} {xattrs}"),
        "bin dir 644 0:0 0.000000000 opaque".to_owned(),
        format!("bin/f {file}"),
        format!("bin/link {file}"),
        "bin/gone whiteout".to_owned(),
        "below =>usr/x 644 0:0 0.000000000".to_owned(),
        format!("s ->{} 644 0:0 0.000000000", "t".repeat(300)),
        "null char 1,3 644 0:0 0.000000000".to_owned(),
        "loop0 block 7,0 644 0:0 0.000000000".to_owned(),
        "pipe fifo 644 0:0 0.000000000".to_owned(),
        format!("{} file 644 0:0 0.000000000 \"\"", text(&deep)),
        "\\xff file 644 0:0 0.000000000 \"x\"".to_owned(),
    ];
    want.extend((1..=200).map(|depth| format!("{} dir implicit", vec!["d"; depth].join("/"))));
    want.sort();
    assert_eq!(describe(&layer), want);
    assert_eq!(describe(&layer_of(&tar).unwrap()), want, "read back");
}

#[test]
fn the_writer_refuses_what_it_cannot_keep() {
    let file = |size| Content::File { size, data: Box::leak(Box::new(&b"abc"[..])) };
    let mut odd = Metadata::default();
    odd.xattrs.insert(b"user.a=b".to_vec(), Vec::new());
    let plain = Metadata::default();
    let rows: [(&[u8], &Metadata, Content<'_>, &str); 11] = [
        (b"/a", &plain, Content::Fifo, "layer entry \"/a\": absolute name"),
        (b"a/", &plain, Content::Directory, "layer entry \"a/\": path is not clean"),
        (b"../a", &plain, Content::Fifo, "climbs"),
        (b".wh.a", &plain, Content::Fifo, "reserved"),
        (b"", &plain, Content::Fifo, "the root must be a directory"),
        (b"a", &odd, Content::Fifo, "extended attribute \"user.a=b\""),
        (b"a", &plain, file(4), "layer entry \"a\": content ends after 3 of 4 bytes"),
        (b"a", &plain, file(2), "layer entry \"a\": content is longer than the announced 2 bytes"),
        (b"a", &plain, file(1 << 60), "content of 1152921504606846976 bytes"),
        (b"a", &plain, Content::Hardlink(b"../b"), "hard link to \"../b\""),
        (b"a", &plain, Content::Char { major: 1 << 21, minor: 0 }, "device 2097152:0 does not fit"),
    ];
    for (path, meta, content, want) in rows {
        let mut writer = LayerWriter::create(tempfile::tempfile().unwrap());
        let error = writer.append(path, meta, content).unwrap_err().to_string();
        assert!(error.contains(want), "{error:?} does not contain {want:?}");
    }
    let mut writer = LayerWriter::create(tempfile::tempfile().unwrap());
    assert!(writer.whiteout(b"").is_err());
    assert!(writer.whiteout(&[b'x'; 252]).is_err());
}

#[test]
fn an_empty_layer_is_two_zero_blocks() {
    let (layer, tar) = layer_by(|_| {});
    assert_eq!(tar, [0; 1024]);
    assert_eq!(describe(&layer), [". dir implicit"]);
}
