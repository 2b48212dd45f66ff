//! Layers on disk: stale, damaged and missing indexes, and reading at any offset.

use proptest::prelude::*;

use super::*;
use crate::oci::Digest;

fn sample() -> (Vec<u8>, Written) {
    let tar = Forge::default()
        .file("a/b", "hello")
        .entry(b'2', "s", "a/b", b"")
        .entry(b'1', "h", "a/b", b"")
        .file("a/.wh.gone", "")
        .pax(&[("SCHILY.xattr.user.x", "value"), ("GNU.sparse.size", "100"), ("GNU.sparse.map", "10,3,50,2")])
        .file("sparse", "abcde")
        .end();
    let written = ingest(&mut &*tar, tempfile::tempfile().unwrap(), &Limits::default()).unwrap();
    (tar, written)
}

#[test]
fn a_stale_index_is_rebuilt_and_a_wrong_tar_refused() {
    let (tar, written) = sample();
    let dir = tempfile::tempdir().unwrap();
    let (tar_path, index_path) = (dir.path().join("tar"), dir.path().join("index"));
    std::fs::write(&tar_path, &tar).unwrap();
    let want = describe(&layer_of(&tar).unwrap());
    let (_, other) = layer_by(|writer| writer.whiteout(b"x").unwrap());
    let foreign = ingest(&mut &*other, tempfile::tempfile().unwrap(), &Limits::default()).unwrap().index;
    let mut flipped = written.index.clone();
    flipped[200] ^= 1;
    let mut version = written.index.clone();
    version[8] += 1;
    let rows: [(&str, Option<&[u8]>); 7] = [
        ("good", Some(&written.index)),
        ("absent", None),
        ("empty", Some(b"")),
        ("cut", Some(&written.index[..written.index.len() - 1])),
        ("another layer's", Some(&foreign)),
        ("damaged", Some(&flipped)),
        ("another version", Some(&version)),
    ];
    for (row, index) in rows {
        match index {
            Some(bytes) => std::fs::write(&index_path, bytes).unwrap(),
            None => std::fs::remove_file(&index_path).unwrap(),
        }
        let layer = Layer::open(written.diff_id, &tar_path, &index_path).unwrap();
        assert_eq!(describe(&layer), want, "{row}");
        let direct = File::open(&index_path).map(|file| Index::open(&file, written.diff_id, written.size));
        if row != "absent" {
            assert_eq!(direct.unwrap().is_ok(), row == "good", "{row}");
        }
    }
    std::fs::write(&index_path, b"").unwrap();
    let wrong = DiffId(Digest::of(b"wrong"));
    let error = Layer::open(wrong, &tar_path, &index_path).unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { expected, .. } if expected == wrong), "{error}");
    let error = Layer::open(wrong, &dir.path().join("none"), &index_path).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
}

#[test]
fn bytes_are_read_at_any_offset() {
    let (tar, _) = sample();
    let layer = layer_of(&tar).unwrap();
    let Some(Child::Node(sparse)) = layer.index.lookup(Index::ROOT, b"sparse") else {
        panic!("no sparse file")
    };
    let mut want = [0; 100];
    want[10..13].copy_from_slice(b"abc");
    want[50..52].copy_from_slice(b"de");
    for offset in 0..=102 {
        for len in [0, 1, 5, 40, 200] {
            let mut buf = vec![0xee; len];
            let n = layer.read_at(sparse, &mut buf, offset as u64).unwrap();
            let rest = want.get(offset..).unwrap_or_default();
            assert_eq!(&buf[..n], &rest[..rest.len().min(len)], "{len} bytes at {offset}");
        }
    }
    assert_eq!(layer.read_at(sparse, &mut [0; 8], u64::MAX).unwrap(), 0);
    assert_eq!(layer.read_at(Index::ROOT, &mut [0; 8], 0).unwrap(), 0, "a directory has no bytes");
    assert_eq!(
        layer.index.extents(sparse).map(|(file, _, len)| (file, len)).collect::<Vec<_>>(),
        [(10, 3), (50, 2)]
    );
    assert_eq!(layer.index.xattrs(sparse).collect::<Vec<_>>(), [(&b"user.x"[..], &b"value"[..])]);
    assert_eq!(layer.index.inode(Ino(u32::MAX)).size, 0, "no such inode");
    layer.tar.set_len(512).unwrap();
    let Some(Child::Node(link)) = layer.index.lookup(Index::ROOT, b"h") else { panic!("no link") };
    let error = layer.read_at(link, &mut [0; 8], 0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "the tar was cut");
}

/// Touches every accessor. A directory loop is possible in a forged index, so nothing descends.
fn touch_everything(layer: &Layer) {
    for ino in (0..layer.index.inodes().min(1000)).map(Ino).chain([Ino(u32::MAX)]) {
        let inode = layer.index.inode(ino);
        let names: Vec<_> = layer.index.children(ino).take(1000).collect();
        for (name, _) in names {
            layer.index.lookup(ino, name);
        }
        layer.index.xattrs(ino).take(1000).count();
        layer.index.extents(ino).take(1000).count();
        for offset in [0, 7, inode.size / 2, inode.size.saturating_sub(1), u64::MAX] {
            let outcome = layer.read_at(ino, &mut [0; 64], offset);
            assert!(outcome.is_err() || outcome.is_ok_and(|n| n <= 64));
        }
    }
}

proptest! {
    #[test]
    fn a_corrupted_index_never_panics(
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
        whole in prop::bool::weighted(0.8),
    ) {
        let (tar, mut written) = sample();
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&tar, 0).unwrap();
        let index = &mut written.index;
        for (at, byte) in mutations {
            let at = at.index(index.len());
            index[at] = byte;
        }
        if !whole {
            index.truncate(cut.index(index.len() + 1));
        }
        prop_assert!(Index::from_bytes(index.clone()).is_err() || index.len() > 128);
        // Sealed again, so that the accessors see the damage.
        if index.len() > 48 {
            index[..12].copy_from_slice(b"rbuildix\x01\0\0\0");
            let checksum = blake3::hash(&index[48..]);
            index[16..48].copy_from_slice(checksum.as_bytes());
        }
        if let Ok(index) = Index::from_bytes(written.index) {
            touch_everything(&Layer { diff_id: written.diff_id, size: written.size, index, tar: file });
        }
    }
}
