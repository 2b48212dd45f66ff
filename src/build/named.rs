//! Named contexts (`--build-context NAME=…`): what FROM, COPY --from and mounts find under a name, before any stage or
//! image that is called so.
//!
//! A context of a stage's name takes that stage's place: its instructions are not carried out. `scratch` and the numbers
//! of stages keep their meaning. Nothing is fetched for a name that nobody asks for.

use std::collections::BTreeMap;

use super::context::{InvalidOrigin, Origin};
use crate::oci::{Platform, Reference};
use crate::transfer::{InvalidLayout, Layout};
use crate::web;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// The files of a directory, an archive or a repository.
    Files(Origin),
    /// An image, of the store or of a registry.
    Image(Reference),
    /// An image in an OCI layout.
    Layout(Layout),
    /// A stage of the Dockerfile.
    Stage(String),
}

/// Words that name no context.
#[derive(Debug, thiserror::Error)]
pub enum InvalidNamed {
    /// Not `NAME=VALUE`.
    #[error("expected NAME=VALUE")]
    Form,
    /// A name that nobody could ask for.
    #[error("{0:?} is no name of a context: it is written as an image's name is")]
    Name(String),
    /// `scratch` is always nothing.
    #[error("scratch cannot be another context")]
    Scratch,
    /// Not the name of an image.
    #[error(transparent)]
    Image(#[from] crate::oci::Error),
    /// No directory, archive or repository.
    #[error(transparent)]
    Origin(#[from] InvalidOrigin),
    /// Standard input is the main context's.
    #[error("standard input can only be the main context")]
    Stdin,
    /// `target:` and nothing.
    #[error("target: names no stage")]
    Target,
    /// Not `PATH[:TAG][@DIGEST]`.
    #[error("oci-layout://: {0}")]
    Layout(#[from] InvalidLayout),
}

/// All of them, by name.
#[derive(Clone, Debug, Default)]
pub struct Contexts(BTreeMap<String, Named>);

impl Contexts {
    /// Adds `NAME=VALUE`; the last of a name counts. `NAME::OS/ARCH` is for that platform alone.
    pub fn add(&mut self, text: &str) -> Result<(), InvalidNamed> {
        let (name, value) = text.split_once('=').ok_or(InvalidNamed::Form)?;
        let (plain, platform) = name.split_once("::").map_or((name, None), |(a, b)| (a, Some(b)));
        let mut key = familiar(plain).ok_or_else(|| InvalidNamed::Name(name.to_owned()))?;
        if key == "scratch" {
            return Err(InvalidNamed::Scratch);
        }
        if let Some(platform) = platform {
            key = format!("{key}::{}", platform.parse::<Platform>()?);
        }
        self.0.insert(key, Named::parse(value)?);
        Ok(())
    }

    /// The context that `name` stands for on `platform`, and what it is called here.
    pub(super) fn find(&self, name: &str, platform: &Platform) -> Option<(&str, &Named)> {
        let name = familiar(name)?;
        let found =
            self.0.get_key_value(&format!("{name}::{platform}")).or_else(|| self.0.get_key_value(&name));
        found.map(|(key, named)| (key.as_str(), named))
    }

    /// Their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Named)> {
        self.0.iter().map(|(key, named)| (key.as_str(), named))
    }
}

impl Named {
    fn parse(value: &str) -> Result<Self, InvalidNamed> {
        for transport in ["docker-image://", "container-image://", "docker://"] {
            if let Some(name) = value.strip_prefix(transport) {
                return Ok(Self::Image(name.parse()?));
            }
        }
        if let Some(rest) = value.strip_prefix("oci-layout://") {
            return Ok(Self::Layout(rest.parse()?));
        }
        if let Some(stage) = value.strip_prefix("target:") {
            return if stage.is_empty() {
                Err(InvalidNamed::Target)
            } else {
                Ok(Self::Stage(stage.to_owned()))
            };
        }
        match Origin::parse(value)? {
            Origin::Stdin => Err(InvalidNamed::Stdin),
            origin => Ok(Self::Files(origin)),
        }
    }
}

/// The short form of an image's name: without Docker Hub, and without the tag `latest`. Stages are found whatever their
/// case.
fn familiar(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    name.parse::<Reference>().ok()?;
    let short = name.strip_prefix("docker.io/").unwrap_or(&name);
    let short = short.strip_prefix("library/").unwrap_or(short);
    Some(short.strip_suffix(":latest").unwrap_or(short).to_owned())
}

/// What messages call the files of a context.
pub(super) fn shown(name: &str, origin: &Origin) -> String {
    match origin {
        Origin::Path(path) => format!("the context {name:?} ({})", path.display()),
        Origin::Stdin => format!("the context {name:?}"),
        Origin::Url(url) => format!("the context {name:?} ({})", web::redacted(url)),
        Origin::Git(remote) => format!("the context {name:?} ({})", remote.shown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_contexts_and_names_are_images() {
        for (text, want) in [
            ("a=dir", "a Files(Path(\"dir\"))"),
            ("a=", "a Files(Path(\"\"))"),
            ("A=target:b", "a Stage(\"b\")"),
            ("docker.io/library/alpine:latest=docker-image://alpine:3", "alpine Image(alpine:3)"),
            ("h:5/a:1=docker://b", "h:5/a:1 Image(b)"),
            ("a=container-image://B", "error"),
            ("a::linux/arm64=x", "a::linux/arm64 Files(Path(\"x\"))"),
            ("a=oci-layout:///p", "a Layout(/p None None)"),
            ("a=oci-layout://p:t", "a Layout(p Some(\"t\") None)"),
            ("a=oci-layout://", "error"),
            ("a=oci-layout://p@sha256:1", "error"),
            ("a=http://h/x.tar", "a Files(Url(\"http://h/x.tar\"))"),
            ("a=-", "error"),
            ("a=target:", "error"),
            ("a=ftp://h/x", "error"),
            ("a b=x", "error"),
            ("a", "error"),
            ("=x", "error"),
            ("scratch=x", "error"),
        ] {
            let mut contexts = Contexts::default();
            if contexts.add(text).is_err() {
                assert_eq!("error", want, "{text}");
                continue;
            }
            let (name, named) = contexts.iter().next().unwrap();
            let value = match named {
                Named::Image(image) => format!("Image({image})"),
                Named::Layout(Layout { path, tag, digest }) => {
                    format!("Layout({} {tag:?} {digest:?})", path.display())
                }
                other => format!("{other:?}"),
            };
            assert_eq!(format!("{name} {value}"), want, "{text}");
        }
    }

    #[test]
    fn a_name_for_the_platform_goes_before_one_for_all() {
        let mut contexts = Contexts::default();
        for text in ["a=all", "a::linux/arm64=one", "b::linux/arm64=two"] {
            contexts.add(text).unwrap();
        }
        for (name, platform, want) in [
            ("a", "linux/amd64", Some("a")),
            ("A:latest", "linux/arm64", Some("a::linux/arm64")),
            ("docker.io/library/b", "linux/arm64", Some("b::linux/arm64")),
            ("b", "linux/amd64", None),
            ("a:1", "linux/amd64", None),
            ("", "linux/amd64", None),
        ] {
            let found = contexts.find(name, &platform.parse().unwrap()).map(|(key, _)| key);
            assert_eq!(found, want, "{name} on {platform}");
        }
    }
}
