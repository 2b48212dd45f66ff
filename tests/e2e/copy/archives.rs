//! ADD of local archives: told by content, unpacked in every packing, refused where they are torn.

use std::fs;
use std::process::Command;

use super::tree;
use crate::support::{World, tool};

/// Packs `names` of the context's `in`, owned by 3:4, into `archive`.
fn pack(world: &World, archive: &str, option: &str, names: &[&str]) {
    let mut tar = Command::new("tar");
    tar.args(["--create", option, "--owner=3", "--group=4", "--mode=750", "--sort=name", "--file"]);
    tar.arg(world.context().join(archive)).arg("--directory").arg(world.context().join("in")).args(names);
    assert!(tar.status().unwrap().success(), "{archive}");
}

/// Has python3 write the archive `name`; `body` sees it as `t` and adds members by `add(name, data, **fields)`.
pub fn forge(world: &World, name: &str, body: &str) {
    let path = world.context().join(name);
    let script = format!(
        "import io, tarfile\nt = tarfile.open('{}', 'w')\n\
         def add(name, data=b'', **fields):\n    i = tarfile.TarInfo(name); i.size = len(data)\n\
         \x20   for k, v in fields.items(): setattr(i, k, v)\n    t.addfile(i, io.BytesIO(data))\n{body}\nt.close()\n",
        path.display(),
    );
    tool("python3", &["-c", &script]);
}

const PACKINGS: [(&str, &str); 5] = [
    ("a.tar", "--create"),
    ("a.gz", "--gzip"),
    ("a.bz2", "--bzip2"),
    ("a.xz", "--xz"),
    ("no-suffix", "--zstd"),
];

#[test]
fn add_unpacks_local_archives_of_every_packing() {
    let world = World::new();
    world.file("in/f", "f").file("in/d/g", "g");
    for (name, option) in PACKINGS {
        pack(&world, name, option, &["f", "d"]);
        let size = fs::metadata(world.context().join(name)).unwrap().len();
        let mut dockerfile = "FROM scratch\n".to_owned();
        let mut want = Vec::new();
        for (instruction, dest, owner) in [
            ("ADD", "a", Some("3:4")),
            ("ADD --unpack", "b/", Some("3:4")),
            ("ADD --link", "c", Some("3:4")),
            ("ADD --chown=9", "d/", Some("9:9")),
            ("COPY", "e", None),
            ("ADD --unpack=false", "f", None),
        ] {
            dockerfile.extend([instruction, " ", name, " /", dest, "\n"]);
            let (dest, made) = (dest.trim_end_matches('/'), if owner == Some("9:9") { "9:9" } else { "0:0" });
            match owner {
                Some(owner) => want.extend([
                    format!("d 0755 {made} {dest}"),
                    format!("d 0750 {owner} {dest}/d"),
                    format!("f 0750 {owner} 1 {dest}/d/g"),
                    format!("f 0750 {owner} 1 {dest}/f"),
                ]),
                None => want.push(format!("f 0644 0:0 {size} {dest}")),
            }
        }
        world.build(&dockerfile, &["-t", "x"]).good();
        assert_eq!(tree(&world, "x"), want, "{name}");
    }
    // --chmod is for what is made on the way, not for the members.
    world.build("FROM scratch\nADD --chmod=700 a.xz /t\n", &["-t", "x"]).good();
    assert_eq!(tree(&world, "x")[..2], ["d 0700 0:0 t", "d 0750 3:4 t/d"]);
    // Two in a row land in one place, the second over the first.
    world.file("in/f", "longer");
    pack(&world, "b.tar", "--create", &["f"]);
    world.build("FROM scratch\nADD a.xz b.tar /t/\n", &["-t", "x"]).good();
    assert_eq!(tree(&world, "x")[3], "f 0750 3:4 6 t/f");
}

#[test]
fn what_is_no_archive_is_copied_as_it_is() {
    let world = World::new();
    world.file("text.gz", "no archive").file("empty", "").file("plain", "x");
    let gzip = format!(
        "cd {} && gzip -c plain > p.gz && gzip -c empty > e.tar.gz && bzip2 -c plain > p.bz2 && xz -c plain > p.xz && zip -q z.zip plain 2>/dev/null || printf 'PK\\003\\004zip' > z.zip",
        world.context().display()
    );
    tool("sh", &["-c", &gzip]);
    for name in ["text.gz", "empty", "p.gz", "e.tar.gz", "p.bz2", "p.xz", "z.zip"] {
        let size = fs::metadata(world.context().join(name)).unwrap().len();
        world.build(&format!("FROM scratch\nADD {name} /\n"), &["-t", "x"]).good();
        assert_eq!(tree(&world, "x"), [format!("f 0644 0:0 {size} {name}")], "{name}");
    }
}

#[test]
fn torn_archives_are_refused_with_their_place() {
    let world = World::new();
    // Of a bzip2 stream that is torn within its first block, 900,000 bytes, nobody can say what it holds.
    world.file("in/f", "x".repeat(100_000)).file("in/g", noise(1_600_000));
    for (name, option) in PACKINGS {
        pack(&world, name, option, &["f", "g"]);
        let path = world.context().join(name);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() * 2 / 3]).unwrap();
        let dockerfile = format!("FROM scratch\nADD {name} /\n");
        let said = world.build(&dockerfile, &["-t", "x"]).fails(125, "layer entry \"g\"");
        let (place, carets) = (format!("unpack {name:?}: "), format!("    {}\n", "^".repeat(name.len())));
        assert!(said.stderr.contains(&place) && said.stderr.contains(&carets), "{name}: {}", said.stderr);
        assert!(!said.stderr.contains("byte 0"), "{name}: {}", said.stderr);
        assert_eq!(world.run(&["images", "-q"]).good().stdout, "", "{name}: nothing was named");
    }
}

/// Bytes that no packing makes much smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    next.take(length).collect()
}

#[test]
fn members_stay_in_the_root_and_keep_what_they_are() {
    let world = World::new();
    world.file("in/real/x", "x");
    std::os::unix::fs::symlink("/real", world.context().join("in/link")).unwrap();
    let lnk = "type=tarfile.LNKTYPE";
    for (body, base, want) in [
        // Special files are rows of the layer: nobody has to make a node.
        (
            "add('c', type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)\nadd('p', type=tarfile.FIFOTYPE)\nadd('b', type=tarfile.BLKTYPE, devmajor=8)",
            "",
            Ok(&["b 0644 0:0 8,0 b", "c 0666 0:0 1,3 c", "p 0644 0:0 p"][..]),
        ),
        (
            "add('a', b'1', mode=0o4755)\nadd('b', type=tarfile.LNKTYPE, linkname='a')",
            "",
            Ok(&["f 4755 0:0 1 a", "f 4755 0:0 1 b = a"]),
        ),
        // A symlink of the image is followed inside the root.
        (
            "add('link/y', b'yy')",
            "COPY in /\n",
            Ok(&[
                "l 0777 0:0 link -> /real",
                "d 0755 0:0 real",
                "f 0644 0:0 1 real/x",
                "f 0644 0:0 2 real/y",
            ]),
        ),
        (
            "add('link', b'yy')",
            "COPY in /\n",
            Ok(&["f 0644 0:0 2 link", "d 0755 0:0 real", "f 0644 0:0 1 real/x"]),
        ),
        ("add('/abs', b'x')", "", Err("absolute name")),
        ("add('../up', b'x')", "", Err("name climbs out of the root")),
        ("add('a/.wh.b', b'')", "", Err("reserved for whiteouts")),
        (
            "add('s', type=tarfile.SYMTYPE, linkname='/etc')\nadd('s/x', b'x')",
            "",
            Ok(&["d 0755 0:0 etc", "f 0644 0:0 1 etc/x", "l 0644 0:0 s -> /etc"]),
        ),
        (
            "add('s', type=tarfile.SYMTYPE, linkname='../../up')\nadd('s/x', b'x')\nadd('h', type=tarfile.LNKTYPE, linkname='s/x')",
            "",
            Ok(&["f 0644 0:0 1 h", "l 0644 0:0 s -> ../../up", "d 0755 0:0 up", "f 0644 0:0 1 up/x = h"]),
        ),
        (
            "add('s', type=tarfile.SYMTYPE, linkname='s')\nadd('s/x', b'x')",
            "",
            Err("too many levels of symbolic links"),
        ),
        ("add('f', b'f')\nadd('f/x', b'x')", "", Err("a parent is no directory")),
        (
            "add('b', LNK, linkname='real/x')",
            "COPY in /\n",
            Err("a hard link to what the archive does not have"),
        ),
        ("add('b', LNK, linkname='../x')", "", Err("climbs")),
    ] {
        forge(&world, "f.tar", &body.replace("LNK,", &format!("{lnk},")));
        let said = world.build(&format!("FROM scratch\n{base}ADD f.tar /\n"), &["-t", "x"]);
        match want {
            Ok(want) => {
                said.good();
                assert_eq!(tree(&world, "x"), want, "{body}");
            }
            Err(text) => drop(said.fails(125, text)),
        }
    }
}
