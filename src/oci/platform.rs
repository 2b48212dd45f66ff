//! Platforms: `os/architecture[/variant]`, in the words of Go's GOOS and GOARCH.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Error;

/// What a manifest runs on (OCI image-spec v1.1, image-index.md, "platform").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `linux`, …
    pub os: String,
    /// `v7`, `v8`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// The platform this program was compiled for.
    pub fn host() -> Self {
        let (architecture, variant) = normalise(std::env::consts::ARCH, None);
        Self { os: std::env::consts::OS.to_owned(), architecture, variant }
    }

    /// Whether an image for `self` is what was asked for with `wanted`: a variant that was not asked
    /// for does not matter.
    pub fn satisfies(&self, wanted: &Self) -> bool {
        let (architecture, variant) = normalise(&self.architecture, self.variant.as_deref());
        let (wanted_architecture, wanted_variant) =
            normalise(&wanted.architecture, wanted.variant.as_deref());
        self.os == wanted.os
            && architecture == wanted_architecture
            && (wanted_variant.is_none() || variant == wanted_variant)
    }
}

/// Go's name for an architecture, and the variant it implies.
fn normalise(architecture: &str, variant: Option<&str>) -> (String, Option<String>) {
    let (architecture, implied) = match architecture {
        "x86_64" | "x86-64" => ("amd64", None),
        "aarch64" => ("arm64", None),
        "x86" | "i386" | "i686" => ("386", None),
        "armhf" => ("arm", Some("v7")),
        "armel" => ("arm", Some("v6")),
        "powerpc64" => ("ppc64le", None),
        other => (other, None),
    };
    // arm64/v8 and plain arm64 are one platform (containerd's platforms.Normalize says the same).
    let variant = variant.or(implied).filter(|&v| !(architecture == "arm64" && (v == "v8" || v == "8")));
    (architecture.to_owned(), variant.map(str::to_owned))
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let (os, architecture, variant) = match parts[..] {
            _ if !parts.iter().all(word) => return Err(Error::Platform(text.to_owned())),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(Error::Platform(text.to_owned())),
        };
        let (architecture, variant) = normalise(&architecture.to_lowercase(), variant);
        Ok(Self { os: os.to_lowercase(), architecture, variant })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_normalised_and_matched() {
        for (text, want) in [
            ("linux/amd64", Some("linux/amd64")),
            ("linux/x86_64", Some("linux/amd64")),
            ("Linux/ARM64/v8", Some("linux/arm64")),
            ("linux/arm/v7", Some("linux/arm/v7")),
            ("linux", None),
            ("linux/", None),
            ("a/b/c/d", None),
        ] {
            assert_eq!(text.parse::<Platform>().ok().map(|p| p.to_string()).as_deref(), want, "{text}");
        }
        let parse = |text: &str| text.parse::<Platform>().unwrap();
        assert!(parse("linux/arm/v7").satisfies(&parse("linux/arm")));
        assert!(!parse("linux/arm/v6").satisfies(&parse("linux/arm/v7")));
        assert!(!parse("linux/amd64").satisfies(&parse("linux/arm64")));
    }
}
