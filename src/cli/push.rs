//! `rbuild push`.

use std::path::PathBuf;

use super::Context;
use super::environment;
use super::failure::Failure;
use super::foreign::{Given, Row, Table};
use super::inspect::find;
use super::progress::Progress;
use super::target::{Packing, Target, target};
use super::{output, registry, rmi};
use crate::layer::Compression;
use crate::oci::Reference;
use crate::transfer::{MediaTypes, Subject, in_media_types};

/// Send an image to a registry
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub(super) struct Args {
    /// How layers that were made here travel: gzip or zstd
    #[arg(long, value_name = "FORMAT", default_value = "gzip", value_parser = compression)]
    compression_format: Compression,
    /// Pack layers anew that were pulled in another format
    #[arg(long)]
    force_compression: bool,
    /// Leave layers that were made here plain
    #[arg(short = 'D', long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
          require_equals = true, default_value_t = false, action = clap::ArgAction::Set)]
    disable_compression: bool,
    /// The media types of the image there: oci or v2s2, which are Docker's [default: as they are here]
    #[arg(short, long, value_name = "FORMAT", value_parser = media_types)]
    format: Option<MediaTypes>,
    /// Remove a list when it has arrived
    #[arg(long)]
    rm: bool,
    /// Write the digest of the manifest to this file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// The image: a name or an id
    image: String,
    /// Where to: `[docker://]HOST/NAME[:TAG]`, `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]`, `docker-archive:FILE[:NAME]` or
    /// `dir:DIR` [default: the image's own name]
    #[arg(value_parser = target)]
    destination: Option<Target>,
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
        Row::idle("all", "a list goes with all its images"),
        Row::nothing("blob-cache", "the store keeps what it has compressed"),
        Row::idle("remove-signatures", "signatures are not kept"),
        Row::not_done("compression-level", "leave it out: the usual level of the format is taken"),
        Row::not_done("encrypt-layer", "encrypt what was pushed, with skopeo copy --encryption-key"),
        Row::not_done("encryption-key", "encrypt what was pushed, with skopeo copy --encryption-key"),
        Row::not_done("sign-by", "sign what was pushed, with skopeo standalone-sign or cosign"),
        Row::not_done("signature-policy", "leave it out"),
    ];
}

/// `--format`.
fn media_types(text: &str) -> Result<MediaTypes, String> {
    match text {
        "oci" => Ok(MediaTypes::Oci),
        "v2s2" | "docker" => Ok(MediaTypes::Docker),
        "v2s1" => Err("Docker's schema 1 is obsolete: expected oci or v2s2".to_owned()),
        _ => Err("expected oci or v2s2".to_owned()),
    }
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
    let list = store.find_list(&args.image)?;
    let subject = match &list {
        Some(list) if args.format.is_none() => Subject::Index(Box::new(list.clone())),
        Some(_) => {
            return Err(Failure::new(format!("--format: {} is a list, which goes as it is", args.image))
                .hint("rbuild bud --manifest makes one in the format that --format says"));
        }
        None => {
            let image = find(&store, &args.image)?;
            Subject::Image(Box::new(match args.format {
                Some(format) => in_media_types(image, format),
                None => image,
            }))
        }
    };
    let to = args.to()?;
    if args.digestfile.is_some() && !matches!(to, Target::Registry(_)) {
        return Err(Failure::new("--digestfile: files have no digest of a registry's")
            .hint("skopeo inspect tells that of an archive"));
    }
    let compression = if args.disable_compression { Compression::None } else { args.compression_format };
    let packing = Packing { registry: compression, files: compression, force: args.force_compression };
    let progress = Progress::of_transfers(args.quiet)?;
    let pushed = to.send((&store, &args.registry.client()?), &subject, packing, &progress)?;
    progress.finish();
    if let (Some(file), Some(pushed)) = (&args.digestfile, pushed) {
        output::file(file, pushed.digest.to_string().as_bytes())?;
    }
    match list {
        // stdout of push is empty, whatever else is done
        Some(list) if args.rm => rmi::forget_list(&store, &list),
        _ => Ok(()),
    }
}

impl Args {
    /// Where it goes: a name alone is one of a registry.
    fn to(&self) -> Result<Target, Failure> {
        let to = match &self.destination {
            Some(Target::Store(name)) => name.clone(),
            Some(elsewhere) => return Ok(elsewhere.clone()),
            None => {
                let name: Reference = environment::docker_transport(&self.image)?.parse()?;
                if name.registry().is_none() {
                    return Err(Failure::new(format!("{}: the name says no registry", self.image))
                        .hint(format!("rbuild push {} HOST/NAME:TAG", self.image)));
                }
                name
            }
        };
        Ok(Target::Registry(to))
    }
}
