//! The names that a command finds in `/etc`: its own, and those of other machines.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The names of machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The name of its machine.
    pub hostname: String,
    /// Whether `/etc/hostname` says it.
    pub hostname_file: File<()>,
    /// The rows of `/etc/hosts` besides its own machine's.
    pub hosts: File<Vec<Host>>,
    /// What `/etc/resolv.conf` says.
    pub resolvers: File<Resolvers>,
}

/// A file of `/etc`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum File<T> {
    /// The image's own, if it has one.
    Image,
    /// Made for the step, out of this.
    Made(T),
}

/// A row of `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The machine's name.
    pub name: String,
    /// Where it is.
    pub address: Address,
}

/// Where a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Address {
    /// There.
    At(IpAddr),
    /// At the address by which the command's network reaches the machine that builds.
    HostGateway,
}

/// What is asked for the addresses of names. Whatever is empty is taken from the host's `/etc/resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolvers {
    /// Who is asked, in this order.
    pub servers: Vec<IpAddr>,
    /// The domains that are tried behind a short name; `.` alone stands for none.
    pub search: Vec<String>,
    /// Options (resolv.conf(5)).
    pub options: Vec<String>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            hostname: "rbuild".to_owned(),
            hostname_file: File::Made(()),
            hosts: File::Made(Vec::new()),
            resolvers: File::Made(Resolvers::default()),
        }
    }
}
