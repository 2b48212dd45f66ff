//! What the stages of a build share: its sandbox, started by the first RUN that misses and kept for all that follow.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Error, StepError};
use crate::runtime::{self, Cancel, Sandbox};
use crate::store::{Live, Store};

/// A sandbox to come.
pub(super) struct SharedSandbox<'a> {
    store: &'a Store,
    options: &'a runtime::Options,
    cancel: Cancel,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sandbox: Option<Arc<Sandbox>>,
    /// What it keeps from step to step. It goes after the sandbox, which empties it.
    shelf: Option<Live>,
}

impl<'a> SharedSandbox<'a> {
    /// `cancel` stops whatever runs in it.
    pub(super) fn new(store: &'a Store, options: &'a runtime::Options, cancel: Cancel) -> Self {
        Self { store, options, cancel, state: Mutex::default() }
    }

    /// The sandbox, started now if it was not yet.
    pub(super) fn get(&self) -> Result<Arc<Sandbox>, StepError> {
        self.state().sandbox(self)
    }

    /// The directory for what the sandbox keeps.
    pub(super) fn shelf(&self) -> Result<PathBuf, StepError> {
        let mut state = self.state();
        if state.shelf.is_none() {
            state.shelf = Some(self.store.lease_live()?);
        }
        Ok(state.shelf.as_ref().expect("it was just leased").path().to_owned())
    }

    /// Removes what a killed build left in `live/`. Files of mapped ids need a sandbox; others do not. Returns what stays.
    pub(super) fn sweep(&self) -> Result<Vec<PathBuf>, Error> {
        let left = self.store.abandoned()?;
        if left.is_empty() {
            return Ok(left);
        }
        let sandbox = Sandbox::start(self.options, self.cancel.clone())?;
        sandbox.sweep(&left)?;
        self.state().sandbox = Some(Arc::new(sandbox));
        // The sandbox emptied them; the store takes the rest away, and their leases.
        Ok(self.store.abandoned()?)
    }

    /// Ends the sandbox, if it was started, and then what it kept. Nobody uses it any more.
    pub(super) fn close(&self) -> Result<(), Error> {
        let state = std::mem::take(&mut *self.state());
        if let Some(sandbox) = state.sandbox.and_then(Arc::into_inner) {
            sandbox.close()?;
        }
        Ok(state.shelf.map_or(Ok(()), Live::close)?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn sandbox(&mut self, shared: &SharedSandbox<'_>) -> Result<Arc<Sandbox>, StepError> {
        if self.sandbox.is_none() {
            let started =
                Sandbox::start(shared.options, shared.cancel.clone()).map_err(StepError::Runtime)?;
            self.sandbox = Some(Arc::new(started));
        }
        Ok(Arc::clone(self.sandbox.as_ref().expect("it was just started")))
    }
}
