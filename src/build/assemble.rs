//! Images of several platforms become one list; a list may also be added to one that the store has.

use std::collections::BTreeMap;

use super::attest::{self, Ran};
use super::{Error, Format, Options};
use crate::oci::{Descriptor, ImageIndex, Reference, media_type};
use crate::progress::Sink;
use crate::store::{Image, ImageList, Store};
use crate::transfer::Subject;

/// What the build has made: an image, or a list where it was for several platforms, or something is attested. It has no name
/// yet.
pub(super) fn assemble(
    store: &Store,
    mut ran: Vec<(Image, Ran)>,
    options: &Options,
    sink: &dyn Sink,
) -> Result<Subject, Error> {
    let is_attested = options.attestations.is_some();
    if ran.len() == 1
        && !is_attested
        && let Some((image, _)) = ran.pop()
    {
        return Ok(Subject::Image(Box::new(image)));
    }
    let format = options.finish.format;
    let mut index = empty(format);
    index.manifests = ran.iter().map(|(image, _)| entry(image)).collect();
    if format == Format::Oci {
        index.annotations.clone_from(&options.finish.annotations);
    }
    if is_attested {
        attest::attest(store, &ran, &mut index, options, sink)?;
    }
    Ok(Subject::Index(Box::new(store.put_list(type_of(format), &index)?)))
}

/// Adds the images to the list called `name`, each in the place of one for the same platform; makes it if it is not there.
pub(super) fn add_to_list(
    store: &Store,
    name: &Reference,
    subject: &Subject,
    format: Format,
) -> Result<ImageList, Error> {
    let added: Vec<Descriptor> = match subject {
        Subject::Image(image) => vec![entry(image)],
        Subject::Index(list) => list.index.manifests.clone(),
    };
    let list = store.edit_list::<Error>(name, |known| {
        let media_type = known.map_or(type_of(format), |list| &list.descriptor.media_type);
        let mut index = known.map_or_else(|| empty(format), |list| list.index.clone());
        merge(&mut index, added);
        Ok((media_type.to_owned(), index))
    })?;
    Ok(list)
}

/// Adds entries, each in the place of one for the same platform and of what is attested of that.
fn merge(index: &mut ImageIndex, added: Vec<Descriptor>) {
    for new in &added {
        let replaced = index.manifests.iter().find(|old| is_same_platform(old, new)).map(|old| old.digest);
        let of_replaced = |old: &Descriptor| {
            let of = old.annotations.get("vnd.docker.reference.digest");
            replaced
                .is_some_and(|digest| old.digest == digest || of.is_some_and(|of| *of == digest.to_string()))
        };
        index.manifests.retain(|old| !of_replaced(old) && old.digest != new.digest);
    }
    index.manifests.extend(added);
}

fn is_same_platform(old: &Descriptor, new: &Descriptor) -> bool {
    old.platform == new.platform && new.platform.as_ref().is_some_and(|platform| platform.os != "unknown")
}

fn entry(image: &Image) -> Descriptor {
    Descriptor { platform: Some(image.platform()), ..image.descriptor.clone() }
}

fn empty(format: Format) -> ImageIndex {
    ImageIndex {
        schema_version: 2,
        media_type: Some(type_of(format).to_owned()),
        manifests: Vec::new(),
        annotations: BTreeMap::new(),
        extra: BTreeMap::new(),
    }
}

fn type_of(format: Format) -> &'static str {
    match format {
        Format::Oci => media_type::INDEX,
        Format::Docker => media_type::DOCKER_INDEX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::ImageConfig;

    #[test]
    fn of_additions_at_once_none_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        Store::open(dir.path()).unwrap();
        let architectures = ["amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "loong64"];
        let start = std::sync::Barrier::new(architectures.len());
        std::thread::scope(|scope| {
            for architecture in architectures {
                let (start, path) = (&start, dir.path());
                scope.spawn(move || {
                    let store = Store::open(path).unwrap();
                    let config = ImageConfig {
                        architecture: architecture.to_owned(),
                        os: "linux".to_owned(),
                        ..ImageConfig::default()
                    };
                    let image = store.put_image(&config, &[], &BTreeMap::new()).unwrap();
                    start.wait();
                    let subject = Subject::Image(Box::new(image));
                    add_to_list(&store, &"list".parse().unwrap(), &subject, Format::Oci).unwrap();
                });
            }
        });
        let store = Store::open(dir.path()).unwrap();
        let list = store.find_list("list").unwrap().unwrap();
        let mut found: Vec<_> = list.images.iter().map(|image| &image.config.architecture[..]).collect();
        found.sort_unstable();
        let mut want = architectures;
        want.sort_unstable();
        assert_eq!(found, want);
    }
}
