//! One step: look for its record, else do the work once, and remember it.

use std::time::Duration;

use super::StepError;
use super::executor::Executor;
use super::journal::Verdict;
use super::key::{Ingredients, Inputs};
use super::stage::Stage;
use crate::dockerfile::{Instruction, Step};
use crate::oci::ContainerConfig;
use crate::progress::{Event, Reuse};
use crate::store::{CacheKey, CacheRecord, Cached, LayerRecord, Lock};

/// What a step is, apart from its parent.
pub(super) struct Identity {
    /// The config before the instruction changed it.
    pub before: ContainerConfig,
    /// The instruction after expansion: the history entry.
    pub created_by: String,
    /// Whatever else decides the result.
    pub settings: Vec<String>,
}

impl Executor<'_> {
    /// Carries out one instruction.
    pub(super) fn step(&self, stage: &mut Stage, step: &Step) -> Result<(), StepError> {
        if self.cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        match &step.instruction {
            Instruction::Run(run) => self.run(stage, run),
            Instruction::Copy(copy) => self.copy(stage, "COPY", copy),
            Instruction::Add(add) => self.copy(stage, "ADD", add),
            Instruction::Workdir(path) => self.workdir(stage, path),
            _ => self.metadata(stage, step),
        }
    }

    /// The step's key over `inputs`.
    pub(super) fn key(&self, stage: &Stage, identity: &Identity, inputs: Option<Inputs>) -> CacheKey {
        let author = stage.image.author.as_deref();
        // That of the stage: one that is built FROM --platform=$BUILDPLATFORM is the same for every target.
        let own = stage.platform();
        let platform = if own.architecture.is_empty() { &self.options.platform } else { &own };
        let ingredients =
            Ingredients::new(platform, stage.chain(), &identity.before, author, &identity.created_by);
        let key = Ingredients { settings: &identity.settings, inputs, ..ingredients }.key();
        self.journal.made_of(stage.index, key)
    }

    /// The record of a step of `stage` behind `key`, of the store or of an import, unless the user wants none, or none as
    /// old. A damaged one is reported; what the step then makes replaces it.
    pub(super) fn recorded(&self, stage: &Stage, key: &CacheKey) -> Result<Option<CacheRecord>, StepError> {
        if self.is_ignored(stage) {
            return Ok(None);
        }
        let damage = match self.store.lookup(key)? {
            Cached::Hit(record) if self.is_fresh(&record) => return Ok(Some(*record)),
            Cached::Hit(_) | Cached::Absent | Cached::LayerGone { found: None, .. } => {
                return self.imported(key);
            }
            Cached::LayerGone { layer, found: Some(found) } => {
                format!("{} has {found} bytes of {}", layer.diff_id.0, layer.size)
            }
            Cached::Malformed { path, why } => format!("{}: {why}", path.display()),
        };
        self.sink.event(Event::Warning(format!("damaged cache record, the step runs again: {damage}")));
        Ok(None)
    }

    /// The same, and nothing is told of a damaged one.
    pub(super) fn known(&self, stage: &Stage, key: &CacheKey) -> Result<Option<CacheRecord>, StepError> {
        if self.is_ignored(stage) {
            return Ok(None);
        }
        match self.store.cached(key)?.filter(|record| self.is_fresh(record)) {
            Some(record) => Ok(Some(record)),
            None => self.imported(key),
        }
    }

    /// Ends a step whose result is known.
    pub(super) fn hit(&self, stage: &mut Stage, key: &CacheKey, record: CacheRecord, created_by: &str) {
        self.reuse(stage, key, record, created_by, Reuse::Exact);
    }

    /// The same, and whose result it is.
    pub(super) fn reuse(
        &self,
        stage: &mut Stage,
        key: &CacheKey,
        record: CacheRecord,
        created_by: &str,
        reuse: Reuse,
    ) {
        self.note(stage, key, &record);
        let verdict = if reuse == Reuse::Exact { Verdict::Hit } else { Verdict::Traced };
        self.journal.judge(stage.index, key, verdict, Some(&record));
        stage.adopt(record, created_by);
        self.sink.event(Event::CacheHit { stage: self.label(stage.index), id: stage.id(), reuse });
    }

    /// Records what a step of `stage` came to behind the key `alias` as well. It is behind `key` already.
    pub(super) fn alias(
        &self,
        stage: &Stage,
        alias: &CacheKey,
        key: CacheKey,
        record: CacheRecord,
    ) -> Result<(), StepError> {
        let record = CacheRecord { alias_of: Some(key), ..record };
        self.note(stage, alias, &record);
        self.remember(alias, &record)
    }

    /// Records what is behind `key`, once its layer is here.
    pub(super) fn remember(&self, key: &CacheKey, record: &CacheRecord) -> Result<(), StepError> {
        if self.is_postponed(key, record)? { Ok(()) } else { Ok(self.store.put_cached(key, record)?) }
    }

    /// Why there is no record to take.
    fn missed(&self, stage: &Stage, key: &CacheKey) -> Result<Verdict, StepError> {
        if self.is_ignored(stage) {
            return Ok(Verdict::Ignored);
        }
        Ok(match self.store.lookup(key)? {
            Cached::Hit(_) => Verdict::TooOld,
            Cached::Absent => Verdict::Unknown,
            Cached::LayerGone { .. } => Verdict::LayerGone,
            Cached::Malformed { .. } => Verdict::Damaged,
        })
    }

    /// Waits for whoever does this step now, in this build or in another.
    fn turn(&self, key: &CacheKey) -> Result<Lock, StepError> {
        /// How often it is looked whether the other is done.
        const LOOK: Duration = Duration::from_millis(20);
        loop {
            if let Some(lock) = self.store.try_lock_step(key)? {
                return Ok(lock);
            }
            if self.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Does the work behind `key` unless it is recorded; of several processes that want the same step, one
    /// works and the others wait for its record, which is returned.
    pub(super) fn once(
        &self,
        stage: &mut Stage,
        key: &CacheKey,
        created_by: &str,
        work: impl FnOnce(&Self, &Stage) -> Result<Option<LayerRecord>, StepError>,
    ) -> Result<CacheRecord, StepError> {
        // Without the lock first: most steps of most builds are hits. Damage is told once, below.
        if let Some(record) = self.known(stage, key)? {
            self.hit(stage, key, record.clone(), created_by);
            return Ok(record);
        }
        let _step = self.turn(key)?;
        if let Some(record) = self.recorded(stage, key)? {
            self.hit(stage, key, record.clone(), created_by);
            return Ok(record);
        }
        self.journal.judge(stage.index, key, self.missed(stage, key)?, None);
        let layer = work(self, stage)?;
        let record = CacheRecord::new(layer, jiff::Timestamp::now().to_string());
        self.store.put_cached(key, &record)?;
        self.note(stage, key, &record);
        self.journal.end(stage.index, record.layer);
        stage.adopt(record.clone(), created_by);
        self.sink.event(Event::StepDone { stage: self.label(stage.index), id: stage.id() });
        Ok(record)
    }
}
