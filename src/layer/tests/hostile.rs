//! Tars that must end in a clear error, with the entry named.

use super::*;

/// What it is, the tar, and a piece of the message.
type Row = (&'static str, Vec<u8>, &'static str);

fn forge() -> Forge {
    Forge::default()
}

fn refused(rows: &[Row]) {
    for (row, tar, want) in rows {
        let error = layer_of(tar).map(|layer| describe(&layer)).expect_err(row).to_string();
        assert!(error.contains(want), "{row}: {error:?} does not contain {want:?}");
    }
}

#[test]
fn names_that_leave_the_root() {
    let long = "x".repeat(256);
    let deep = "d/".repeat(2100);
    refused(&[
        ("..", forge().file("../evil", "").end(), "entry \"../evil\" at byte 0: name climbs out of the root"),
        (".. inside", forge().file("a", "").file("a/../b", "").end(), "\"a/../b\" at byte 512: name climbs"),
        ("absolute", forge().file("/etc/passwd", "").end(), "\"/etc/passwd\" at byte 0: absolute name"),
        (
            "pax ..",
            forge().pax(&[("path", "../evil")]).file("good", "").end(),
            "\"../evil\" at byte 0: name climbs",
        ),
        ("pax NUL", forge().pax(&[("path", "a\0b")]).file("good", "").end(), "\"a\\0b\" at byte 0: NUL byte"),
        (
            "gnu ..",
            forge().entry(b'L', "l", "", b"../evil\0").file("good", "").end(),
            "\"../evil\" at byte 0",
        ),
        (
            "component",
            forge().pax(&[("path", &long)]).file("a", "").end(),
            "at byte 0: name component of 256 bytes, more than 255",
        ),
        ("path", forge().pax(&[("path", &deep)]).file("a", "").end(), "path of 4200 bytes, more than 4096"),
        ("root is a file", forge().file("./", "x").end(), "\"./\" at byte 0: the root must be a directory"),
        (
            "whiteout of nothing",
            forge().file("d/.wh.", "").end(),
            "\"d/.wh.\" at byte 0: names that start with .wh.",
        ),
        (
            "whiteout of ..",
            forge().file(".wh...", "").end(),
            "\".wh...\" at byte 0: names that start with .wh.",
        ),
        (
            "below a whiteout",
            forge().file(".wh.a/b", "").end(),
            "\".wh.a/b\" at byte 0: names that start with .wh.",
        ),
        (
            "symlink loop",
            forge().entry(b'2', "a", "b", b"").entry(b'2', "b", "a", b"").file("a/x", "").end(),
            "\"a/x\" at byte 1024: too many levels of symbolic links",
        ),
    ]);
}

#[test]
fn links_to_nowhere() {
    refused(&[
        (
            "link ..",
            forge().entry(b'1', "a", "../b", b"").end(),
            "\"a\" at byte 0: hard link to \"../b\": name climbs",
        ),
        (
            "link absolute",
            forge().entry(b'1', "a", "/b", b"").end(),
            "\"a\" at byte 0: hard link to \"/b\": absolute",
        ),
        ("link nowhere", forge().entry(b'1', "a", "", b"").end(), "\"a\" at byte 0: link has no target"),
        ("symlink nowhere", forge().entry(b'2', "a", "", b"").end(), "\"a\" at byte 0: link has no target"),
        (
            "link to a directory",
            forge().entry(b'5', "d", "", b"").entry(b'1', "a", "d", b"").end(),
            "\"a\" at byte 512: hard link to \"d\", which is a directory",
        ),
    ]);
}

#[test]
fn absurd_numbers() {
    refused(&[
        (
            "size beyond i64",
            forge().sized(b'0', "big", "", b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", b"").end(),
            "\"big\" at byte 0: content of 18446744073709551615 bytes",
        ),
        (
            "size beyond u64",
            forge().sized(b'0', "big", "", b"\x80\0\0\x01\0\0\0\0\0\0\0\x05", b"").end(),
            "\"big\" at byte 0: header field size is out of range",
        ),
        (
            "negative size",
            forge().sized(b'0', "big", "", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"").end(),
            "\"big\" at byte 0: header field size is out of range",
        ),
        (
            "pax size",
            forge().pax(&[("size", "9223372036854775807")]).file("big", "").end(),
            "\"big\" at byte 0: content of 9223372036854775807 bytes",
        ),
        (
            "uid",
            forge().pax(&[("uid", "4294967296")]).file("a", "").end(),
            "\"a\" at byte 0: PAX uid has the value \"4294967296\"",
        ),
        (
            "negative uid",
            forge().file("a", "").patch(108, b"\xff\xff\xff\xff\xff\xff\xff\xff").end(),
            "\"a\" at byte 0: header field uid",
        ),
    ]);
}

#[test]
fn broken_headers() {
    refused(&[
        (
            "announced more than there is",
            forge().sized(b'0', "cut", "", b"00000002000", b"abc").0,
            "\"cut\" at byte 0: tar is truncated: 512 bytes are missing",
        ),
        (
            "cut in a header",
            forge().file("a", "").file("b", "").0[..1000].to_vec(),
            "after entry \"a\": tar is truncated: 24 bytes",
        ),
        ("no tar", vec![b'x'; 512], "tar header at byte 0, after entry \"\": header checksum does not match"),
        (
            "junk later",
            [forge().file("a", "").0, vec![b'x'; 512]].concat(),
            "at byte 512, after entry \"a\": header checksum",
        ),
        (
            "lone zero block",
            [forge().file("a", "").0, vec![0; 512], forge().file("b", "").end()].concat(),
            "at byte 1024, after entry \"a\": zero block",
        ),
        (
            "cut in a pax header",
            forge().file("a", "").pax(&[("path", "b")]).0[..1030].to_vec(),
            "after entry \"a\": tar is truncated: 506 bytes",
        ),
        ("pax and no entry", forge().pax(&[("path", "a")]).end(), "extension headers without an entry"),
        (
            "two pax headers",
            forge().pax(&[("uid", "1")]).pax(&[("uid", "2")]).file("a", "").end(),
            "two PAX headers for one entry",
        ),
        (
            "huge pax",
            forge().sized(b'x', "p", "", b"00004000001", b"").end(),
            "1048577 bytes of extension headers, more than 1048576",
        ),
        (
            "broken pax",
            forge().entry(b'x', "p", "", b"11 path=a\n").file("good", "").end(),
            "\"good\" at byte 0: malformed PAX record",
        ),
        ("type", forge().entry(b'M', "a", "", b"").end(), "\"a\" at byte 0: entry type 'M' is not supported"),
    ]);
}

#[test]
fn sparse_maps_that_lie() {
    refused(&[
        (
            "sparse range outside",
            forge().pax(&[("GNU.sparse.size", "4"), ("GNU.sparse.map", "2,3")]).file("s", "abc").end(),
            "\"s\" at byte 0: sparse map: ranges overlap or leave the file",
        ),
        (
            "sparse overflow",
            forge()
                .pax(&[("GNU.sparse.size", "4"), ("GNU.sparse.map", "18446744073709551615,2")])
                .file("s", "ab")
                .end(),
            "\"s\" at byte 0: sparse map: ranges overlap or leave the file",
        ),
        (
            "sparse data left over",
            forge().pax(&[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,2")]).file("s", "abc").end(),
            "\"s\" at byte 0: sparse map: ranges and data differ in length",
        ),
        (
            "sparse and endless",
            forge()
                .pax(&[("GNU.sparse.size", "9223372036854775807"), ("GNU.sparse.map", "0,2")])
                .file("s", "ab")
                .end(),
            "\"s\" at byte 0: sparse map: the file is longer than 16 TiB",
        ),
        (
            "sparse with a claimed count",
            forge()
                .pax(&[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "9")])
                .file("s", "999999999999\n")
                .end(),
            "\"s\" at byte 0: sparse map: too many ranges",
        ),
        (
            "sparse map without end",
            forge()
                .pax(&[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "9")])
                .file("s", "2\n0\n")
                .end(),
            "\"s\" at byte 0: sparse map: ",
        ),
    ]);
}

/// The unpacking side refuses the same names.
#[test]
fn the_reader_confines_as_well() {
    for name in ["/a", "../a", "a/../../b"] {
        assert!(entries_of(&forge().file(name, "").end()).is_err(), "{name}");
    }
    let tar = forge().sized(b'0', "cut", "", b"00000002000", b"abc").0;
    let mut reader = TarReader::new(&*tar, Limits::default());
    reader.next_entry().unwrap();
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert!(error.to_string().contains("\"cut\""), "{error}");
}

/// Ten million empty files from thin air.
struct Flood {
    next: u64,
    name: fn(u64) -> String,
    block: std::io::Cursor<Vec<u8>>,
}

impl Flood {
    const ENTRIES: u64 = 10_000_000;

    fn new(name: fn(u64) -> String) -> Self {
        Self { next: 0, name, block: std::io::Cursor::default() }
    }
}

impl Read for Flood {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.block.read(buf)?;
        if n > 0 || self.next == Self::ENTRIES {
            return Ok(n);
        }
        self.block = std::io::Cursor::new(forge().file(&(self.name)(self.next), "").0);
        self.next += 1;
        self.block.read(buf)
    }
}

#[test]
fn a_flood_of_entries_stops_at_the_limit() {
    let limits = Limits { entries: 20_000, ..Limits::default() };
    let mut flood = Flood::new(|n| format!("empty/{n}"));
    let error = ingest(&mut flood, tempfile::tempfile().unwrap(), &limits).unwrap_err().to_string();
    assert!(error.contains("entry \"empty/20000\" at byte 10240000: more than 20000 entries"), "{error}");
    // What was read ahead is one chunk.
    assert!(flood.next <= 20_000 + 2048 + 1, "{} entries were taken", flood.next);
}

#[test]
fn a_flood_of_names_stops_at_the_limit_of_the_index() {
    let limits = Limits { index: 1 << 20, ..Limits::default() };
    // Every entry makes 30 directories that were not there.
    let mut flood = Flood::new(|n| format!("{n}{}", "/d".repeat(30)));
    let error = ingest(&mut flood, tempfile::tempfile().unwrap(), &limits).unwrap_err().to_string();
    assert!(error.contains("the layer's index would be larger than 1048576 bytes"), "{error}");
    assert!(flood.next < 2048 + 1048, "{} entries were taken", flood.next);
}

#[test]
fn a_tar_longer_than_the_limit_is_refused() {
    let limits = Limits { size: 4096, ..Limits::default() };
    let row =
        |tar: &[u8]| ingest(&mut &*tar, tempfile::tempfile().unwrap(), &limits).map(|written| written.size);
    let tar = forge().file("a", "x").end();
    assert_eq!(row(&tar).unwrap(), 2048);
    let padded = [&tar[..], &[0; 2048]].concat();
    assert_eq!(row(&padded).unwrap(), 4096);
    let error = row(&[&padded[..], &[0]].concat()).unwrap_err().to_string();
    assert_eq!(error, "tar is longer than 4096 bytes");
    let error = row(&forge().file("a", &"x".repeat(4000)).end()).unwrap_err().to_string();
    assert!(error.contains("\"a\" at byte 0: content of 4000 bytes"), "{error}");
}
