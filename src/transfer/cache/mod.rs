//! A build cache that travels: into a repository or a directory, and from there to another store.
//!
//! ```text
//! manifest   an OCI image manifest, whose `artifactType` and config type are [`MEDIA_TYPE`]
//!   config   the document: version, layers, records
//!   layers   the layers that the records name, packed as those of an image, each once
//!
//! {"version": 1,
//!  "layers":  [{"diff_id": "sha256:…", "size": BYTES OF THE TAR}, …]         as many as the manifest's, in its order
//!  "records": [{"key": "64 HEX DIGITS", "layer": PLACE IN layers OR null, "created": "RFC 3339", "alias_of": KEY}, …]}
//! ```
//!
//! `alias_of` is there only where a key is over names of files: it is the key of the same step over their content.
//! So one document is the index of all records of a build. Reading it is all that an import does; a layer is fetched when
//! somebody reads it. In a directory the manifest is an entry of an OCI image layout. *Inline* the same document is a field
//! of an image's config ([`INLINE`]), and its layers are among the image's own.
//!
//! # What is believed
//! Manifest, document and layers are what their digests say; a layer is unpacked, and must be the tar that the record names,
//! by digest and length. That a step makes this layer is the word of whoever can write to the place, and nothing can prove
//! it but doing the step: a cache is taken from people who are trusted to build. A record has no other say: the config and
//! the history of the image follow from the Dockerfile that is built.

mod document;
mod export;
mod import;
mod layout;

use std::fmt;

use super::Layout;
use crate::oci::Reference;

pub use document::CacheDocument;
pub use export::{Export, Keep, is_needed};
pub use import::Import;

/// What the manifest and the config of a cache are.
pub const MEDIA_TYPE: &str = "application/vnd.rbuild.cache.v1+json";

/// The field of an image's config that holds its cache.
pub const INLINE: &str = "dev.rbuild.cache";

/// Where a cache is, or goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CachePlace {
    /// A tag of a repository.
    Registry(Reference),
    /// An entry of an OCI image layout.
    Layout(Layout),
}

impl fmt::Display for CachePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => write!(f, "{reference}"),
            Self::Layout(Layout { path, tag, digest }) => {
                write!(f, "{}", path.display())?;
                tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
                digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
            }
        }
    }
}
