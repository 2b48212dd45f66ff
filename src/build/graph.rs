//! The stages of a build and their order: each is built once, by the thread that comes to it first; whoever needs it
//! meanwhile waits.
//!
//! A stage is started when its base is there; COPY --from waits when it comes to it. At most `jobs` stages are worked on
//! at a time, the earlier ones of the file first; one that waits for another is not worked on. A stage refers to
//! earlier ones only, so the earliest that is not finished never waits for another, and no wait is for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::stage::Stage;
use super::{Error, StepError};

/// The stages of one build.
pub(super) struct Graph {
    /// How many may be worked on at a time.
    jobs: NonZeroUsize,
    state: Mutex<State>,
    /// The state is another.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Those that nobody has started, each with the stage that it stands on.
    waiting: BTreeMap<usize, Option<usize>>,
    /// Those that somebody builds.
    building: BTreeSet<usize>,
    built: BTreeMap<usize, Arc<Stage>>,
    /// How many are worked on: started, and not waiting for another.
    working: usize,
    /// What ended the build. Those that fail after it only failed because of it.
    failure: Option<Error>,
}

/// Somebody else has failed: the build ends.
#[derive(Debug)]
pub(super) struct Stopped;

impl From<Stopped> for StepError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// What became of asking for a stage.
pub(super) enum Claim<'a> {
    /// It is there.
    Built(Arc<Stage>),
    /// The asker has to build it.
    Ours(Building<'a>),
}

/// A stage that its holder builds.
pub(super) struct Building<'a> {
    graph: &'a Graph,
    index: usize,
}

/// One of the stages that are worked on.
pub(super) struct Turn<'a> {
    graph: &'a Graph,
}

impl Graph {
    /// A build of `stages`, each with the one that it stands on.
    pub(super) fn new(stages: BTreeMap<usize, Option<usize>>, jobs: NonZeroUsize) -> Self {
        let state = State { waiting: stages, ..State::default() };
        Self { jobs, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The next stage to start, once one may be; `None` when there is none left, or the build has failed.
    pub(super) fn next(&self) -> Option<(usize, Turn<'_>)> {
        let mut state = self.until(|state| {
            state.failure.is_some()
                || state.waiting.is_empty()
                || (state.working < self.jobs.get() && state.ready().is_some())
        });
        if state.failure.is_some() {
            return None;
        }
        let index = state.ready()?;
        state.waiting.remove(&index);
        state.working += 1;
        Some((index, Turn { graph: self }))
    }

    /// Asks for the stage `index` from a thread that has a turn.
    pub(super) fn claim(&self, index: usize) -> Result<Claim<'_>, Stopped> {
        let mut state = self.state();
        if state.building.contains(&index) {
            drop(state);
            state = self.wait_for(index);
        }
        if state.failure.is_some() {
            return Err(Stopped);
        }
        if let Some(stage) = state.built.get(&index) {
            return Ok(Claim::Built(Arc::clone(stage)));
        }
        state.waiting.remove(&index);
        state.building.insert(index);
        Ok(Claim::Ours(Building { graph: self, index }))
    }

    /// Lets others work until the stage `index` is done with.
    fn wait_for(&self, index: usize) -> MutexGuard<'_, State> {
        self.change(|state| state.working -= 1);
        drop(self.until(|state| !state.building.contains(&index)));
        let mut state = self.until(|state| state.failure.is_some() || state.working < self.jobs.get());
        state.working += 1;
        state
    }

    /// Ends the build: nothing is started any more. The first failure is the build's.
    pub(super) fn fail(&self, error: Error) {
        self.change(|state| {
            state.failure.get_or_insert(error);
        });
    }

    /// What became of it all: the stage `target`, or the first failure. Asked when no thread works any more.
    pub(super) fn finish(&self, target: usize) -> Result<Arc<Stage>, Error> {
        let mut state = self.state();
        match state.failure.take() {
            Some(error) => Err(error),
            None => Ok(state.built.remove(&target).expect("a build without a failure has built its target")),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// The state, once it is as `is` wants it.
    fn until(&self, is: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_while(self.state(), |state| !is(state));
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The earliest stage whose base nobody has yet to build.
    fn ready(&self) -> Option<usize> {
        let is_to_come = |base: usize| self.waiting.contains_key(&base) || self.building.contains(&base);
        let is_ready = |base: &Option<usize>| !base.is_some_and(is_to_come);
        self.waiting.iter().find(|(_, base)| is_ready(base)).map(|(index, _)| *index)
    }
}

impl Building<'_> {
    /// The stage is built, for all who wait for it.
    pub(super) fn done(self, stage: Stage) -> Arc<Stage> {
        let stage = Arc::new(stage);
        self.graph.change(|state| {
            state.built.insert(self.index, Arc::clone(&stage));
        });
        stage
    }
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        self.graph.change(|state| {
            state.building.remove(&self.index);
        });
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.graph.change(|state| state.working -= 1);
    }
}
