//! The options that every verb takes which runs commands: one file per noun, each turning its words into a value of
//! `runtime`.

mod limits;
mod mounts;
mod network;
mod security;

use super::failure::Failure;
use crate::runtime::{Confinement, Names};

#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Args {
    #[command(flatten)]
    network: network::Args,
    #[command(flatten)]
    mounts: mounts::Args,
    #[command(flatten)]
    security: security::Args,
    #[command(flatten)]
    limits: limits::Args,
}

impl Args {
    /// What they come to.
    pub(super) fn confinement(self) -> Result<Confinement, Failure> {
        Ok(Confinement {
            security: self.security.security()?,
            limits: self.limits.limits(),
            network: self.network.network,
            names: Names::default(),
            mounts: self.mounts.volumes,
        })
    }
}
