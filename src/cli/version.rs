//! `rbuild version`.

use serde_json::json;

use super::failure::Failure;
use super::output;
use super::template::Template;
use crate::oci::Platform;

/// The versions of this program and of the formats it writes
#[derive(clap::Args)]
pub(super) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// A Go template instead, over the keys of --json
    #[arg(long, value_name = "TEMPLATE", conflicts_with = "json")]
    format: Option<Template>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let (image_spec, distribution_spec, platform) = ("1.1.0", "1.1.0", Platform::host());
    let described = json!({
        "version": version,
        "imageSpec": image_spec,
        "distributionSpec": distribution_spec,
        "osArch": platform.to_string(),
        "buildPlatform": platform.to_string(),
    });
    if let Some(format) = &args.format {
        return output::rendered(&format.render(&described).map_err(Failure::new)?);
    }
    if args.json {
        return output::pretty(&described);
    }
    output::line(format_args!("Version:            {version}"))?;
    output::line(format_args!("Image Spec:         {image_spec}"))?;
    output::line(format_args!("Distribution Spec:  {distribution_spec}"))?;
    output::line(format_args!("OS/Arch:            {platform}"))
}
