//! `rbuild rmi`.

use super::Context;
use super::failure::Failure;
use super::inspect::find;
use super::output;
use crate::oci::Reference;
use crate::store::{Image, ImageList, Store};

/// Remove names, and images that have none left
#[derive(clap::Args)]
pub(super) struct Args {
    /// All images
    #[arg(short, long, conflicts_with = "images")]
    all: bool,
    /// Those without a name
    #[arg(short, long, conflicts_with_all = ["images", "all"])]
    prune: bool,
    /// An image with several names, or one of a list, too, when it is given by id
    #[arg(short, long)]
    force: bool,
    /// Names or ids
    #[arg(required_unless_present_any = ["all", "prune"])]
    images: Vec<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    if args.all || args.prune {
        for image in store.images()? {
            if args.prune && !image.names.is_empty() {
                continue;
            }
            untag(&store, &image.names)?;
            remove(&store, &image)?;
        }
        return Ok(());
    }
    for given in &args.images {
        match store.find_list_in_part(given)? {
            Some(list) => remove_list(&store, given, &list, args.force)?,
            None => remove_image(&store, given, &find(&store, given)?, args.force)?,
        }
    }
    Ok(())
}

/// Takes a list away by one of its names or by its digest; its images go with it.
pub(super) fn remove_list(store: &Store, given: &str, list: &ImageList, force: bool) -> Result<(), Failure> {
    let names = called(&list.names, given);
    if names.is_empty() && list.names.len() > 1 && !force {
        return Err(several_names(given, &list.names));
    }
    let gone = if names.is_empty() { &list.names } else { &names };
    untag(store, gone)?;
    if gone.len() < list.names.len() {
        return Ok(());
    }
    store.remove_list(list)?;
    for image in list.platforms() {
        // One that has a name of its own, or is in another list, stays.
        if store.find(&image.descriptor.digest.to_string())?.is_none() {
            output::line(image.id().hex())?;
        }
    }
    Ok(())
}

/// Takes a list and its names away without a word.
pub(super) fn forget_list(store: &Store, list: &ImageList) -> Result<(), Failure> {
    for name in &list.names {
        store.untag(name)?;
    }
    store.remove_list(list)?;
    Ok(())
}

/// Takes an image away by one of its names or by its id. Of a list of several it goes by `force` alone.
fn remove_image(store: &Store, given: &str, image: &Image, force: bool) -> Result<(), Failure> {
    let names = called(&image.names, given);
    if names.is_empty() && !force {
        let siblings = store.siblings(image)?;
        let mut lists =
            image.names.iter().filter(|name| siblings.iter().any(|other| other.names.contains(name)));
        if let Some(list) = lists.next() {
            return Err(Failure::new(format!("image {given} is one of several in the list {list}")).hint(
                format!("rbuild rmi {list} removes them all; --force removes this one and the list, and leaves the others"),
            ));
        }
        if image.names.len() > 1 {
            return Err(several_names(given, &image.names));
        }
    }
    let gone = if names.is_empty() { &image.names } else { &names };
    untag(store, gone)?;
    if gone.len() == image.names.len() { remove(store, image) } else { Ok(()) }
}

/// The name among `names` that `given` means.
pub(super) fn called(names: &[Reference], given: &str) -> Vec<Reference> {
    let parsed: Option<Reference> = given.parse().ok();
    let means = |name: &&Reference| {
        parsed.as_ref().is_some_and(|given| **name == given.local() || **name == given.remote())
    };
    names.iter().filter(means).take(1).cloned().collect()
}

fn several_names(given: &str, names: &[Reference]) -> Failure {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    Failure::new(format!("image {given} has several names: {}", names.join(", ")))
        .hint("remove the names, or pass --force")
}

fn untag(store: &Store, names: &[Reference]) -> Result<(), Failure> {
    for name in names {
        if store.untag(name)? {
            output::line(format_args!("untagged: {name}"))?;
        }
    }
    Ok(())
}

fn remove(store: &Store, image: &Image) -> Result<(), Failure> {
    store.remove(image)?;
    output::line(image.id().hex())
}
