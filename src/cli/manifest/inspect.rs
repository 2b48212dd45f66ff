//! `rbuild manifest inspect`.

use super::super::failure::Failure;
use super::super::{Context, environment, output, registry};
use crate::oci::{ImageIndex, Reference};

/// Print a list of the store, or of a registry, as JSON
#[derive(clap::Args)]
pub(super) struct Args {
    /// The list: a name or an id of the store, else a name that a registry has
    list: String,
    #[command(flatten)]
    registry: registry::Args,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    let name = environment::docker_transport(&args.list)?;
    let known = if name == args.list { store.find_list_in_part(name)? } else { None };
    // as it stands there: what is missing here is a part of it
    let bytes = if let Some(list) = known {
        std::fs::read(store.blob_path(&list.descriptor.digest))?
    } else {
        let reference: Reference = name.parse()?;
        args.registry.client()?.manifest(&reference)?.bytes
    };
    let index = ImageIndex::parse(&bytes)
        .map_err(|_| Failure::new(format!("{name}: an image, and no list of images")))?;
    output::pretty(&index)
}
