//! Packed streams: sniffed, whole, and refused by name.

use std::io::Write;

use super::*;
use crate::oci::Digest;

fn sample(len: usize) -> Vec<u8> {
    let line = (0..=250).flat_map(|n| [n, n ^ 7, 13, n / 3]);
    line.cycle().take(len).collect()
}

fn packed(compression: Compression, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (digest, size) = compress(compression, &mut &*data, &mut out).unwrap();
    assert_eq!((digest, size), (Digest::of(&out), out.len() as u64), "{compression:?}");
    out
}

fn unpack(data: Vec<u8>) -> Result<(Compression, Vec<u8>), Error> {
    let (compression, mut reader) = decompress(Box::new(std::io::Cursor::new(data)))?;
    let mut out = Vec::new();
    reader.read_to_end(&mut out)?;
    Ok((compression, out))
}

fn program(name: &str, args: &[&str], data: &[u8]) -> Vec<u8> {
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(data).unwrap();
    std::io::Seek::rewind(&mut input).unwrap();
    let output = std::process::Command::new(name).args(args).stdin(input).output().unwrap();
    assert!(output.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn every_length_survives_every_packing() {
    for len in [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (4 << 20) + 5] {
        let data = sample(len);
        for compression in [Compression::Gzip, Compression::Zstd] {
            let once = packed(compression, &data);
            assert!(once == packed(compression, &data), "{compression:?} of {len} bytes is deterministic");
            let (sniffed, unpacked) = unpack(once).unwrap();
            assert_eq!(sniffed, compression, "{len} bytes");
            assert!(unpacked == data, "{compression:?} of {len} bytes");
        }
        assert!(packed(Compression::None, &data) == data, "{len} bytes");
    }
}

#[test]
fn other_programs_agree() {
    let data = sample((1 << 20) + 5);
    assert!(program("gzip", &["-dc"], &packed(Compression::Gzip, &data)) == data, "gzip reads ours");
    assert!(program("zstd", &["-dc"], &packed(Compression::Zstd, &data)) == data, "zstd reads ours");
    for (name, args) in [("gzip", vec!["-c"]), ("zstd", vec!["-c"]), ("zstd", vec!["-c", "-19", "--long=27"])]
    {
        let (_, unpacked) = unpack(program(name, &args, &data)).unwrap();
        assert!(unpacked == data, "we read {name} {args:?}");
    }
}

#[test]
fn members_and_frames_in_a_row_are_one_stream() {
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let gzip = |text: &[u8]| packed(Compression::Gzip, text);
    let zstd = |text: &[u8]| packed(Compression::Zstd, text);
    let rows = [
        ("gzip members", vec![gzip(b"one "), gzip(b""), gzip(b"two")]),
        ("zstd frames", vec![zstd(b"one "), zstd(b""), zstd(b"two")]),
        ("skippable first", vec![skippable.clone(), zstd(b"one "), zstd(b"two")]),
        ("skippable between", vec![zstd(b"one "), skippable.clone(), zstd(b"two"), skippable]),
    ];
    for (row, parts) in rows {
        assert_eq!(unpack(parts.concat()).unwrap().1, b"one two", "{row}");
    }
}

#[test]
fn a_short_stream_is_an_error() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let whole = packed(compression, &sample(1_200_000));
        for cut in [11, whole.len() / 2, whole.len() - 1] {
            let error = unpack(whole[..cut].to_vec()).map(|_| ()).unwrap_err();
            assert!(matches!(error, Error::Io(_)), "{compression:?} cut at {cut}: {error}");
        }
        let mut wrong = whole.clone();
        let middle = wrong.len() / 2;
        wrong[middle] ^= 0x55;
        let unpacked = unpack(wrong);
        assert!(
            unpacked.is_err() || unpacked.is_ok_and(|(_, data)| data != sample(1_200_000)),
            "{compression:?} with a flipped byte"
        );
    }
}

#[test]
fn other_packings_are_refused_of_a_layer_and_unpacked_of_an_archive() {
    let tar = Forge::default().file("BZh9", "").end();
    let archive = |data: Vec<u8>| {
        let mut out = Vec::new();
        decompress_archive(Box::new(std::io::Cursor::new(data))).unwrap().read_to_end(&mut out).map(|_| out)
    };
    for (name, want) in
        [("bzip2", "bzip2 compression is not supported"), ("xz", "xz compression is not supported")]
    {
        for data in [&tar[..], b"", &sample(300_000)] {
            let packed = program(name, &["-c"], data);
            let error = unpack(packed.clone()).unwrap_err().to_string();
            assert!(error.contains(want), "{name}: {error}");
            assert!(archive(packed.clone()).unwrap() == data, "{name}");
            let twice = [&packed[..], &packed].concat();
            assert!(archive(twice).unwrap() == data.repeat(2), "{name}: streams in a row");
            assert!(archive(packed[..packed.len() - 1].to_vec()).is_err(), "{name}: cut short");
        }
    }
    for plain in [&tar[..], b"", b"\x1f", b"BZ"] {
        assert_eq!(unpack(plain.to_vec()).unwrap(), (Compression::None, plain.to_vec()));
        assert_eq!(archive(plain.to_vec()).unwrap(), plain);
    }
    // A dictionary beyond the bound is refused before its memory is asked for.
    let greedy = program("xz", &["-c", "--lzma2=dict=1GiB"], b"x");
    assert!(archive(greedy).is_err());
}
