//! The one thread on which everything asynchronous happens.
//!
//! A pooled connection belongs to the runtime it was opened on, so a runtime per calling thread would either
//! share nothing or leave connections that nobody drives. One thread drives them all; callers wait for their
//! own answer. Hashing, unpacking and files stay on the callers' threads.

use std::future::Future;
use std::io;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A running current-thread runtime. Dropping it abandons what still runs on it.
pub(super) struct Runtime {
    handle: Handle,
    /// Never sent: the thread ends when this is dropped.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Runtime {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("registry".to_owned()).spawn(move || {
            // An error is the news awaited here: the sender is gone.
            if runtime.block_on(stopped).is_err() {
                // Not a plain drop: that would wait for a name server that does not answer.
                runtime.shutdown_background();
            }
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Lets `work` run beside the caller.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.handle.spawn(work)
    }

    /// Waits for what was spawned. Panics if it did.
    pub(super) fn wait<T>(&self, task: tokio::task::JoinHandle<T>) -> T {
        match self.handle.block_on(task) {
            Ok(answer) => answer,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => unreachable!("tasks are only cancelled when the runtime is dropped"),
            },
        }
    }

    /// Runs `work` on the thread and waits for its answer.
    pub(super) fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let task = self.spawn(work);
        self.wait(task)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && let Err(panic) = thread.join()
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}
