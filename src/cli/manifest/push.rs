//! `rbuild manifest push`.

use std::path::PathBuf;

use super::super::failure::Failure;
use super::super::progress::Progress;
use super::super::{Context, environment, output, registry, rmi};
use super::find;
use crate::layer::Compression;
use crate::oci::Reference;
use crate::transfer::{PushOptions, Subject};

/// Send a list and its images to a registry
#[derive(clap::Args)]
pub(super) struct Args {
    /// With all its images, which is how a list goes
    #[arg(long, hide = true)]
    all: bool,
    /// Remove the list when it has arrived
    #[arg(long, alias = "purge")]
    rm: bool,
    /// Write the digest of the list there to this file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// The list: a name or an id
    list: String,
    /// Where to, as [docker://]HOST/NAME[:TAG] [default: the list's own name]
    destination: Option<String>,
    #[command(flatten)]
    registry: registry::Args,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    let list = find(&store, &args.list)?;
    let destination = args.destination.as_deref().unwrap_or(&args.list);
    let to: Reference = environment::docker_transport(destination)?.parse()?;
    if to.registry().is_none() && args.destination.is_none() {
        return Err(Failure::new(format!("{destination}: the name says no registry"))
            .hint(format!("rbuild manifest push {} HOST/NAME:TAG", args.list)));
    }
    let progress = Progress::of_transfers(args.quiet)?;
    let options = PushOptions { compression: Compression::Gzip, force: false };
    let subject = Subject::Index(Box::new(list.clone()));
    let pushed = subject.push(&store, &args.registry.client()?, &to, options, &progress)?;
    progress.finish();
    if let Some(file) = &args.digestfile {
        output::file(file, pushed.digest.to_string().as_bytes())?;
    }
    // stdout of push is empty, whatever else is done
    if args.rm { rmi::forget_list(&store, &list) } else { Ok(()) }
}
