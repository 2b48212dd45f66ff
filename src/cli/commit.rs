//! `rbuild commit`.

use std::path::PathBuf;

use super::container::Workplace;
use super::failure::Failure;
use super::{Context, output, registry, result};
use crate::build::{Finish, Layering};
use crate::container::{self, Commit};
use crate::oci::Reference;

/// Make an image of a working container and print its id
#[derive(clap::Args)]
pub(super) struct Args {
    /// The media types of the image: oci or docker [default: as `from` was told]
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<result::GivenFormat>,
    /// Make the image one layer, that of its base included
    #[arg(long)]
    squash: bool,
    /// Remove the container when the image is there
    #[arg(long)]
    rm: bool,
    /// Write the image's id to this file, instead of printing it
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// The container: a name or an id
    container: String,
    /// The name of the image
    image: Option<Reference>,
    #[command(flatten)]
    registry: registry::Args,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let workplace = Workplace::open(context, &args.registry)?;
    let image = workplace.with(context, args.quiet, |means| {
        let held = means.hold(&args.container)?;
        let state = &held.container().state;
        let finish = Finish {
            format: args.format.map_or(state.format, result::GivenFormat::format),
            layering: if args.squash { Layering::All } else { Layering::New },
            ..Finish::default()
        };
        let image = container::commit(means, state, &Commit { finish })?;
        if let Some(name) = &args.image {
            means.store.tag(&image, &name.local())?;
        }
        if args.rm {
            held.remove()?;
        }
        Ok(image)
    })?;
    match &args.iidfile {
        Some(file) => output::file(file, image.id().to_string().as_bytes()),
        None => output::line(image.id().hex()),
    }
}
