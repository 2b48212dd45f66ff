//! `rbuild tag`.

use super::Context;
use super::failure::Failure;
use super::inspect::find;
use crate::oci::Reference;

/// Give an image further names
#[derive(clap::Args)]
pub(super) struct Args {
    /// The image: a name or an id
    image: String,
    /// Its new names
    #[arg(required = true)]
    names: Vec<Reference>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    let image = find(&store, &args.image)?;
    for name in &args.names {
        if name.digest().is_some() {
            return Err(Failure::new(format!(
                "{name}: a digest names what an image is, it cannot be given to one"
            )));
        }
        store.tag(&image, &name.local())?;
    }
    Ok(())
}
