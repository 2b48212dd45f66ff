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
use crate::registry::Client;
use crate::transfer::{self, PullPolicy};

/// Fetch an image from a registry and print its id
#[derive(clap::Args)]
pub(super) struct Args {
    /// When to ask the registry: always, missing, never or newer
    #[arg(long, value_name = "POLICY", default_value = "always", value_parser = policy)]
    policy: PullPolicy,
    /// Every image of the repository
    #[arg(short, long)]
    all_tags: bool,
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
    let (store, client) = (context.store()?, args.registry.client()?);
    let wanted = if args.all_tags { all(&client, &reference, &args.image)? } else { vec![reference] };
    for reference in wanted {
        let progress = Progress::of_transfers(args.quiet)?;
        let image = transfer::obtain(&store, &client, &reference, &platform, args.policy, &progress)?;
        progress.finish();
        output::line(image.id().hex())?;
    }
    Ok(())
}

/// What the repository has under its tags.
fn all(client: &Client, repository: &Reference, given: &str) -> Result<Vec<Reference>, Failure> {
    let repository = repository.remote();
    let has_tag = given.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    if has_tag {
        return Err(Failure::new(format!("--all-tags: {given} says a tag or a digest")).hint("leave it out"));
    }
    let host = repository.registry().unwrap_or_default();
    let name = |tag: String| Ok(format!("{host}/{}:{tag}", repository.repository()).parse()?);
    client.tags(&repository)?.into_iter().map(name).collect()
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
