//! `rbuild push`.

use std::fs;
use std::path::PathBuf;

use super::Context;
use super::environment;
use super::failure::Failure;
use super::foreign::{Given, Row, Table};
use super::inspect::find;
use super::progress::Progress;
use super::registry;
use crate::layer::Compression;
use crate::oci::Reference;
use crate::transfer::{PushOptions, Subject};

/// Send an image to a registry
#[derive(clap::Args)]
pub(super) struct Args {
    /// How layers that were made here travel: gzip or zstd
    #[arg(long, value_name = "FORMAT", default_value = "gzip", value_parser = compression)]
    compression_format: Compression,
    /// Pack layers anew that were pulled in another format
    #[arg(long)]
    force_compression: bool,
    /// Write the digest of the manifest to this file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// The image: a name or an id
    image: String,
    /// Where to, as [docker://]HOST/NAME[:TAG] [default: the image's own name]
    destination: Option<String>,
    #[command(flatten)]
    registry: registry::Args,
    #[command(flatten)]
    foreign: Given<Foreign>,
}

/// Options of buildah's and docker's that rbuild has no use for.
struct Foreign;

impl Table for Foreign {
    const ROWS: &'static [Row] = &[
        Row::idle("disable-content-trust", "what is pushed is held against its digests"),
        Row::one_way("disable-compression", false, "layers travel compressed").short('D'),
        Row::nothing("blob-cache", "the store keeps what it has compressed"),
        Row::idle("remove-signatures", "signatures are not kept"),
        Row::not_done("compression-level", "leave it out: the usual level of the format is taken"),
        Row::not_done("encrypt-layer", "encrypt what was pushed, with skopeo copy --encryption-key"),
        Row::not_done("encryption-key", "encrypt what was pushed, with skopeo copy --encryption-key"),
        Row::not_done("sign-by", "sign what was pushed, with skopeo standalone-sign or cosign"),
        Row::not_done("signature-policy", "leave it out"),
    ];
}

/// `--compression-format`.
pub(super) fn compression(text: &str) -> Result<Compression, String> {
    match text {
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        _ => Err("expected gzip or zstd".to_owned()),
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    args.foreign.answer(context)?;
    let store = context.store()?;
    let subject = match store.find_list(&args.image)? {
        Some(list) => Subject::Index(Box::new(list)),
        None => Subject::Image(Box::new(find(&store, &args.image)?)),
    };
    let destination = args.destination.as_deref().unwrap_or(&args.image);
    let to: Reference = environment::docker_transport(destination)?.parse()?;
    if to.registry().is_none() && args.destination.is_none() {
        return Err(Failure::new(format!("{destination}: the name says no registry"))
            .hint(format!("rbuild push {} HOST/NAME:TAG", args.image)));
    }
    let progress = Progress::of_transfers(args.quiet)?;
    let options = PushOptions { compression: args.compression_format, force: args.force_compression };
    let pushed = subject.push(&store, &args.registry.client()?, &to, options, &progress)?;
    progress.finish();
    if let Some(file) = &args.digestfile {
        fs::write(file, pushed.digest.to_string())?;
    }
    Ok(())
}
