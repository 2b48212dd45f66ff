//! `run`: a command on the root of a container.

use std::collections::BTreeMap;

use super::{Container, Error, Held, Means};
use crate::agent::Backend;
use crate::build::{Command, Context, Options};
use crate::oci::History;
use crate::runtime::{Confinement, Exit, Input, Names, Network, Secret, Security};

/// A command for a container.
pub struct Run<'a> {
    /// What is executed, as whom and where.
    pub command: Command,
    /// What it reads.
    pub input: Input<'a>,
    /// What it runs in, where that is not what the container says.
    pub confinement: Confinement,
    /// Which network it sees; `None`: what the container says.
    pub network: Option<Network>,
    /// What the command may do besides what the container says; `confinement` says nothing of it.
    pub capabilities: CapabilityChange,
    /// What `--mount=type=secret` shows, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// What answers `--mount=type=ssh`, by id.
    pub agents: BTreeMap<String, Backend>,
    /// Groups besides those of the user: names of the image, or numbers.
    pub further_groups: Vec<String>,
    /// Proxy settings, which reach no image.
    pub proxies: BTreeMap<String, String>,
    /// Whether the history of an image will tell of it.
    pub record: Record,
}

impl Run<'_> {
    /// A command that reads nothing and runs in what the container says.
    pub fn of(command: Command) -> Self {
        Self {
            command,
            input: Input::Nothing,
            confinement: Confinement::default(),
            network: None,
            capabilities: CapabilityChange::default(),
            secrets: BTreeMap::new(),
            agents: BTreeMap::new(),
            further_groups: Vec::new(),
            proxies: BTreeMap::new(),
            record: Record::Silent,
        }
    }
}

/// Capabilities that a command has more and less than its container says, by their names (`CAP_CHOWN`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapabilityChange {
    /// More.
    pub added: Vec<String>,
    /// Less; wins over more.
    pub dropped: Vec<String>,
}

impl CapabilityChange {
    fn of(&self, own: Vec<String>) -> Vec<String> {
        let mut changed = own;
        changed.extend(self.added.iter().cloned());
        changed.retain(|name| !self.dropped.contains(name));
        changed.sort_unstable();
        changed.dedup();
        changed
    }
}

/// Whether the history of an image will tell of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Record {
    /// No.
    #[default]
    Silent,
    /// Yes, in an entry of its own (`--add-history`).
    Told,
}

/// Runs a command in a container and keeps what it changed, however it ends. A command that fails is no error: see what is
/// returned.
///
/// Errors leave the container as it was.
pub fn run(means: &Means<'_>, held: &mut Held, run: Run<'_>) -> Result<Exit, Error> {
    let Run {
        command,
        input,
        confinement,
        network,
        capabilities,
        secrets,
        agents,
        further_groups,
        proxies,
        record,
    } = run;
    let confinement = joined(held.container(), confinement, network, &capabilities);
    let options = Options { proxies, confinement, secrets, agents, further_groups, ..means.options() };
    let bench = means.bench(Context::empty("no context"), &options)?;
    bench.sweep()?;
    let mut state = held.container().state.clone();
    let exit = bench.run(&mut state.piece, &command, input)?;
    bench.close()?;
    if record == Record::Told {
        let shell = state.piece.image.config.shell.clone();
        let shell = shell.map_or_else(|| "/bin/sh -c".to_owned(), |words| words.join(" "));
        tell(&mut state.piece.image.history, format!("{shell} {}", command.args.join(" ")));
    }
    held.save(state)?;
    Ok(exit)
}

/// Adds an entry to the history that has no layer of its own.
pub(super) fn tell(history: &mut Vec<History>, created_by: String) {
    let created = Some(jiff::Timestamp::now().to_string());
    history.push(History { created, created_by: Some(created_by), empty_layer: true, ..History::default() });
}

/// What a command may do: part by part what is asked for, where that is not the usual; what is hidden and shown by both.
fn secured(own: Security, asked: Security, capabilities: &CapabilityChange) -> Security {
    let usual = Security::default();
    let mut masks = own.masks;
    masks.hidden.extend(asked.masks.hidden);
    masks.shown.extend(asked.masks.shown);
    Security {
        capabilities: capabilities.of(own.capabilities),
        no_new_privileges: own.no_new_privileges || asked.no_new_privileges,
        seccomp: if asked.seccomp == usual.seccomp { own.seccomp } else { asked.seccomp },
        masks,
        label: asked.label.or(own.label),
    }
}

/// What the container says, but where `asked` has something else than the usual. The mounts and devices of both are shown; of
/// two in one place that which was asked for now.
fn joined(
    container: &Container,
    asked: Confinement,
    network: Option<Network>,
    capabilities: &CapabilityChange,
) -> Confinement {
    let (own, usual) = (container.state.confinement.clone(), Confinement::default());
    let mut mounts = own.mounts;
    mounts.retain(|mount| asked.mounts.iter().all(|other| other.target != mount.target));
    mounts.extend(asked.mounts);
    let names = if asked.names == usual.names { own.names } else { asked.names };
    let hostname = if names.hostname == usual.names.hostname {
        container.id[..12].to_owned()
    } else {
        names.hostname.clone()
    };
    Confinement {
        security: secured(own.security, asked.security, capabilities),
        limits: if asked.limits == usual.limits { own.limits } else { asked.limits },
        namespaces: if asked.namespaces == usual.namespaces { own.namespaces } else { asked.namespaces },
        devices: [own.devices, asked.devices].concat(),
        network: network.unwrap_or(own.network),
        names: Names { hostname, ..names },
        mounts,
    }
}
