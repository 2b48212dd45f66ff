//! What a list says of one of its images.

use super::super::failure::Failure;
use crate::oci::{Descriptor, Platform};

/// What is said of the image in place of what its config says.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// An annotation of the list's entry; may be given several times
    #[arg(long = "annotation", value_name = "NAME=VALUE", value_parser = annotation)]
    pub annotations: Vec<(String, String)>,
    /// The architecture that the list says the image is for
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,
    /// The operating system that the list says the image is for
    #[arg(long, value_name = "OS")]
    os: Option<String>,
    /// The variant of the architecture
    #[arg(long, value_name = "VARIANT")]
    variant: Option<String>,
}

/// `NAME=VALUE`.
pub(super) fn annotation(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

impl Args {
    /// Whether a platform is told.
    pub(super) fn tells_platform(&self) -> bool {
        self.arch.is_some() || self.os.is_some() || self.variant.is_some()
    }

    /// `platform` with what is told in its place.
    pub(super) fn platform(&self, platform: &Platform) -> Result<Platform, Failure> {
        let os = self.os.as_ref().unwrap_or(&platform.os);
        let architecture = self.arch.as_ref().unwrap_or(&platform.architecture);
        let kept = platform.variant.as_ref().filter(|_| self.arch.is_none());
        let variant = self.variant.as_ref().or(kept);
        let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
        Ok(format!("{os}/{architecture}{variant}").parse()?)
    }

    /// Writes what is told into an entry of a list.
    pub(super) fn apply(&self, entry: &mut Descriptor) -> Result<(), Failure> {
        if self.tells_platform() {
            let known = entry.platform.take().unwrap_or_else(Platform::host);
            entry.platform = Some(self.platform(&known)?);
        }
        entry.annotations.extend(self.annotations.iter().cloned());
        Ok(())
    }
}
