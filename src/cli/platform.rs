//! `--platform`, and its parts.

use crate::oci::Platform;

/// Which of a list's images.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Which image of a list [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", conflicts_with_all = ["os", "arch", "variant"])]
    platform: Option<Platform>,
    #[command(flatten)]
    parts: Parts,
}

/// A platform in parts.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Parts {
    /// The operating system, instead of --platform
    #[arg(long, alias = "override-os", value_name = "OS")]
    os: Option<String>,
    /// The architecture, instead of --platform
    #[arg(long, alias = "override-arch", value_name = "ARCH")]
    arch: Option<String>,
    /// The variant of the architecture, instead of --platform
    #[arg(long, value_name = "VARIANT")]
    variant: Option<String>,
}

impl Args {
    pub(super) fn platform(&self) -> Result<Platform, crate::oci::Error> {
        match &self.platform {
            Some(platform) => Ok(platform.clone()),
            None => Ok(self.parts.platform()?.unwrap_or_else(Platform::host)),
        }
    }
}

impl Parts {
    /// What is not said is this machine's; `None` if nothing is said. The variant of this machine belongs to its architecture.
    pub(super) fn platform(&self) -> Result<Option<Platform>, crate::oci::Error> {
        let Self { os, arch, variant } = self;
        if os.is_none() && arch.is_none() && variant.is_none() {
            return Ok(None);
        }
        let host = Platform::host();
        let variant = variant.clone().or(host.variant.filter(|_| arch.is_none()));
        let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
        let (os, arch) = (os.as_ref().unwrap_or(&host.os), arch.as_ref().unwrap_or(&host.architecture));
        format!("{os}/{arch}{variant}").parse().map(Some)
    }
}
