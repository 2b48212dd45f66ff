//! Attest: what an image was made of and by whom (SLSA provenance v1), and what is in it (SPDX).
//!
//! Each is an in-toto statement about the digest of the image's manifest. They are the layers of a manifest of their own,
//! which stands beside the image in a list, for the platform `unknown/unknown`, with annotations that name the image: as
//! BuildKit stores them, so that who reads those reads these. As the digest may not change after that, the layers of an
//! attested image are packed when it is made, not when it is pushed.
//!
//! Build arguments are told with `mode=max` alone; secrets, and what ssh agents hold, never.

mod provenance;
mod scan;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Error, Options};
use crate::oci::{Descriptor, ImageIndex, Manifest, Platform, media_type};
use crate::store::{ATTESTATION, Image, Store};

pub use provenance::Mode;
pub(super) use provenance::{Material, Ran};

/// What is attested of an image.
#[derive(Clone, Debug, Default)]
pub struct Attestations {
    /// What it was made of and by whom.
    pub provenance: Option<Provenance>,
    /// Which packages are in it.
    pub sbom: bool,
}

/// How provenance is told.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// How much.
    pub mode: Mode,
    /// The URI of who builds; the program itself if nobody says.
    pub builder_id: Option<String>,
}

impl Attestations {
    /// Whether there is any.
    pub fn is_some(&self) -> bool {
        self.provenance.is_some() || self.sbom
    }
}

/// The type of a statement (in-toto, "Statement layer specification", v0.1: the one BuildKit writes).
const STATEMENT: &str = "https://in-toto.io/Statement/v0.1";
const LAYER: &str = "application/vnd.in-toto+json";
const PREDICATE: &str = "in-toto.io/predicate-type";
/// The annotation that names the image.
const REFERENCE: &str = "vnd.docker.reference.digest";
/// BuildKit takes no longer one, in bytes.
const LIMIT: usize = 40 << 20;

/// Adds to the list of what was built what is attested of each of its images.
pub(super) fn attest(
    store: &Store,
    ran: &[(Image, Ran)],
    index: &mut ImageIndex,
    options: &Options,
    sink: &dyn crate::progress::Sink,
) -> Result<(), Error> {
    for (image, ran) in ran {
        let mut layers = Vec::new();
        if options.attestations.sbom {
            let document = scan::document(store, image, options, sink)?;
            layers.push(statement(store, image, options, "https://spdx.dev/Document", &document)?);
        }
        if let Some(provenance) = &options.attestations.provenance {
            let predicate = ran.predicate(provenance, options);
            layers.push(statement(store, image, options, "https://slsa.dev/provenance/v1", &predicate)?);
        }
        index.manifests.push(manifest(store, image, layers)?);
    }
    Ok(())
}

/// Stores a statement about `image`.
fn statement(
    store: &Store,
    image: &Image,
    options: &Options,
    predicate_type: &str,
    predicate: &Value,
) -> Result<Descriptor, Error> {
    let digest = json!({ "sha256": image.descriptor.digest.hex() });
    let platform = image.platform().to_string().replace('/', "%2F");
    let named = options.tags.iter().map(|tag| {
        let name = tag.local();
        let path = format!("{}/{}", name.registry().unwrap_or_default(), name.repository());
        let version = name.tag().map(|tag| format!("@{tag}")).unwrap_or_default();
        json!({ "name": format!("pkg:docker/{path}{version}?platform={platform}"), "digest": digest })
    });
    let mut subjects: Vec<Value> = named.collect();
    if subjects.is_empty() {
        subjects.push(json!({ "name": "_", "digest": digest }));
    }
    let statement = json!({
        "_type": STATEMENT,
        "predicateType": predicate_type,
        "subject": subjects,
        "predicate": predicate,
    });
    let bytes = statement.to_string().into_bytes();
    if bytes.len() > LIMIT {
        return Err(Error::Attestation { kind: predicate_type.to_owned(), size: bytes.len(), limit: LIMIT });
    }
    store.put_blob(&bytes)?;
    let mut layer = Descriptor::of(LAYER, &bytes);
    layer.annotations.insert(PREDICATE.to_owned(), predicate_type.to_owned());
    Ok(layer)
}

/// Stores the manifest of `layers`, which tell of `image`; returns its entry for the list.
fn manifest(store: &Store, image: &Image, layers: Vec<Descriptor>) -> Result<Descriptor, Error> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest).collect();
    let config = json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = config.to_string().into_bytes();
    store.put_blob(&config)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        config: Descriptor::of(media_type::CONFIG, &config),
        layers,
        annotations: BTreeMap::new(),
        extra: BTreeMap::new(),
    };
    let bytes = manifest.to_bytes();
    store.put_blob(&bytes)?;
    let (kind, is) = ATTESTATION;
    let mut entry = Descriptor::of(media_type::MANIFEST, &bytes);
    entry.annotations.insert(kind.to_owned(), is.to_owned());
    entry.annotations.insert(REFERENCE.to_owned(), image.descriptor.digest.to_string());
    let unknown = || "unknown".to_owned();
    entry.platform = Some(Platform { os: unknown(), architecture: unknown(), variant: None });
    Ok(entry)
}
