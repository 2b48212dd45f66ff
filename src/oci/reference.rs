//! Image references: `[registry/]repository[:tag][@digest]`.
//!
//! A name without a registry means two things: what a user gives to `-t` lives under `localhost/`,
//! what a Dockerfile names in FROM is looked for there first and then on Docker Hub. So the parsed
//! value keeps whether a registry was written; [`Reference::local`] and [`Reference::remote`] complete
//! it for either use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Digest, Error};

/// Docker Hub, the registry of short names.
const HUB: &str = "docker.io";
/// The registry of names that were never pulled.
const LOCAL: &str = "localhost";

/// The name of an image (distribution-spec v1.1, "Pulling manifests").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: Option<String>,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// `host[:port]` if one was written.
    pub fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// The path within the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag: as written, `latest` if there is neither a tag nor a digest.
    pub fn tag(&self) -> Option<&str> {
        match (&self.tag, self.digest) {
            (Some(tag), _) => Some(tag),
            (None, Some(_)) => None,
            (None, None) => Some("latest"),
        }
    }

    /// The manifest's digest, if the reference is pinned.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The same image, its missing registry taken as `localhost` and its tag spelled out.
    #[must_use]
    pub fn local(&self) -> Self {
        self.completed(LOCAL, &self.repository)
    }

    /// The same image, its missing registry taken as Docker Hub and its tag spelled out.
    #[must_use]
    pub fn remote(&self) -> Self {
        if self.registry.is_none() && !self.repository.contains('/') {
            return self.completed(HUB, &format!("library/{}", self.repository));
        }
        self.completed(HUB, &self.repository)
    }

    fn completed(&self, registry: &str, repository: &str) -> Self {
        Self {
            registry: Some(self.registry.clone().unwrap_or_else(|| registry.to_owned())),
            repository: repository.to_owned(),
            tag: self.tag().map(str::to_owned),
            digest: self.digest,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |why| Error::Reference { text: text.to_owned(), why };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                (name, Some(digest.parse().map_err(|_| refuse("what follows @ is not a sha256 digest"))?))
            }
            None => (text, None),
        };
        // A colon after the last slash starts the tag; before it, it belongs to the registry's port.
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(refuse(
                "the tag must be 1 to 128 letters, digits, '_', '.' or '-', not starting with '.' or '-'",
            ));
        }
        // The first part is a registry if it cannot be a path: it has a dot or a port, or is localhost.
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == LOCAL => (Some(first), rest),
            _ => (None, name),
        };
        if let Some(registry) = registry
            && !is_host(registry)
        {
            return Err(refuse("the registry must be host[:port]"));
        }
        if repository.is_empty() {
            return Err(refuse("the repository is empty"));
        }
        if repository.len() > 255 {
            return Err(refuse("the repository is longer than 255 bytes"));
        }
        if repository.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(refuse("the repository must be lower case"));
        }
        if !repository.split('/').all(is_component) {
            return Err(refuse(
                "a path component must be lower-case letters and digits, separated by '.', '_', '__' or '-'",
            ));
        }
        Ok(Self {
            registry: registry.map(str::to_owned),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&tag.len())
        && word(tag.as_bytes()[0])
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "0"));
    let address = name.starts_with('[') && name.ends_with(']');
    !name.is_empty()
        && !port.is_empty()
        && port.bytes().all(|b| b.is_ascii_digit())
        && (address || name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-'))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` (distribution-spec v1.1, "Pulling manifests").
fn is_component(component: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = bytes.first().is_some_and(|&b| word(b)) && bytes.last().is_some_and(|&b| word(b));
    ends && component
        .split(|c: char| word(c as u8) && c.is_ascii())
        .filter(|separator| !separator.is_empty())
        .all(|separator| matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_completed_for_both_uses() {
        for (text, local, remote) in [
            ("img", "localhost/img:latest", "docker.io/library/img:latest"),
            ("team/img:1", "localhost/team/img:1", "docker.io/team/img:1"),
            ("localhost/img", "localhost/img:latest", "localhost/img:latest"),
            ("localhost:5000/a/b:c", "localhost:5000/a/b:c", "localhost:5000/a/b:c"),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
            ("quay.io/x__y/z-0.w_v", "quay.io/x__y/z-0.w_v:latest", "quay.io/x__y/z-0.w_v:latest"),
        ] {
            let parsed: Reference = text.parse().unwrap();
            assert_eq!(parsed.to_string(), text);
            assert_eq!(parsed.local().to_string(), local, "{text} locally");
            assert_eq!(parsed.remote().to_string(), remote, "{text} remotely");
        }
    }

    #[test]
    fn a_digest_takes_the_place_of_the_tag() {
        let digest = Digest::of(b"x");
        let pinned: Reference = format!("a@{digest}").parse().unwrap();
        assert_eq!((pinned.tag(), pinned.digest()), (None, Some(digest)));
        assert_eq!(pinned.remote().to_string(), format!("docker.io/library/a@{digest}"));
    }

    #[test]
    fn malformed_references_are_refused() {
        let long = "a".repeat(256);
        for text in [
            "",
            ":",
            "a:",
            "a:-x",
            "A/b",
            "UPPER",
            "a//b",
            "/a",
            "a/",
            "a@sha256:0",
            "a___b",
            "a.-b",
            "-a",
            "a b",
            "x.y:p/a",
            &long,
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?} must be refused");
        }
    }
}
