//! Names inside a layer: bytes, relative, without `.`, `..` or doubled slashes.

use super::Fault;

/// The longest component any Linux file system takes.
const COMPONENT: usize = 255;

/// Prefix of names that speak of other names (OCI image-spec v1.1, layer.md, "Whiteouts").
pub(super) const WHITEOUT: &[u8] = b".wh.";
/// Prefix of names that AUFS kept for itself; they are in old images and mean nothing now.
pub(super) const RESERVED: &[u8] = b".wh..wh.";
/// The mark of an opaque directory.
pub(super) const OPAQUE: &[u8] = b".wh..wh..opq";

/// Cleans a name from a tar: `./a//b/` is `a/b`, `./` is empty. Refuses what is not inside the root.
pub(super) fn clean(raw: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    if raw.len() > limit {
        return Err(Fault::PathTooLong { len: raw.len(), limit });
    }
    if raw.first() == Some(&b'/') {
        return Err(Fault::Absolute);
    }
    let mut path = Vec::with_capacity(raw.len());
    for component in raw.split(|&b| b == b'/').filter(|c| !c.is_empty() && *c != b".") {
        check_component(component)?;
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(component);
    }
    Ok(path)
}

/// Refuses a path that [`clean`] would refuse or change, and names reserved for whiteouts.
pub(super) fn check(path: &[u8], limit: usize) -> Result<(), Fault> {
    if path.first() == Some(&b'/') {
        return Err(Fault::Absolute);
    }
    if path.len() > limit {
        return Err(Fault::PathTooLong { len: path.len(), limit });
    }
    for component in path.split(|&b| b == b'/').skip(usize::from(path.is_empty())) {
        if component.is_empty() || component == b"." {
            return Err(Fault::NotClean);
        }
        check_component(component)?;
        if component.starts_with(WHITEOUT) {
            return Err(Fault::Reserved);
        }
    }
    Ok(())
}

fn check_component(component: &[u8]) -> Result<(), Fault> {
    if component == b".." {
        return Err(Fault::Climbs);
    }
    if component.contains(&0) {
        return Err(Fault::Nul);
    }
    if component.len() > COMPONENT {
        return Err(Fault::ComponentTooLong { len: component.len() });
    }
    Ok(())
}

/// The components of a clean path; none for the root.
pub(super) fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&b| b == b'/').filter(|component| !component.is_empty())
}

/// Parent and last component of a clean path; `None` for the root.
pub(super) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    Some(match path.iter().rposition(|&b| b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    })
}

/// `parent/name`, or `name` at the root.
pub(super) fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_or_refused() {
        type Row<'a> = (&'a [u8], Result<&'a [u8], Fault>);
        let long = [b'x'; 256];
        let rows: [Row; 16] = [
            (b"a/b", Ok(b"a/b")),
            (b"./a", Ok(b"a")),
            (b"./", Ok(b"")),
            (b".", Ok(b"")),
            (b"a//b/./c///", Ok(b"a/b/c")),
            (b"...", Ok(b"...")),
            (b"\xff/\xfe", Ok(b"\xff/\xfe")),
            (b"/a", Err(Fault::Absolute)),
            (b"//", Err(Fault::Absolute)),
            (b"..", Err(Fault::Climbs)),
            (b"a/../b", Err(Fault::Climbs)),
            (b"./..", Err(Fault::Climbs)),
            (b"a\0b", Err(Fault::Nul)),
            (&long, Err(Fault::ComponentTooLong { len: 256 })),
            (&long[..255], Ok(&long[..255])),
            (&[b'/'; 301], Err(Fault::PathTooLong { len: 301, limit: 300 })),
        ];
        for (raw, want) in rows {
            assert_eq!(clean(raw, 300), want.map(<[u8]>::to_vec), "{:?}", String::from_utf8_lossy(raw));
        }
    }

    #[test]
    fn written_paths_must_be_clean_already() {
        let rows: [(&[u8], Result<(), Fault>); 9] = [
            (b"", Ok(())),
            (b"a/b", Ok(())),
            (b"a/", Err(Fault::NotClean)),
            (b"./a", Err(Fault::NotClean)),
            (b"a//b", Err(Fault::NotClean)),
            (b"/a", Err(Fault::Absolute)),
            (b"a/..", Err(Fault::Climbs)),
            (b"a/.wh.b", Err(Fault::Reserved)),
            (b".wh..wh..opq", Err(Fault::Reserved)),
        ];
        for (path, want) in rows {
            assert_eq!(check(path, 300), want, "{:?}", String::from_utf8_lossy(path));
        }
    }

    #[test]
    fn split_and_join_are_inverse() {
        assert_eq!(split(b""), None);
        for (path, parent, name) in [("a", "", "a"), ("a/b", "a", "b"), ("a/b/c", "a/b", "c")] {
            assert_eq!(split(path.as_bytes()), Some((parent.as_bytes(), name.as_bytes())), "{path}");
            assert_eq!(join(parent.as_bytes(), name.as_bytes()), path.as_bytes(), "{path}");
        }
        assert_eq!(components(b"").count(), 0);
        assert_eq!(components(b"a/b").collect::<Vec<_>>(), [b"a", b"b"]);
    }
}
