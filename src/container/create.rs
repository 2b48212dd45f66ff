//! `from`: an image, or nothing, becomes a working container.

use std::collections::BTreeMap;

use super::{Base, Container, Error, Means, State, Told};
use crate::build::{BuildRecord, Format, Piece};
use crate::oci::{Platform, Reference};
use crate::runtime::Confinement;
use crate::store::{Image, Store};
use crate::transfer::{self, Archive, Layout, PullPolicy};

/// The suffix of names that nobody chose.
const SUFFIX: &str = "working-container";
/// What OCI calls the image that an image was made of (image-spec v1.1, annotations.md).
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// What a container begins with.
#[derive(Clone, Debug)]
pub enum Source {
    /// Nothing.
    Scratch,
    /// An image of the store or of a registry.
    Image(Reference),
    /// An image of an OCI layout.
    Layout(Layout),
    /// An image in files of another tool's.
    Archive(Archive),
    /// The state in which the last build failed.
    LastFailed,
}

/// A container to be.
#[derive(Clone, Debug)]
pub struct Create {
    /// What it begins with.
    pub source: Source,
    /// What it is called; `None`: after its image.
    pub name: Option<String>,
    /// Which image of a list.
    pub platform: Platform,
    /// When the registry is asked.
    pub pull: PullPolicy,
    /// Whose media types an image of it has.
    pub format: Format,
    /// What every command in it runs in.
    pub confinement: Confinement,
}

impl Create {
    /// The usual: for this machine, under a name that is free, from the store if that has the image.
    pub fn of(source: Source) -> Self {
        Self {
            source,
            name: None,
            platform: Platform::host(),
            pull: PullPolicy::Missing,
            format: Format::default(),
            confinement: Confinement::default(),
        }
    }
}

/// Makes a container.
///
/// Errors with [`store::Error::NameTaken`](crate::store::Error::NameTaken) if one is called like this, before anything is
/// fetched.
pub fn create(means: &Means<'_>, wanted: Create) -> Result<Container, Error> {
    let Create { source, name, platform, pull, format, confinement } = wanted;
    let store = means.store;
    if let Some(name) = &name {
        check_name(name)?;
        if let Some(other) = super::find(store, name)?.filter(|other| other.name == *name) {
            return Err(crate::store::Error::NameTaken { name: name.clone(), id: other.id }.into());
        }
    }
    let mut failed = None;
    let image = match &source {
        Source::Scratch => None,
        Source::LastFailed => {
            failed = Some(last_failed(store)?);
            None
        }
        Source::Image(reference) => {
            let image = transfer::obtain(store, means.client, reference, &platform, pull, means.sink);
            Some((reference.to_string(), image.map_err(Box::new)?))
        }
        Source::Layout(layout) => {
            let image = transfer::from_layout(store, layout, &platform, means.sink).map_err(Box::new)?;
            Some((shown(layout), image))
        }
        Source::Archive(archive) => {
            let image = transfer::from_archive(store, archive, &platform, means.sink).map_err(Box::new)?;
            Some((archive.to_string(), image))
        }
    };
    let state = State {
        piece: match (failed, &image) {
            (Some(failed), _) => failed,
            (None, Some((_, image))) => Piece::on_image(image),
            (None, None) => Piece::scratch(&platform),
        },
        annotations: annotations(image.as_ref()),
        base: image.as_ref().map(|(asked, image)| base(asked, image)),
        format,
        history: Told::default(),
        confinement,
        mount: None,
    };
    let chosen = stem(&source);
    Ok(match name {
        Some(name) => store.create_container([name], state)?,
        None => store.create_container(numbered(&chosen), state)?,
    })
}

/// What a command left that failed in the last build.
fn last_failed(store: &Store) -> Result<Piece, Error> {
    let last = store.builds()?.next().transpose()?.ok_or(Error::NoBuild)?;
    let record: BuildRecord = serde_json::from_slice(&last).map_err(Error::Record)?;
    if record.failure.is_none() {
        return Err(Error::Succeeded(record.began));
    }
    let piece = record.failed.ok_or(Error::NoCommandFailed(record.began))?.piece;
    for diff_id in &piece.image.rootfs.diff_ids {
        store.layer(diff_id)?;
    }
    Ok(piece)
}

/// Whether a container may be called like this.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(fits) && name.len() <= 255 {
        return Ok(());
    }
    Err(Error::Name(name.to_owned()))
}

/// The image by the name that it has in the store, else by what was asked for.
fn base(asked: &str, image: &Image) -> Base {
    let name = image.names.first().map_or_else(|| asked.to_owned(), ToString::to_string);
    Base { name, id: image.id(), manifest: image.descriptor.digest }
}

fn annotations(image: Option<&(String, Image)>) -> BTreeMap<String, String> {
    let Some((asked, image)) = image else { return BTreeMap::new() };
    let mut annotations = image.manifest.annotations.clone();
    let Base { name, manifest, .. } = base(asked, image);
    annotations.extend([(BASE_NAME.to_owned(), name), (BASE_DIGEST.to_owned(), manifest.to_string())]);
    annotations
}

/// The last component of the image's name, without its tag.
fn stem(source: &Source) -> String {
    let path = match source {
        Source::Scratch => return SUFFIX.to_owned(),
        Source::LastFailed => return format!("failed-{SUFFIX}"),
        Source::Image(reference) => reference.repository().to_owned(),
        Source::Layout(layout) => shown(layout),
        Source::Archive(archive) => archive.path().display().to_string(),
    };
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let last = last.split([':', '@']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    let clean = clean.trim_start_matches(['.', '_', '-']);
    if clean.is_empty() { SUFFIX.to_owned() } else { format!("{clean}-{SUFFIX}") }
}

fn shown(layout: &Layout) -> String {
    layout.path.display().to_string()
}

/// `stem`, then `stem-1`, `stem-2`, …
fn numbered(stem: &str) -> impl Iterator<Item = String> + '_ {
    std::iter::once(stem.to_owned()).chain((1_u64..).map(move |number| format!("{stem}-{number}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_called_after_their_image() {
        let image = |text: &str| Source::Image(text.parse().unwrap());
        for (source, want) in [
            (Source::Scratch, "working-container"),
            (image("debian"), "debian-working-container"),
            (image("docker.io/library/debian:12"), "debian-working-container"),
            (image("127.0.0.1:5000/a/b_c.d:x"), "b_c.d-working-container"),
        ] {
            assert_eq!(stem(&source), want, "{source:?}");
        }
        assert_eq!(numbered("a").take(3).collect::<Vec<_>>(), ["a", "a-1", "a-2"]);
    }

    #[test]
    fn names_are_words() {
        for name in ["a", "1", "a.b_c-d", &"x".repeat(255)] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
        for name in ["", "-a", ".a", "a b", "a/b", "\u{e4}", &"x".repeat(256)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
