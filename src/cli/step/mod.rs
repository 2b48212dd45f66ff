//! The options that every verb takes which runs commands: one file per noun, each turning its words into a value of
//! `runtime`.

mod devices;
mod limits;
mod mounts;
mod names;
mod namespaces;
pub(super) mod network;
mod process;
mod security;
mod users;

pub(super) use users::Maps;

use std::collections::BTreeMap;

use rbuild_userns::idmap::IdMap;

use super::failure::Failure;
use crate::container::CapabilityChange;
use crate::runtime::{Confinement, Groups, Network, Security};

#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Args {
    #[command(flatten)]
    network: network::Args,
    #[command(flatten)]
    names: names::Args,
    #[command(flatten)]
    mounts: mounts::Args,
    #[command(flatten)]
    devices: devices::Args,
    #[command(flatten)]
    security: security::Args,
    #[command(flatten)]
    process: process::Args,
    #[command(flatten)]
    namespaces: namespaces::Args,
    #[command(flatten)]
    users: users::Args,
    #[command(flatten)]
    limits: limits::Args,
}

/// What `RUN --security=insecure` gives.
pub(super) fn insecure() -> Result<Security, Failure> {
    security::insecure()
}

impl Args {
    /// What they come to.
    pub(super) fn confinement(&self) -> Result<Confinement, Failure> {
        Ok(Confinement {
            security: self.security.security()?,
            limits: self.limits.limits()?,
            namespaces: self.namespaces.namespaces()?,
            devices: self.devices.devices(),
            network: self.network.network.clone().unwrap_or_default(),
            names: self.names.names()?,
            mounts: self.mounts.mounts()?,
        })
    }

    /// What `--cap-add` and `--cap-drop` change of capabilities that are known elsewhere.
    pub(super) fn capability_change(&self) -> Result<CapabilityChange, Failure> {
        self.security.capability_change()
    }

    /// The network, if one is asked for.
    pub(super) fn network(&self) -> Option<Network> {
        self.network.network.clone()
    }

    /// What `--mount` shows that is not of the host, as it is written; [`Args::confinement`] refuses it.
    pub(super) fn take_mounts(&mut self) -> Vec<String> {
        self.mounts.take_words()
    }

    /// The proxy settings that RUN sees.
    pub(super) fn proxies(&self) -> Result<BTreeMap<String, String>, Failure> {
        self.process.proxies()
    }

    /// What becomes of the user's groups.
    pub(super) fn groups(&self) -> Result<Groups, Failure> {
        self.process.groups()
    }

    /// Groups of the image that RUN has besides those of its user.
    pub(super) fn further_groups(&self) -> Vec<String> {
        self.process.further()
    }

    /// Maps of user and group ids that are wanted instead of those of `--idmap`; where none are, `usual`.
    pub(super) fn maps(
        &self,
        usual: (Option<IdMap>, Option<IdMap>),
    ) -> Result<(Option<IdMap>, Option<IdMap>), Failure> {
        self.users.maps(usual)
    }
}
