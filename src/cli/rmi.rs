//! `rbuild rmi`.

use super::Context;
use super::failure::Failure;
use super::inspect::find;
use super::output;
use crate::oci::Reference;
use crate::store::{Image, Store};

/// Remove names, and images that have none left
#[derive(clap::Args)]
pub(super) struct Args {
    /// All images
    #[arg(short, long, conflicts_with = "images")]
    all: bool,
    /// An image with several names too, when it is given by id
    #[arg(short, long)]
    force: bool,
    /// Names or ids
    #[arg(required_unless_present = "all")]
    images: Vec<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    if args.all {
        for image in store.images()? {
            untag(&store, &image.names)?;
            remove(&store, &image)?;
        }
        return Ok(());
    }
    for given in &args.images {
        let image = find(&store, given)?;
        let parsed: Option<Reference> = given.parse().ok();
        let is_name = |name: &&Reference| {
            parsed.as_ref().is_some_and(|given| **name == given.local() || **name == given.remote())
        };
        let named: Vec<Reference> = image.names.iter().filter(is_name).take(1).cloned().collect();
        if named.is_empty() && image.names.len() > 1 && !args.force {
            let names: Vec<String> = image.names.iter().map(ToString::to_string).collect();
            return Err(Failure::new(format!("image {given} has several names: {}", names.join(", ")))
                .hint("remove the names, or pass --force"));
        }
        let gone = if named.is_empty() { image.names.clone() } else { named };
        untag(&store, &gone)?;
        if gone.len() == image.names.len() {
            remove(&store, &image)?;
        }
    }
    Ok(())
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
