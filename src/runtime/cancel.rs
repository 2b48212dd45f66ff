//! Cancelling: one flag, and a descriptor to wake each thread that waits for the sandbox.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::event::EventfdFlags;

use super::Error;

/// Stops whatever the sandbox runs, from any thread (a signal handler's thread, not the handler itself). Idempotent.
#[derive(Clone, Default)]
pub struct Cancel {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    cancelled: AtomicBool,
    children: Mutex<Vec<Weak<State>>>,
    waiting: Mutex<Vec<Weak<OwnedFd>>>,
}

/// Readable once cancelled.
pub(super) struct Wake(Arc<OwnedFd>);

impl Cancel {
    /// Stops what runs now, and everything that is yet to start.
    pub fn cancel(&self) {
        self.state.cancelled.store(true, Ordering::SeqCst);
        for wake in lock(&self.state.waiting).iter().filter_map(Weak::upgrade) {
            // cannot fail: the descriptor is open, and its counter would overflow only after 2^64 calls
            rustix::io::write(&*wake, &1_u64.to_ne_bytes()).expect("an eventfd takes a one");
        }
        let children: Vec<_> = lock(&self.state.children).iter().filter_map(Weak::upgrade).collect();
        for state in children {
            Self { state }.cancel();
        }
    }

    /// A part of what this stops: cancelled with it, and by itself alone too.
    #[must_use]
    pub fn child(&self) -> Self {
        let child = Self::default();
        let mut children = lock(&self.state.children);
        children.retain(|one| one.strong_count() > 0);
        children.push(Arc::downgrade(&child.state));
        // looked at under the lock, as in `subscribe`
        if self.is_cancelled() {
            child.cancel();
        }
        drop(children);
        child
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.state.cancelled.load(Ordering::SeqCst)
    }

    /// A descriptor to wait on. Errors with [`Error::Cancelled`] if it is too late already.
    pub(super) fn subscribe(&self) -> Result<Wake, Error> {
        let wake = Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?);
        let mut waiting = lock(&self.state.waiting);
        waiting.retain(|one| one.strong_count() > 0);
        waiting.push(Arc::downgrade(&wake));
        // looked at under the lock: a cancel() that came before has set the flag, one that comes after finds us listed
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(Wake(wake)) }
    }
}

/// A list of weak references is whole whatever happened to the thread that held it.
fn lock<T>(list: &Mutex<Vec<Weak<T>>>) -> MutexGuard<'_, Vec<Weak<T>>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancel_wakes_everyone_once_and_for_all() {
        let cancel = Cancel::default();
        let one = cancel.subscribe().unwrap();
        let other = cancel.clone().subscribe().unwrap();
        cancel.cancel();
        cancel.cancel();
        for wake in [one, other] {
            let mut counter = [0; 8];
            assert_eq!(rustix::io::read(&wake, &mut counter).unwrap(), 8);
            assert_eq!(u64::from_ne_bytes(counter), 2);
        }
        assert!(matches!(cancel.subscribe(), Err(Error::Cancelled)));
    }

    #[test]
    fn a_child_is_cancelled_with_its_parent_and_not_the_other_way_round() {
        let parent = Cancel::default();
        let (one, other) = (parent.child(), parent.child());
        one.cancel();
        assert_eq!([&parent, &one, &other].map(Cancel::is_cancelled), [false, true, false]);
        let woken = other.subscribe().unwrap();
        parent.cancel();
        assert_eq!(rustix::io::read(&woken, &mut [0; 8]).unwrap(), 8);
        assert!(parent.child().is_cancelled(), "one that comes too late");
    }
}
