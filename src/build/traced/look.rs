//! What a step met at each path it looked at, as digests: to be met again, or not.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::layer::Ino;
use crate::oci::DiffId;
use crate::rootfs::trace::{Depth, Eye, Glance};
use crate::rootfs::{Node, Stack};

/// All looks of one step, directories before what they hold.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::build) struct Looks(Vec<Look>);

/// One of them.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    #[serde(with = "path")]
    path: Vec<u8>,
    /// Of whether something is there, and of its attributes.
    name: Hash,
    /// Of what the directory holds, if it was listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    listing: Option<Hash>,
    /// Of the file's bytes, if they were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<Bytes>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Bytes {
    hash: Hash,
    /// Where they lay: there they still are the same, without being read.
    layer: DiffId,
    ino: u32,
}

/// Of BLAKE3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Hash(blake3::Hash);

impl TryFrom<String> for Hash {
    type Error = blake3::HexError;

    fn try_from(digits: String) -> Result<Self, blake3::HexError> {
        blake3::Hash::from_hex(digits).map(Self)
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.0.to_hex().to_string()
    }
}

/// What has changed at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Appeared,
    Gone,
    Attributes,
    Listing,
    Bytes,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Appeared => "was not there",
            Self::Gone => "is gone",
            Self::Attributes => "has other attributes",
            Self::Listing => "holds other names",
            Self::Bytes => "has other bytes",
        })
    }
}

/// Looks at a stack for digests.
pub(super) struct Viewer<'a>(Eye<'a>);

impl<'a> Viewer<'a> {
    pub(super) fn on(stack: &'a Stack) -> Self {
        Self(Eye::on(stack))
    }

    fn name(&mut self, path: &[u8]) -> io::Result<(Option<Node>, Hash)> {
        let mut hasher = blake3::Hasher::new();
        let node = self.0.name(path, &mut hasher)?;
        Ok((node, Hash(hasher.finalize())))
    }

    fn listing(&self, node: &Node) -> io::Result<Hash> {
        let mut hasher = blake3::Hasher::new();
        self.0.listing(node, &mut hasher)?;
        Ok(Hash(hasher.finalize()))
    }

    fn bytes(&self, node: &Node) -> io::Result<Hash> {
        let mut hasher = blake3::Hasher::new();
        self.0.bytes(node, &mut hasher)?;
        Ok(Hash(hasher.finalize()))
    }
}

impl Looks {
    /// What `glances` meet.
    pub(super) fn of(glances: &[Glance], viewer: &mut Viewer<'_>) -> io::Result<Self> {
        glances.iter().map(|glance| Look::of(glance, viewer)).collect::<io::Result<_>>().map(Self)
    }

    /// The first path where something else is met now, and what.
    pub(super) fn first_change(&self, viewer: &mut Viewer<'_>) -> io::Result<Option<(String, String)>> {
        for look in &self.0 {
            if let Some(change) = look.change(viewer)? {
                let path = format!("/{}", String::from_utf8_lossy(&look.path));
                return Ok(Some((path, change.to_string())));
            }
        }
        Ok(None)
    }
}

impl Look {
    fn of(glance: &Glance, viewer: &mut Viewer<'_>) -> io::Result<Self> {
        let (node, name) = viewer.name(&glance.path)?;
        let mut look = Self { path: glance.path.clone(), name, listing: None, bytes: None };
        match (node, glance.depth) {
            (None, _) | (Some(_), Depth::Name) => {}
            (Some(node), Depth::Listing) => look.listing = Some(viewer.listing(&node)?),
            (Some(node), Depth::Bytes) => {
                if let Some((layer, ino)) = viewer.0.origin(&node) {
                    look.bytes = Some(Bytes { hash: viewer.bytes(&node)?, layer, ino: ino.0 });
                }
            }
        }
        Ok(look)
    }

    fn change(&self, viewer: &mut Viewer<'_>) -> io::Result<Option<Change>> {
        let (node, name) = viewer.name(&self.path)?;
        let Some(node) = node else {
            return Ok((name != self.name).then_some(Change::Gone));
        };
        if name != self.name {
            let absent = Hash(blake3::hash(Eye::ABSENT));
            return Ok(Some(if self.name == absent { Change::Appeared } else { Change::Attributes }));
        }
        if let Some(listing) = self.listing
            && viewer.listing(&node)? != listing
        {
            return Ok(Some(Change::Listing));
        }
        if let Some(bytes) = &self.bytes
            && viewer.0.origin(&node) != Some((bytes.layer, Ino(bytes.ino)))
            && viewer.bytes(&node)? != bytes.hash
        {
            return Ok(Some(Change::Bytes));
        }
        Ok(None)
    }
}

/// A path in JSON: a character for each byte, since names are not always text.
mod path {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&path.iter().map(|&byte| char::from(byte)).collect::<String>())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        text.chars().map(|letter| u8::try_from(letter).map_err(D::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_read_as_they_were_written() {
        let hash = |text: &[u8]| Hash(blake3::hash(text));
        let bytes = Bytes { hash: hash(b"b"), layer: DiffId(crate::oci::Digest::of(b"x")), ino: 7 };
        let looks = Looks(vec![
            Look { path: Vec::new(), name: hash(b""), listing: Some(hash(b"l")), bytes: None },
            Look { path: b"a/\xc3\xff\n\"".to_vec(), name: hash(b"n"), listing: None, bytes: Some(bytes) },
        ]);
        let written = serde_json::to_vec(&looks).unwrap();
        assert_eq!(serde_json::from_slice::<Looks>(&written).unwrap(), looks);
        for torn in [&b""[..], &written[..written.len() / 2], b"[{\"path\":\"\xe4\xbd\xa0\",\"name\":\"\"}]"]
        {
            assert!(serde_json::from_slice::<Looks>(torn).is_err(), "{}", torn.escape_ascii());
        }
    }
}
