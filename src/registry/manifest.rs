//! Manifests and indexes: fetched, checked, chosen by platform, pushed.

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::access::Action;
use super::error::Error;
use super::wire::{Wire, accepted, up_to};
use super::{Fetched, Refusal};
use crate::oci::{Digest, ImageIndex, Platform, Reference, media_type};

/// The longest manifest that registries must take (distribution-spec v1.1, "Pushing Manifests").
const LIMIT: u64 = 4 * 1024 * 1024;
const DIGEST_HEADER: &str = "docker-content-digest";
/// The types asked for, and the only ones taken.
const TYPES: [&str; 4] =
    [media_type::MANIFEST, media_type::INDEX, media_type::DOCKER_MANIFEST, media_type::DOCKER_INDEX];

/// What an answer says of itself.
struct Answer {
    content_type: String,
    digest: Option<String>,
    bytes: Vec<u8>,
}

pub(super) fn fetch(wire: &Wire, reference: &Reference) -> Result<Fetched, Error> {
    let subject = reference.to_string();
    let answer = wire.attempt(&subject, reference, Action::Pull, |route| {
        let url = route.endpoint.url(&path(reference));
        let request = route.grant.on(route.endpoint.http.get(url)).header(ACCEPT, TYPES.join(", "));
        let (subject, host) = (subject.clone(), route.endpoint.host.clone());
        wire.runtime.run(async move {
            let mut answer = accepted(&subject, &host, request).await?;
            let [content_type, digest] =
                [CONTENT_TYPE.as_str(), DIGEST_HEADER].map(|name| text(answer.headers(), name));
            let body = up_to(&mut answer, LIMIT).await;
            let bytes = body
                .map_err(|error| Error::unanswered(&subject, &host, error))?
                .ok_or(Error::TooLarge { subject, limit: LIMIT })?;
            Ok(Answer { content_type: content_type.unwrap_or_default(), digest, bytes })
        })
    })?;
    let actual = Digest::of(&answer.bytes);
    let promised = answer.digest.filter(|text| text.starts_with("sha256:"));
    let promised = promised.map(|text| text.parse::<Digest>()).transpose();
    let promised =
        promised.map_err(|error| Error::Protocol { subject: subject.clone(), what: error.to_string() })?;
    if let Some(expected) = reference.digest().into_iter().chain(promised).find(|digest| *digest != actual) {
        return Err(Error::Digest { subject, expected, actual });
    }
    let media_type = kind(&subject, &answer.content_type, &answer.bytes)?.to_owned();
    Ok(Fetched { media_type, bytes: answer.bytes, digest: actual })
}

pub(super) fn fetch_for(wire: &Wire, reference: &Reference, platform: &Platform) -> Result<Fetched, Error> {
    let fetched = fetch(wire, reference)?;
    if !is_index(&fetched.media_type) {
        return Ok(fetched);
    }
    let subject = reference.to_string();
    let no_manifest = |why: String| Error::NotManifest { subject: subject.clone(), why };
    let index = ImageIndex::parse(&fetched.bytes).map_err(|error| no_manifest(error.to_string()))?;
    let Some(entry) = index.select(platform) else {
        let known = index.manifests.into_iter().filter_map(|entry| entry.platform);
        // Attestations travel in the index as images for `unknown/unknown`.
        let available = known.filter(|platform| platform.os != "unknown").collect();
        return Err(Error::NoPlatform { subject, wanted: platform.clone(), available });
    };
    let registry = reference.registry().unwrap_or_default();
    let pinned = format!("{registry}/{}@{}", reference.repository(), entry.digest);
    let pinned = pinned.parse().map_err(|error| no_manifest(format!("{error}")))?;
    let chosen = fetch(wire, &pinned)?;
    if is_index(&chosen.media_type) {
        return Err(no_manifest(format!("its entry for {platform} is an index again")));
    }
    if chosen.bytes.len() as u64 != entry.size {
        let actual = chosen.bytes.len() as u64;
        return Err(Error::Length {
            subject: pinned.to_string(),
            expected: entry.size,
            actual,
            verb: "came",
        });
    }
    Ok(chosen)
}

pub(super) fn push(
    wire: &Wire,
    reference: &Reference,
    media_type: &str,
    bytes: &[u8],
) -> Result<Digest, Error> {
    let subject = reference.to_string();
    let actual = Digest::of(bytes);
    if let Some(expected) = reference.digest().filter(|digest| *digest != actual) {
        return Err(Error::Digest { subject, expected, actual });
    }
    let name = reference.tag().map_or_else(|| actual.to_string(), str::to_owned);
    let path = format!("{}/manifests/{name}", reference.repository());
    let stored = wire.attempt(&subject, reference, Action::Push, |route| {
        let request = route.grant.on(route.endpoint.http.put(route.endpoint.url(&path)));
        let request = request.header(CONTENT_TYPE, media_type).body(bytes.to_owned());
        let (subject, host) = (subject.clone(), route.endpoint.host.clone());
        wire.runtime.run(async move {
            let answer = accepted(&subject, &host, request).await?;
            match answer.status().as_u16() {
                201 => Ok(text(answer.headers(), DIGEST_HEADER)),
                other => Err(Error::refused(&subject, Refusal::new(other, b"expected 201 Created"))),
            }
        })
    })?;
    match stored.and_then(|text| text.parse::<Digest>().ok()) {
        Some(stored) if stored != actual => Err(Error::Digest { subject, expected: actual, actual: stored }),
        _ => Ok(actual),
    }
}

fn path(reference: &Reference) -> String {
    let digest = reference.digest().map(|digest| digest.to_string());
    let name = digest.as_deref().or(reference.tag()).unwrap_or_default();
    format!("{}/manifests/{name}", reference.repository())
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn is_index(media_type: &str) -> bool {
    [media_type::INDEX, media_type::DOCKER_INDEX].contains(&media_type)
}

/// Which of [`TYPES`] a document is. The header and the document must not contradict each other, and no
/// document may be read both ways (image-spec v1.1, manifest.md, "mediaType").
fn kind(subject: &str, content_type: &str, bytes: &[u8]) -> Result<&'static str, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        schema_version: u32,
        media_type: Option<String>,
        manifests: Option<IgnoredAny>,
        config: Option<IgnoredAny>,
        layers: Option<IgnoredAny>,
    }
    let refuse = |why: String| Error::NotManifest { subject: subject.to_owned(), why };
    let announced = content_type.split(';').next().unwrap_or_default().trim();
    let shape: Shape = serde_json::from_slice(bytes).map_err(|error| match announced {
        "" => refuse(error.to_string()),
        _ => refuse(format!("{error} (served as {})", super::error::printable(announced))),
    })?;
    if shape.schema_version == 1 {
        return Err(Error::Schema1 { subject: subject.to_owned() });
    }
    if shape.schema_version != 2 {
        return Err(refuse(format!("its schema version is {}", shape.schema_version)));
    }
    // A registry without types serves `application/json` or `text/plain`; then the document has the word.
    let named = TYPES.into_iter().find(|known| *known == announced);
    let claimed = match &shape.media_type {
        Some(claimed) => Some(
            TYPES
                .into_iter()
                .find(|known| known == claimed)
                .ok_or_else(|| refuse(format!("its media type is {claimed:?}")))?,
        ),
        None => None,
    };
    if let (Some(named), Some(claimed)) = (named, claimed)
        && named != claimed
    {
        return Err(refuse(format!("it is served as {named} and calls itself {claimed}")));
    }
    let index = shape.manifests.is_some();
    let image = shape.config.is_some() && shape.layers.is_some();
    let guessed = match (index, image) {
        (true, false) if shape.layers.is_none() => media_type::INDEX,
        (false, true) => media_type::MANIFEST,
        (false, false) => return Err(refuse("it has neither manifests nor config and layers".to_owned())),
        _ => return Err(refuse("it has both manifests and layers".to_owned())),
    };
    let kind = claimed.or(named).unwrap_or(guessed);
    if is_index(kind) != index {
        return Err(refuse(format!("it calls itself {kind} and is none")));
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_what_header_and_content_agree_on() {
        use media_type::{DOCKER_INDEX, DOCKER_MANIFEST, INDEX, MANIFEST};
        let image = r#"{"schemaVersion":2,"config":{},"layers":[]}"#;
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        let both = r#"{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}"#;
        let typed =
            format!(r#"{{"schemaVersion":2,"mediaType":"{DOCKER_MANIFEST}","config":{{}},"layers":[]}}"#);
        for (content_type, document, want) in [
            (MANIFEST, image, Ok(MANIFEST)),
            (DOCKER_MANIFEST, image, Ok(DOCKER_MANIFEST)),
            ("application/vnd.oci.image.manifest.v1+json; charset=utf-8", image, Ok(MANIFEST)),
            (INDEX, index, Ok(INDEX)),
            (DOCKER_INDEX, index, Ok(DOCKER_INDEX)),
            ("text/plain", image, Ok(MANIFEST)),
            ("", index, Ok(INDEX)),
            ("application/json", &typed, Ok(DOCKER_MANIFEST)),
            (MANIFEST, &typed, Err("calls itself")),
            (INDEX, image, Err("is none")),
            (MANIFEST, both, Err("both")),
            ("text/html", "<html>", Err("text/html")),
            (MANIFEST, r#"{"schemaVersion":1,"fsLayers":[]}"#, Err("schema 1")),
            (MANIFEST, r#"{"schemaVersion":3}"#, Err("schema version is 3")),
            (MANIFEST, r#"{"schemaVersion":2}"#, Err("neither")),
            (MANIFEST, "[]", Err("invalid")),
            (MANIFEST, r#"{"schemaVersion":2,"mediaType":"x/y"}"#, Err("x/y")),
        ] {
            match (kind("r/x", content_type, document.as_bytes()), want) {
                (Ok(kind), Ok(want)) => assert_eq!(kind, want, "{content_type} {document}"),
                (Err(error), Err(want)) => {
                    assert!(error.to_string().contains(want), "{content_type} {document}: {error}");
                }
                (got, want) => panic!("{content_type} {document}: {got:?}, not {want:?}"),
            }
        }
    }
}
