//! The traced cache: a RUN whose parent changed, but nothing that it looked at, need not run again.
//!
//! A [trace](crate::rootfs::trace) of a step is kept under a key that says what ran, and nothing of the parent. Where a
//! RUN has no record under its own key, the traces of its command are held against the new parent, name by name, in
//! the indexes of its layers: nothing is mounted for it and nothing started. The first whose every look meets the
//! same gives its layer, which is recorded under the RUN's own key as well. A trace names the layer of the run that it
//! saw: the record may be of another run by now, without a trace or of another machine, and then it counts no more.
//!
//! What the root does not show is in the key: the arguments, the environment, the directory, the user as numbers, and
//! what the ordinary key has of mounts, network, names and devices. As in the ordinary key, secrets, proxies and the
//! content of caches are not. The rest of the image's config (labels, say) no command can see.
//!
//! ```text
//! look      what a glance met, as digests; what of it has changed      look
//! traced    key → traces → the first that still holds                  here
//! keep      what a step looked at → a trace in the store               here
//! ```

mod look;

use std::io;

use serde::{Deserialize, Serialize};

use super::StepError;
use super::executor::Executor;
use super::key::Inputs;
use super::stage::Stage;
use super::step::Identity;
use crate::dockerfile::{CacheMode, Run};
use crate::oci::{DiffId, Platform};
use crate::progress::{Event, Reuse};
use crate::rootfs::trace::decode;
use crate::runtime::{ProcessSpec, Traced, Tracing};
use crate::store::{CacheKey, CacheRecord};

use look::Viewer;

pub(super) use look::Looks;

/// Raise it when a look means something else.
const VERSION: u32 = 2;

/// All that decides what a command does, except for what it finds in its root.
#[derive(Serialize)]
struct Command<'a> {
    version: u32,
    platform: &'a Platform,
    instruction: &'a str,
    settings: &'a [String],
    inputs: Option<Inputs>,
    process: &'a ProcessSpec,
}

/// A RUN that is to be traced.
pub(super) struct Trace {
    /// Under which its traces are kept.
    key: CacheKey,
}

impl Trace {
    /// Of the command that `process` is. What it has of secrets and proxies must not be in it.
    pub(super) fn of(
        platform: &Platform,
        identity: &Identity,
        inputs: Option<Inputs>,
        process: &ProcessSpec,
    ) -> Self {
        let (instruction, settings) = (identity.created_by.as_str(), identity.settings.as_slice());
        let command = Command { version: VERSION, platform, instruction, settings, inputs, process };
        let text = serde_json::to_vec(&command).expect("a command holds only strings and numbers");
        Self { key: CacheKey(blake3::hash(&text).to_hex().to_string()) }
    }
}

/// A trace as the store has it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// What the run made.
    layer: Option<DiffId>,
    looks: Looks,
}

impl Seen {
    fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("looks hold only strings and numbers")
    }

    /// `None` if it is not what [`Seen::to_bytes`] gave.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

fn diff_id(record: &CacheRecord) -> Option<DiffId> {
    record.layer.map(|layer| layer.diff_id)
}

impl Executor<'_> {
    /// Whether a RUN is traced: its own word, else the build's.
    pub(super) fn tracing(&self, run: &Run) -> Tracing {
        match run.cache.unwrap_or(self.options.cache.mode) {
            CacheMode::Exact => Tracing::Off,
            CacheMode::Traced => Tracing::On,
        }
    }

    /// Takes the result of an earlier run of the same command for the step behind `key`, if one holds on this parent.
    /// Tells what has changed since the last one, if none does.
    pub(super) fn take_traced(
        &self,
        stage: &mut Stage,
        key: &CacheKey,
        created_by: &str,
        trace: &Trace,
    ) -> Result<Option<CacheRecord>, StepError> {
        if self.is_ignored(stage) {
            return Ok(None);
        }
        let Some(record) = self.traced(stage, trace)? else { return Ok(None) };
        self.remember(key, &record)?;
        self.reuse(stage, key, record.clone(), created_by, Reuse::Traced);
        Ok(Some(record))
    }

    fn traced(&self, stage: &Stage, trace: &Trace) -> Result<Option<CacheRecord>, StepError> {
        let stack = self.stack(stage)?;
        let mut changed = None;
        for (step, bytes) in self.store.traces(&trace.key)? {
            let Some(record) = self.known(stage, &step)? else { continue };
            let Some(Seen { layer, looks }) = Seen::from_bytes(&bytes) else {
                let text =
                    format!("damaged trace of a step, it is not looked at: {}/{}", trace.key.0, step.0);
                self.sink.event(Event::Warning(text));
                continue;
            };
            if layer != diff_id(&record) {
                continue;
            }
            match looks.first_change(&mut Viewer::on(&stack)).map_err(StepError::Trace)? {
                None => return Ok(Some(record)),
                Some(change) => changed = changed.or(Some(change)),
            }
        }
        if let Some((path, change)) = changed {
            self.journal.looked(stage.index, &path, &change);
            self.sink.event(Event::TraceChanged { stage: self.label(stage.index), path, change });
        }
        Ok(None)
    }

    /// What a step saw on `parent`; `None` where that is not known, which is told.
    pub(super) fn looks(&self, parent: &Stage, traced: &Traced) -> Result<Option<Looks>, StepError> {
        let bytes = match traced {
            Traced::Seen(bytes) => bytes,
            Traced::Lost(why) => {
                let text = format!("RUN --cache=traced: the step is cached for this parent alone: {why}");
                self.sink.event(Event::Warning(text));
                return Ok(None);
            }
        };
        let unknown = || StepError::Trace(io::Error::other("the sandbox told it in an unknown form"));
        let glances = decode(bytes).ok_or_else(unknown)?;
        let stack = self.stack(parent)?;
        Looks::of(&glances, &mut Viewer::on(&stack)).map(Some).map_err(StepError::Trace)
    }

    /// Keeps what the run behind `key` looked at that came to `record`.
    pub(super) fn keep_trace(
        &self,
        key: &CacheKey,
        record: &CacheRecord,
        trace: &Trace,
        looks: Looks,
    ) -> Result<(), StepError> {
        let seen = Seen { layer: diff_id(record), looks };
        Ok(self.store.put_trace(&trace.key, key, &seen.to_bytes())?)
    }
}
