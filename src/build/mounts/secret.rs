//! `type=secret`: bytes that the command line brought, for one command, in a file or a variable.
//!
//! They reach no key, no history, no record and no file: what the key knows is which secret was asked for, how, and
//! whether there was one.

use super::super::StepError;
use super::super::executor::Executor;
use super::Ready;
use crate::dockerfile::SecretSpec;
use crate::runtime::{Access, Attributes, Mount, Secret as Bytes, SecretFile, Source};

/// A secret that a RUN asks for.
pub(super) struct Secret {
    spec: SecretSpec,
    /// Absolute.
    target: Option<String>,
    /// `None`: the command line brought none, and the command does without.
    bytes: Option<Bytes>,
}

impl Executor<'_> {
    pub(super) fn plan_secret(
        &self,
        spec: SecretSpec,
        in_root: impl Fn(&str) -> Result<String, StepError>,
    ) -> Result<Secret, StepError> {
        let target = spec.target.as_deref().map(in_root).transpose()?;
        let bytes = self.options.secrets.get(&spec.id).cloned();
        if bytes.is_none() && spec.required {
            return Err(StepError::NoSecret(spec.id));
        }
        if let (Some(name), Some(bytes)) = (&spec.env, &bytes) {
            let text = std::str::from_utf8(bytes.as_bytes()).ok().filter(|text| !text.contains('\0'));
            if text.is_none() || name.contains(['=', '\0']) {
                return Err(StepError::Invalid(format!(
                    "secret {:?} cannot be the variable {name:?}: a variable holds text; take target=PATH",
                    spec.id
                )));
            }
        }
        Ok(Secret { spec, target, bytes })
    }
}

impl Secret {
    /// What the key says of it.
    pub(super) fn setting(&self) -> String {
        format!("{:?} at {:?}, given: {}", self.spec, self.target, self.bytes.is_some())
    }

    /// Shows it, if there is one.
    pub(super) fn ready(&self, ready: &mut Ready) {
        let Some(bytes) = &self.bytes else { return };
        if let Some(name) = &self.spec.env {
            ready.env.push(format!("{name}={}", String::from_utf8_lossy(bytes.as_bytes())));
        }
        if let Some(target) = &self.target {
            let SecretSpec { mode, uid, gid, .. } = self.spec;
            let attributes = Attributes { mode: mode.unwrap_or(0o400), uid, gid };
            let source = Source::Secret(SecretFile { secret: bytes.clone(), attributes });
            let target = target.clone();
            ready.mounts.push(Mount { target, source, access: Access::ReadOnly, rights: Vec::new() });
        }
    }
}
