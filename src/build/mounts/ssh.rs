//! `type=ssh`: the socket of an agent, for one command.

use super::super::StepError;
use super::super::executor::Executor;
use super::super::stage::Stage;
use super::Ready;
use crate::agent::{Agent, Backend};
use crate::dockerfile::SshSpec;
use crate::runtime::{Access, Attributes, Mount, Socket, Source};
use crate::store::TmpFile;

/// What tells a program where its agent is.
const VARIABLE: &str = "SSH_AUTH_SOCK";
/// Where sockets are that say nothing else, each with its number behind it.
const SOCKETS: &str = "/run/buildkit/ssh_agent";

/// An agent that a RUN asks for.
pub(super) struct Ssh {
    spec: SshSpec,
    /// Absolute; `None`: by its number.
    target: Option<String>,
    /// `None`: the command line brought none, and the command does without.
    backend: Option<Backend>,
}

/// A running agent, and what its socket is named after.
pub(super) struct Running {
    _agent: Agent,
    _place: TmpFile,
}

impl Executor<'_> {
    pub(super) fn plan_ssh(
        &self,
        spec: SshSpec,
        in_root: impl Fn(&str) -> Result<String, StepError>,
    ) -> Result<Ssh, StepError> {
        let target = spec.target.as_deref().map(in_root).transpose()?;
        let backend = self.options.agents.get(&spec.id).cloned();
        if backend.is_none() && spec.required {
            return Err(StepError::NoAgent(spec.id));
        }
        Ok(Ssh { spec, target, backend })
    }

    /// Starts the agent, if there is one, and says where it is.
    pub(super) fn ready_ssh(&self, ssh: &Ssh, stage: &Stage, ready: &mut Ready) -> Result<(), StepError> {
        let Some(backend) = &ssh.backend else { return Ok(()) };
        let place = self.store.tmp_file()?;
        let unreadable = |source| StepError::Read { path: place.path().display().to_string(), source };
        // the store may lie behind a symlink; what is mounted may not
        let path = std::fs::canonicalize(place.path()).map_err(unreadable)?.with_extension("agent");
        let agent = Agent::start(backend.clone(), &path)?;
        let number = ready.agents.len();
        let target = ssh.target.clone().unwrap_or_else(|| format!("{SOCKETS}.{number}"));
        let is_told = stage.image.config.env(VARIABLE).is_some() || stage.scope.value(VARIABLE).is_some();
        if number == 0 && !is_told {
            ready.env.push(format!("{VARIABLE}={target}"));
        }
        let SshSpec { mode, uid, gid, .. } = ssh.spec;
        let attributes = Attributes { mode: mode.unwrap_or(0o600), uid, gid };
        let source = Source::Socket(Socket { path, attributes });
        ready.mounts.push(Mount { target, source, access: Access::ReadWrite, rights: Vec::new() });
        ready.agents.push(Running { _agent: agent, _place: place });
        Ok(())
    }
}

impl Ssh {
    /// What the key says of it.
    pub(super) fn setting(&self) -> String {
        format!("{:?} at {:?}, given: {}", self.spec, self.target, self.backend.is_some())
    }
}
