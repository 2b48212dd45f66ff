//! Random layers: what is written is read back; and no tar, however broken, panics.

use proptest::prelude::*;

use super::*;

/// One call to the writer.
#[derive(Clone, Debug)]
enum Call {
    Append(Vec<u8>, Metadata, Made),
    Whiteout(Vec<u8>),
    Opaque(Vec<u8>),
}

#[derive(Clone, Debug)]
enum Made {
    File(Vec<u8>),
    Directory,
    Symlink(Vec<u8>),
    Hardlink(Vec<u8>),
    Char(u32, u32),
    Fifo,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(vec![&b"a"[..], b"b", b"c", b"d"]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(prop::sample::select((1..=255).filter(|b| *b != b'/').collect::<Vec<u8>>()), 1..255)
            .prop_filter("reserved", |name| name != b"." && name != b".." && !name.starts_with(b".wh.")),
    ]
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(name(), 1..5).prop_map(|names| names.join(&b'/'))
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let xattrs = prop::collection::btree_map(
        "(user|trusted)\\.[a-z]{1,4}",
        prop::collection::vec(any::<u8>(), 0..40),
        0..3,
    );
    let nanos = prop_oneof![Just(0), 0..1_000_000_000_u32];
    let secs = prop_oneof![any::<i64>(), 0..(1_i64 << 34)];
    (0..=0o7777_u32, any::<u32>(), any::<u32>(), secs, nanos, xattrs).prop_map(
        |(mode, uid, gid, secs, nanos, xattrs)| {
            let xattrs = xattrs.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
            // One second before the first is not to be spelled with a fraction.
            let mtime = Timestamp { secs: secs.max(i64::MIN + 1), nanos };
            Metadata { mode, uid, gid, mtime, xattrs }
        },
    )
}

fn call() -> impl Strategy<Value = Call> {
    let made = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2000).prop_map(Made::File),
        Just(Made::Directory),
        prop_oneof![path(), Just(b"..".to_vec()), Just(b"/".to_vec())].prop_map(Made::Symlink),
        path().prop_map(Made::Hardlink),
        (0..1_u32 << 21, 0..1_u32 << 21).prop_map(|(major, minor)| Made::Char(major, minor)),
        Just(Made::Fifo),
    ];
    prop_oneof![
        10 => (path(), metadata(), made).prop_map(|(path, meta, made)| Call::Append(path, meta, made)),
        1 => path().prop_filter("too long", |path| path.len() < 240).prop_map(Call::Whiteout),
        1 => path().prop_map(Call::Opaque),
    ]
}

/// Calls the writer refuses (links to directories, loops of symlinks) end the layer early; `None` then.
fn write(calls: &[Call]) -> Option<(Vec<u8>, Written)> {
    let file = tempfile::tempfile().unwrap();
    let mut writer = LayerWriter::create(file.try_clone().unwrap());
    for call in calls {
        let done = match call {
            Call::Whiteout(path) => writer.whiteout(path),
            Call::Opaque(path) => writer.opaque(path),
            Call::Append(path, meta, made) => match made {
                Made::File(data) => {
                    let content = Content::File { size: data.len() as u64, data: &mut &data[..] };
                    writer.append(path, meta, content)
                }
                Made::Directory => writer.append(path, meta, Content::Directory),
                Made::Symlink(target) => writer.append(path, meta, Content::Symlink(target)),
                Made::Hardlink(target) => writer.append(path, meta, Content::Hardlink(target)),
                Made::Char(major, minor) => {
                    writer.append(path, meta, Content::Char { major: *major, minor: *minor })
                }
                Made::Fifo => writer.append(path, meta, Content::Fifo),
            },
        };
        done.ok()?;
    }
    let written = writer.finish().unwrap();
    let mut tar = vec![0; usize::try_from(written.size).unwrap()];
    file.read_exact_at(&mut tar, 0).unwrap();
    Some((tar, written))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn ingest_finds_what_was_written(calls in prop::collection::vec(call(), 0..30)) {
        let Some((tar, written)) = write(&calls) else { return Ok(()) };
        let (again, _) = write(&calls).unwrap();
        prop_assert!(tar == again, "same calls, same bytes");
        let found = ingest(&mut &*tar, tempfile::tempfile().unwrap(), &Limits::default()).unwrap();
        prop_assert_eq!(found.diff_id, written.diff_id);
        prop_assert_eq!(found.entries, written.entries);
        prop_assert!(found.index == written.index, "same index");
        let layer = layer_of(&tar).unwrap();
        prop_assert!(!describe(&layer).is_empty());
        // The unpacking side sees the calls themselves.
        let entries = entries_of(&tar).unwrap();
        prop_assert_eq!(entries.len(), calls.len());
        for (call, (entry, content)) in calls.iter().zip(entries) {
            let Call::Append(path, meta, made) = call else { continue };
            prop_assert_eq!((&entry.path, &entry.meta), (path, meta));
            if let Made::File(data) = made {
                prop_assert_eq!(&content, data);
            }
        }
    }

    #[test]
    fn a_mutated_tar_never_panics(
        calls in prop::collection::vec(call(), 1..8),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let Some((mut tar, _)) = write(&calls) else { return Ok(()) };
        for (at, byte) in mutations {
            let at = at.index(tar.len());
            tar[at] = byte;
            reseal(&mut tar, at);
        }
        if !whole {
            tar.truncate(cut.index(tar.len() + 1));
        }
        if let Ok(layer) = layer_of(&tar) {
            prop_assert!(!describe(&layer).is_empty());
        }
        let entries = entries_of(&tar);
        prop_assert!(entries.is_ok() || entries.is_err());
    }
}

/// Makes a header that was hit valid again, so that what is behind the checksum is reached.
fn reseal(tar: &mut [u8], at: usize) {
    let start = at - at % 512;
    let block = &mut tar[start..start + 512];
    if block.starts_with(&[0; 16]) || &block[257..262] != b"ustar" {
        return;
    }
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}
