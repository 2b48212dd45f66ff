//! Pull and push against docker-registry, with skopeo as the judge, and against a server that lies.

mod hostile;
mod images;
mod policy;
mod real;

use std::sync::Mutex;

use crate::progress::{Event, Sink};
use crate::registry::Client;
use crate::registry::tests::patient;
use crate::store::Store;

/// A sink that remembers.
#[derive(Default)]
struct Log(Mutex<Vec<Event>>);

impl Sink for Log {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Log {
    /// How many blobs started to move since the last call, and whether all of them arrived whole.
    fn moved(&self) -> usize {
        let events = std::mem::take(&mut *self.0.lock().unwrap());
        let mut left = std::collections::HashMap::new();
        let (mut started, mut done) = (0, 0);
        for event in events {
            match event {
                Event::TransferStarted { blob, size, .. } => {
                    left.insert(blob, size);
                    started += 1;
                }
                Event::TransferAdvanced { blob, bytes } => *left.get_mut(&blob).unwrap() -= bytes,
                Event::TransferDone { blob } => {
                    assert_eq!(left[&blob], 0, "{blob} is done before its last byte");
                    done += 1;
                }
                _ => {}
            }
        }
        assert_eq!(started, done);
        started
    }
}

/// An empty store, removed with the directory.
fn scratch() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

fn client() -> Client {
    Client::new(patient()).unwrap()
}

/// An error with all that is below it.
fn told(error: &dyn std::error::Error) -> String {
    let errors = std::iter::successors(Some(error), |error| error.source());
    errors.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
