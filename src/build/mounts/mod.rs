//! RUN --mount: what a command sees besides the image, and what of it decides the result.
//!
//! ```text
//! plan      words → what to show and where; nothing has been done yet
//! settings  what of it belongs to the key: the words, and of a bind the digest of what it shows
//! ready     at a miss: layers written, directories and locks taken, for as long as the command runs
//! ```
//!
//! A bind shows layers: those of a stage or an image, or one that is written from the context as COPY would write it. So
//! it obeys the ignore file, belongs to root, can be written to without a trace, and no path of the host is mounted.

mod bind;
mod cache;
mod secret;
mod ssh;

use super::StepError;
use super::copy::{Table, absolute, blame};
use super::executor::Executor;
use super::key::Inputs;
use super::stage::Stage;
use crate::dockerfile::{MountSpec, MountSpecError, Run, TmpfsSpec};
use crate::runtime::{self, Access, Content, Mount, Right, Source};
use crate::store::{CacheKey, CacheMount};

use bind::Bind;

pub(super) use bind::Written;

/// The mounts of one RUN.
pub(super) struct Plan {
    mounts: Vec<Planned>,
}

/// One of them.
struct Planned {
    /// Absolute; empty where it has none, or several.
    target: String,
    what: What,
}

enum What {
    Bind(Bind),
    Tmpfs(TmpfsSpec),
    Cache(cache::Cache),
    Secret(secret::Secret),
    Ssh(ssh::Ssh),
}

/// What a RUN needs while it runs.
#[derive(Default)]
pub(super) struct Ready {
    pub mounts: Vec<Mount>,
    /// `NAME=value`
    pub env: Vec<String>,
    /// Held until the command has ended.
    caches: Vec<CacheMount>,
    agents: Vec<ssh::Running>,
}

impl Executor<'_> {
    /// Reads the mounts of a RUN. Errors with the place of the one that is wrong.
    pub(super) fn plan_mounts(&self, stage: &Stage, run: &Run) -> Result<Plan, StepError> {
        let escape = self.dockerfile.escape;
        let expand = |value: &str| stage.scope.expand(value, escape, &stage.image.config);
        self.plan_words(stage, run.mounts.iter().map(|word| &*word.value), &expand)
    }

    /// The same for words that stand anywhere; `expand` replaces variables in their values.
    pub(super) fn plan_words<'w>(
        &self,
        stage: &Stage,
        words: impl Iterator<Item = &'w str>,
        expand: &dyn Fn(&str) -> Result<String, StepError>,
    ) -> Result<Plan, StepError> {
        let plan = |word| self.plan_mount(stage, word, expand).map_err(blame(&format!("--mount={word}")));
        Ok(Plan { mounts: words.map(plan).collect::<Result<_, _>>()? })
    }

    fn plan_mount(
        &self,
        stage: &Stage,
        word: &str,
        expand: &dyn Fn(&str) -> Result<String, StepError>,
    ) -> Result<Planned, StepError> {
        let spec = MountSpec::parse_with(word, expand)?;
        let target = |target: &str| in_root(&stage.image.config.working_dir, target);
        Ok(match spec {
            MountSpec::Bind(spec) => {
                let target = target(&spec.target)?;
                Planned { what: What::Bind(self.plan_bind(stage, &spec, &target)?), target }
            }
            MountSpec::Tmpfs(spec) => Planned { target: target(&spec.target)?, what: What::Tmpfs(spec) },
            MountSpec::Cache(spec) => {
                let target = target(&spec.target)?;
                Planned { what: What::Cache(self.plan_cache(stage, spec, &target)?), target }
            }
            MountSpec::Secret(spec) => {
                Planned { what: What::Secret(self.plan_secret(spec, target)?), target: String::new() }
            }
            MountSpec::Ssh(spec) => {
                Planned { what: What::Ssh(self.plan_ssh(spec, target)?), target: String::new() }
            }
        })
    }

    /// A digest of what the binds show; `None` without any.
    pub(super) fn shown(&self, plan: &Plan) -> Result<Option<Inputs>, StepError> {
        let digests =
            plan.binds().map(|bind| self.snapshot(bind)?.content()).collect::<Result<Vec<_>, _>>()?;
        Ok(together(&digests).map(Inputs::Content))
    }

    /// Remembers what the binds show, for who asks why a later RUN is another.
    pub(super) fn keep_shown(&self, key: &CacheKey, plan: &Plan) -> Result<(), StepError> {
        let mut shown = Table::default();
        for bind in plan.binds() {
            shown.0.extend(self.snapshot(bind)?.table()?.0);
        }
        if !shown.0.is_empty() {
            self.keep_table(key, &shown);
        }
        Ok(())
    }

    /// Makes everything that the mounts show.
    pub(super) fn ready_mounts(&self, stage: &Stage, plan: &Plan) -> Result<Ready, StepError> {
        let mut ready = Ready::default();
        self.ready_caches(&plan.mounts, &mut ready)?;
        for Planned { target, what } in &plan.mounts {
            let (source, writable, flags) = match what {
                What::Bind(bind) => (self.ready_bind(bind)?, bind.is_writable(), &bind.spec.flags),
                What::Tmpfs(spec) => (tmpfs(spec), spec.writable.unwrap_or(true), &spec.flags),
                What::Cache(_) => continue,
                What::Secret(secret) => {
                    secret.ready(&mut ready);
                    continue;
                }
                What::Ssh(ssh) => {
                    self.ready_ssh(ssh, stage, &mut ready)?;
                    continue;
                }
            };
            let (target, access) = (target.clone(), access(writable));
            ready.mounts.push(Mount { target, source, access, rights: rights(flags) });
        }
        Ok(ready)
    }
}

impl Plan {
    /// What decides the result besides the bytes that are shown.
    pub(super) fn settings(&self) -> Vec<String> {
        let text = |Planned { target, what }: &Planned| match what {
            What::Bind(bind) => format!("run mount {target} {}", bind.setting()),
            What::Tmpfs(spec) => format!("run mount {target} {spec:?}"),
            What::Cache(cache) => format!("run mount {target} {}", cache.setting()),
            What::Secret(secret) => format!("run mount {}", secret.setting()),
            What::Ssh(ssh) => format!("run mount {}", ssh.setting()),
        };
        self.mounts.iter().map(text).collect()
    }

    /// A digest of the names of what binds show, for which no layer need be here; `None` where they show files of layers
    /// nowhere, so that [`Executor::shown`] needs none either.
    pub(super) fn named(&self) -> Result<Option<Inputs>, StepError> {
        if !self.binds().any(Bind::has_name) {
            return Ok(None);
        }
        let digests = self.binds().map(Bind::named).collect::<Result<Vec<_>, _>>()?;
        Ok(together(&digests).map(Inputs::Named))
    }

    fn binds(&self) -> impl Iterator<Item = &Bind> {
        self.mounts.iter().filter_map(|planned| match &planned.what {
            What::Bind(bind) => Some(bind),
            What::Tmpfs(_) | What::Cache(_) | What::Secret(_) | What::Ssh(_) => None,
        })
    }
}

/// One digest of all, in their order.
fn together(digests: &[[u8; 32]]) -> Option<[u8; 32]> {
    (!digests.is_empty()).then(|| blake3::hash(digests.as_flattened()).into())
}

/// The absolute path of a target, without a slash behind. Errors if it is the root.
fn in_root(directory: &str, target: &str) -> Result<String, StepError> {
    match absolute(directory, target).trim_end_matches('/') {
        "" => Err(MountSpecError::Root(target.to_owned()).into()),
        path => Ok(path.to_owned()),
    }
}

fn tmpfs(spec: &TmpfsSpec) -> Source {
    let content = if spec.copy_up { Content::Image } else { Content::Empty };
    Source::Tmpfs(runtime::Tmpfs { size: spec.size, mode: spec.mode.unwrap_or(0o1777), content })
}

fn access(writable: bool) -> Access {
    if writable { Access::ReadWrite } else { Access::ReadOnly }
}

fn rights(flags: &[String]) -> Vec<Right> {
    flags.iter().filter_map(|flag| Right::named(flag)).collect()
}
