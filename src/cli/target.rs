//! Where an image goes: `commit`'s and `push`'s second word.

use std::path::PathBuf;

use crate::layer::Compression;
use crate::oci::{Descriptor, Reference};
use crate::progress::Sink;
use crate::registry::Client;
use crate::store::Store;
use crate::transfer::export::{self, ArchiveKind, Destination, Names};
use crate::transfer::{Error, PushOptions, Subject};

/// Where an image goes.
#[derive(Clone)]
pub(super) enum Target {
    /// It stays in the store, under this name.
    Store(Reference),
    /// To a registry.
    Registry(Reference),
    /// Into a directory, as an OCI layout that calls it so.
    Layout(PathBuf, Option<String>),
    /// The same as an archive.
    OciArchive(PathBuf, Option<String>),
    /// Into a directory, as `dir:` has it.
    Directory(PathBuf),
    /// Into an archive of Docker's.
    DockerArchive(PathBuf, Option<Reference>),
}

/// How layers that were made here are packed.
#[derive(Clone, Copy)]
pub(super) struct Packing {
    /// On their way to a registry.
    pub registry: Compression,
    /// In files.
    pub files: Compression,
    /// Whether those that were pulled are packed anew.
    pub force: bool,
}

/// Reads one. A name alone is one of the store.
pub(super) fn target(text: &str) -> Result<Target, String> {
    let reference = |text: &str| text.parse::<Reference>().map_err(|why| why.to_string());
    let place = |rest: &str| {
        let (path, name) = rest.split_once(':').unwrap_or((rest, ""));
        let name = Some(name).filter(|name| !name.is_empty()).map(str::to_owned);
        if path.is_empty() { Err("expected a path".to_owned()) } else { Ok((PathBuf::from(path), name)) }
    };
    match text.split_once(':') {
        Some(("containers-storage", name)) => reference(name).map(Target::Store),
        Some(("docker", name)) if name.starts_with("//") => reference(&name[2..]).map(Target::Registry),
        Some(("oci", rest)) => place(rest).map(|(path, name)| Target::Layout(path, name)),
        Some(("oci-archive", rest)) => place(rest).map(|(path, name)| Target::OciArchive(path, name)),
        Some(("docker-archive", rest)) => {
            let (path, name) = place(rest)?;
            Ok(Target::DockerArchive(path, name.as_deref().map(reference).transpose()?))
        }
        Some(("dir", path)) if !path.is_empty() => Ok(Target::Directory(path.into())),
        Some((transport @ ("docker-daemon" | "sif" | "ostree"), rest)) if rest.contains('/') => {
            Err(format!("the transport {transport}: is not supported yet"))
        }
        _ => reference(text).map(Target::Store),
    }
}

impl Target {
    /// Names the image, or takes it where it is to go; there it has no name here. What a registry has of it then, if one does.
    pub(super) fn send(
        &self,
        (store, client): (&Store, &Client),
        subject: &Subject,
        packing: Packing,
        sink: &dyn Sink,
    ) -> Result<Option<Descriptor>, Error> {
        let options = |compression| PushOptions { compression, force: packing.force };
        let files = options(packing.files);
        match self {
            Self::Store(name) => subject.tag(store, &name.local())?,
            Self::Registry(name) => {
                return subject.push(store, client, name, options(packing.registry), sink).map(Some);
            }
            Self::Layout(path, name) => export::layout(store, subject, called(name.as_deref()), path, files)?,
            Self::OciArchive(path, name) => {
                let (names, to) = (called(name.as_deref()), Destination::Path(path.clone()));
                export::archive(store, subject, names, ArchiveKind::Oci, &to, files)?;
            }
            Self::Directory(path) => export::directory(store, subject, path, files)?,
            Self::DockerArchive(path, name) => {
                let (names, to) = (Names::Images(name.as_slice()), Destination::Path(path.clone()));
                export::archive(store, subject, names, ArchiveKind::Docker, &to, files)?;
            }
        }
        Ok(None)
    }
}

/// What a layout calls an image.
fn called(name: Option<&str>) -> Names<'_> {
    name.map_or(Names::Images(&[]), Names::Word)
}
