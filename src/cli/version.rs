//! `rbuild version`.

use serde_json::json;

use super::failure::Failure;
use super::output;
use crate::oci::Platform;

/// The versions of this program and of the formats it writes
#[derive(clap::Args)]
pub(super) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let (image_spec, distribution_spec, platform) = ("1.1.0", "1.1.0", Platform::host());
    if args.json {
        let version = json!({
            "version": version,
            "imageSpec": image_spec,
            "distributionSpec": distribution_spec,
            "osArch": platform.to_string(),
        });
        return output::line(serde_json::to_string_pretty(&version)?);
    }
    output::line(format_args!("Version:            {version}"))?;
    output::line(format_args!("Image Spec:         {image_spec}"))?;
    output::line(format_args!("Distribution Spec:  {distribution_spec}"))?;
    output::line(format_args!("OS/Arch:            {platform}"))
}
