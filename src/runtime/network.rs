//! Which network a command sees.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Which network a command sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// That of the host.
    #[default]
    Host,
    /// A loopback interface of its own.
    None,
    /// One of its own from which the outside can be reached, but not the host's loopback.
    Private(Private),
    /// The namespace that this file stands for.
    Namespace(PathBuf),
}

/// What carries the packets of a private network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Private {
    /// Which program; `None` takes pasta if it is there, else slirp4netns.
    pub carrier: Option<Carrier>,
    /// The directories in which it is looked for.
    pub path: Vec<PathBuf>,
}

/// A program that carries packets between a network namespace and sockets of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Carrier {
    /// Of the package passt.
    Pasta,
    /// Of the package slirp4netns.
    Slirp4netns,
}

impl Carrier {
    /// The name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pasta => "pasta",
            Self::Slirp4netns => "slirp4netns",
        }
    }
}

/// As `--network` has it.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::None => f.write_str("none"),
            Self::Private(Private { carrier: None, .. }) => f.write_str("private"),
            Self::Private(Private { carrier: Some(carrier), .. }) => f.write_str(carrier.name()),
            Self::Namespace(path) => write!(f, "ns:{}", path.display()),
        }
    }
}
