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
    let known = store.find_list(&name.local().to_string())?;
    let media_type = known.as_ref().map_or(type_of(format), |list| &list.descriptor.media_type);
    let mut index = known.as_ref().map_or_else(|| empty(format), |list| list.index.clone());
    let added: Vec<Descriptor> = match subject {
        Subject::Image(image) => vec![entry(image)],
        Subject::Index(list) => list.index.manifests.clone(),
    };
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
    let list = store.put_list(media_type, &index)?;
    store.tag_list(&list, name)?;
    Ok(list)
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
