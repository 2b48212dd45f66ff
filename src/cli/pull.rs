//! `rbuild pull`.

use super::Context;
use super::environment;
use super::failure::Failure;
use super::foreign::{Given, Row, Table};
use super::from::{Elsewhere, elsewhere};
use super::output;
use super::platform;
use super::progress::Progress;
use super::registry;
use crate::oci::Reference;
use crate::transfer::{self, PullPolicy};

/// Fetch an image from a registry and print its id
#[derive(clap::Args)]
pub(super) struct Args {
    /// When to ask the registry: always, missing, never or newer
    #[arg(long, value_name = "POLICY", default_value = "always", value_parser = policy)]
    policy: PullPolicy,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// The image
    image: String,
    #[command(flatten)]
    platform: platform::Args,
    #[command(flatten)]
    registry: registry::Args,
    #[command(flatten)]
    foreign: Given<Foreign>,
}

/// Options of buildah's and docker's that rbuild has no use for.
struct Foreign;

impl Table for Foreign {
    const ROWS: &'static [Row] = &[
        Row::idle("disable-content-trust", "images are held against their digests"),
        Row::nothing("blob-cache", "the store keeps what it has fetched"),
        Row::idle("remove-signatures", "signatures are not kept"),
        Row::not_done("decryption-key", "decrypt the image first, with skopeo copy --decryption-key"),
        Row::not_done("signature-policy", "name what is wanted by its digest: NAME@sha256:…"),
    ];
}

/// `--policy` and `--pull`.
pub(super) fn policy(text: &str) -> Result<PullPolicy, String> {
    match text {
        "always" | "true" => Ok(PullPolicy::Always),
        "missing" | "false" => Ok(PullPolicy::Missing),
        "never" => Ok(PullPolicy::Never),
        "newer" | "ifnewer" => Ok(PullPolicy::Newer),
        _ => Err("expected always, missing, never or newer".to_owned()),
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    args.foreign.answer(context)?;
    if let Some(elsewhere) = elsewhere(&args.image)? {
        return take(args, elsewhere, context);
    }
    let reference: Reference = environment::docker_transport(&args.image)?.parse()?;
    let platform = args.platform.platform()?;
    let store = context.store()?;
    let progress = Progress::of_transfers(args.quiet)?;
    let image =
        transfer::obtain(&store, &args.registry.client()?, &reference, &platform, args.policy, &progress)?;
    progress.finish();
    output::line(image.id().hex())
}

/// Takes in an image of files, which has no name then.
fn take(args: &Args, elsewhere: Elsewhere, context: &Context) -> Result<(), Failure> {
    let (store, platform) = (context.store()?, args.platform.platform()?);
    let progress = Progress::of_transfers(args.quiet)?;
    let image = match elsewhere {
        Elsewhere::Layout(layout) => transfer::from_layout(&store, &layout, &platform, &progress)?,
        Elsewhere::Archive(archive) => transfer::from_archive(&store, &archive, &platform, &progress)?,
    };
    progress.finish();
    output::line(image.id().hex())
}
