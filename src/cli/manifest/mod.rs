//! `rbuild manifest`: lists of images, one for each platform, put together by hand.
//!
//! What a list names is wholly in the store, so that a list can be pushed at any time and an image of it be built upon.
//! An image that is elsewhere is therefore fetched when it is added.

mod add;
mod annotate;
mod create;
mod entry;
mod inspect;
mod push;
mod remove;

use clap::Subcommand;

use super::failure::Failure;
use super::{Context, rmi};
use crate::oci::{ImageIndex, Reference};
use crate::store::{ImageList, Store};

/// Put together lists of images, one for each platform
#[derive(clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Add(Box<add::Args>),
    Annotate(Box<annotate::Args>),
    Create(create::Args),
    Exists(remove::ExistsArgs),
    Inspect(inspect::Args),
    Push(push::Args),
    Remove(remove::Args),
    Rm(remove::RmArgs),
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    match &args.verb {
        Verb::Add(args) => add::run(args, context),
        Verb::Annotate(args) => annotate::run(args, context),
        Verb::Create(args) => create::run(args, context),
        Verb::Exists(args) => remove::exists(args, context),
        Verb::Inspect(args) => inspect::run(args, context),
        Verb::Push(args) => push::run(args, context),
        Verb::Remove(args) => remove::run(args, context),
        Verb::Rm(args) => remove::rm(args, context),
    }
}

/// The list called `given`.
fn find(store: &Store, given: &str) -> Result<ImageList, Failure> {
    store.find_list(given)?.ok_or_else(|| not_known(given))
}

fn not_known(given: &str) -> Failure {
    Failure::new(format!("{given}: no list of images is called so")).hint("rbuild manifest create makes one")
}

/// Puts what `change` makes of the list called `given` in its place.
fn edit(
    store: &Store,
    given: &str,
    change: impl FnOnce(&mut ImageIndex) -> Result<(), Failure>,
) -> Result<ImageList, Failure> {
    let list = find(store, given)?;
    let name = rmi::called(&list.names, given).into_iter().chain(list.names).next();
    let name: Reference = name.ok_or_else(|| {
        Failure::new(format!("the list {given} has no name, and would be lost under the digest it had"))
    })?;
    store.edit_list(&name, |known| {
        let known = known.ok_or_else(|| not_known(given))?;
        let mut index = known.index.clone();
        change(&mut index)?;
        Ok((known.descriptor.media_type.clone(), index))
    })
}
