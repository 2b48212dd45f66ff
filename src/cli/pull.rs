//! `rbuild pull`.

use super::Context;
use super::environment;
use super::failure::Failure;
use super::output;
use super::progress::Progress;
use super::registry;
use crate::oci::{Platform, Reference};
use crate::transfer::{self, PullPolicy};

/// Fetch an image from a registry and print its id
#[derive(clap::Args)]
pub(super) struct Args {
    /// When to ask the registry: always, missing, never or newer
    #[arg(long, value_name = "POLICY", default_value = "always", value_parser = policy)]
    policy: PullPolicy,
    /// The variant to fetch [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", conflicts_with_all = ["os", "arch", "variant"])]
    platform: Option<Platform>,
    /// The operating system of the variant to fetch
    #[arg(long, value_name = "OS")]
    os: Option<String>,
    /// Its architecture
    #[arg(long, alias = "override-arch", value_name = "ARCH")]
    arch: Option<String>,
    /// The variant of its architecture
    #[arg(long, value_name = "VARIANT")]
    variant: Option<String>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// The image
    image: String,
    #[command(flatten)]
    registry: registry::Args,
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

impl Args {
    /// What is asked for; where it is told in parts, the rest is this machine's.
    fn platform(&self) -> Result<Platform, Failure> {
        if let Some(platform) = &self.platform {
            return Ok(platform.clone());
        }
        let host = Platform::host();
        let variant = self.variant.clone().or(host.variant.filter(|_| self.arch.is_none()));
        let (os, arch) =
            (self.os.as_ref().unwrap_or(&host.os), self.arch.as_ref().unwrap_or(&host.architecture));
        let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
        Ok(format!("{os}/{arch}{variant}").parse()?)
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let reference: Reference = environment::docker_transport(&args.image)?.parse()?;
    let platform = args.platform()?;
    let store = context.store()?;
    let progress = Progress::of_transfers(args.quiet)?;
    let image =
        transfer::obtain(&store, &args.registry.client()?, &reference, &platform, args.policy, &progress)?;
    progress.finish();
    output::line(image.id().hex())
}
