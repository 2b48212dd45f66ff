//! `rbuild manifest create`.

use std::collections::BTreeMap;

use super::super::failure::Failure;
use super::super::progress::Progress;
use super::super::{Context, output, registry};
use super::add::{Source, merge};
use super::entry::annotation;
use crate::oci::{ImageIndex, Platform, Reference, media_type};

/// Make a list of images, and print its id
#[derive(clap::Args)]
pub(super) struct Args {
    /// Of images that are lists all, not only those for this platform
    #[arg(long)]
    all: bool,
    /// Add to the list if there is one
    #[arg(long)]
    amend: bool,
    /// Take the place of what has the name
    #[arg(long, conflicts_with = "amend")]
    replace: bool,
    /// An annotation of the list; may be given several times
    #[arg(long = "annotation", value_name = "NAME=VALUE", value_parser = annotation)]
    annotations: Vec<(String, String)>,
    /// Its name
    list: Reference,
    /// Images, as for add
    images: Vec<String>,
    #[command(flatten)]
    registry: registry::Args,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let (store, name) = (context.store()?, args.list.local());
    if name.digest().is_some() {
        return Err(Failure::new(format!(
            "{name}: a digest names what a list is, it cannot be given to one"
        )));
    }
    let taken = || {
        Failure::new(format!("{name}: the name is in use"))
            .hint("--amend adds to the list, --replace makes a new one")
    };
    let is_list = store.find_list_in_part(&name.to_string())?.is_some();
    let is_image =
        !is_list && store.find(&name.to_string())?.is_some_and(|image| image.names.contains(&name));
    if !args.replace && (is_image || is_list && !args.amend) {
        return Err(taken());
    }
    let progress = Progress::of_transfers(true)?;
    let source = Source { store: &store, registry: &args.registry, sink: &progress };
    let mut added = Vec::new();
    for image in &args.images {
        added.extend(source.entries(image, &Platform::host(), args.all, false)?);
    }
    progress.finish();
    let list = store.edit_list(&name, |known| {
        let (media_type, mut index) = match known {
            Some(list) if args.amend => (list.descriptor.media_type.clone(), list.index.clone()),
            Some(_) if !args.replace => return Err(taken()),
            _ => (media_type::INDEX.to_owned(), empty()),
        };
        merge(&mut index, &added);
        index.annotations.extend(args.annotations.iter().cloned());
        Ok((media_type, index))
    })?;
    output::line(list.descriptor.digest.hex())
}

fn empty() -> ImageIndex {
    ImageIndex {
        schema_version: 2,
        media_type: Some(media_type::INDEX.to_owned()),
        manifests: Vec::new(),
        annotations: BTreeMap::new(),
        extra: BTreeMap::new(),
    }
}
