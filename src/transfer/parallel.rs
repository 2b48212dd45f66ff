//! Several layers at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Error;

/// Set when one of several pieces of work has failed, so that the others need not go on.
#[derive(Default)]
pub(super) struct Stop(AtomicBool);

impl Stop {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Does `work` for each of `items`, at most `lanes` at a time. Returns the results in the items' order, or the
/// first error to happen.
pub(super) fn each<T: Sync, R: Send>(
    lanes: usize,
    items: &[T],
    work: impl Fn(&T, &Stop) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let (stop, next, failure) = (Stop::default(), AtomicUsize::new(0), Mutex::new(None));
    let lane = || {
        let mut done = Vec::new();
        while !stop.is_set() {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { break };
            match work(item, &stop) {
                Ok(result) => done.push((at, result)),
                Err(error) => {
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    stop.0.store(true, Ordering::Relaxed);
                }
            }
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        // This thread is one of the lanes: a single layer needs no other.
        let others: Vec<_> = (1..lanes.min(items.len())).map(|_| scope.spawn(lane)).collect();
        let mut done = lane();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_and_the_first_error_counts() {
        for (lanes, items) in [(1, 0), (1, 9), (4, 1), (4, 4), (4, 100)] {
            let items: Vec<usize> = (0..items).collect();
            let doubled = each(lanes, &items, |item, _| Ok(item * 2)).unwrap();
            assert_eq!(doubled, items.iter().map(|item| item * 2).collect::<Vec<_>>(), "{lanes} {items:?}");
        }
        let outcome = each(4, &[1, 2, 3, 4, 5], |item, stop| {
            if *item == 3 {
                return Err(Error::file("three")(std::io::Error::other("no")));
            }
            while !stop.is_set() {
                std::thread::yield_now();
            }
            Err::<(), _>(Error::Stopped)
        });
        assert!(matches!(outcome, Err(Error::File { .. })), "{outcome:?}");
    }
}
