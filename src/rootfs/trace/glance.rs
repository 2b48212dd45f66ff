//! One look at a path, and how many of them travel.

/// A path of a root, relative to it, and how closely it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Its names, none of them followed as a link; empty for the root.
    pub path: Vec<u8>,
    /// How closely.
    pub depth: Depth,
}

/// How closely something was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Whether it is there, and its attributes.
    Name,
    /// Also what the directory holds.
    Listing,
    /// Also the bytes of the file.
    Bytes,
}

/// For each glance a byte for its depth, the length of its path in four bytes, the lowest first, and the path.
pub fn encode(glances: &[Glance]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Glance { path, depth } in glances {
        bytes.push(match depth {
            Depth::Name => b'n',
            Depth::Listing => b'l',
            Depth::Bytes => b'b',
        });
        // a path is no longer than all of them may be together
        bytes.extend_from_slice(&u32::try_from(path.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(path);
    }
    bytes
}

/// What [`encode`] gave; `None` if it is not that.
pub fn decode(mut bytes: &[u8]) -> Option<Vec<Glance>> {
    let mut glances = Vec::new();
    while let Some((&letter, rest)) = bytes.split_first() {
        let depth = match letter {
            b'n' => Depth::Name,
            b'l' => Depth::Listing,
            b'b' => Depth::Bytes,
            _ => return None,
        };
        let (length, rest) = rest.split_first_chunk()?;
        let (path, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        glances.push(Glance { path: path.to_vec(), depth });
        bytes = rest;
    }
    Some(glances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glances_arrive_as_they_were_and_junk_does_not() {
        let glances = [
            Glance { path: Vec::new(), depth: Depth::Listing },
            Glance { path: b"a/\xff\n".to_vec(), depth: Depth::Name },
            Glance { path: vec![b'x'; 70_000], depth: Depth::Bytes },
        ];
        let bytes = encode(&glances);
        assert_eq!(decode(&bytes).as_deref(), Some(&glances[..]));
        for junk in [&bytes[..bytes.len() - 1], b"x\0\0\0\0", b"n", b"n\0\0", b"n\xff\xff\xff\xff"] {
            assert_eq!(decode(junk), None, "{}", junk.escape_ascii());
        }
    }
}
