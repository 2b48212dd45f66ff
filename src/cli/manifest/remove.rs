//! `rbuild manifest remove`, `rm` and `exists`.

use super::super::failure::Failure;
use super::super::{Context, output, rmi};
use super::annotate::{digest_of, entry_of};
use super::{edit, not_known};

/// Remove an image from a list
#[derive(clap::Args)]
pub(super) struct Args {
    /// The list: a name or an id
    list: String,
    /// The image: its digest, or a name or an id of the store
    image: String,
}

/// Remove lists; images that have names of their own stay
#[derive(clap::Args)]
pub(super) struct RmArgs {
    /// Names or ids
    #[arg(required = true)]
    lists: Vec<String>,
}

/// Say by the exit code whether there is a list of that name
#[derive(clap::Args)]
pub(super) struct ExistsArgs {
    /// A name or an id
    list: String,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    let digest = digest_of(&store, &args.image)?;
    let list = edit(&store, &args.list, |index| {
        entry_of(index, digest, &args.list)?;
        index.manifests.retain(|entry| entry.digest != digest);
        Ok(())
    })?;
    output::line(format_args!("{}: {digest}", list.descriptor.digest.hex()))
}

pub(super) fn rm(args: &RmArgs, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    for given in &args.lists {
        let list = store.find_list_in_part(given)?.ok_or_else(|| not_known(given))?;
        rmi::remove_list(&store, given, &list, true)?;
    }
    Ok(())
}

pub(super) fn exists(args: &ExistsArgs, context: &Context) -> Result<(), Failure> {
    match context.store()?.find_list_in_part(&args.list)? {
        Some(_) => Ok(()),
        None => Err(Failure::answer(1)),
    }
}
