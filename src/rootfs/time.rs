//! A layer's time and FUSE's are the same two numbers.

use crate::fuse::Time;
use crate::layer::Timestamp;

impl From<Timestamp> for Time {
    fn from(Timestamp { secs, nanos }: Timestamp) -> Self {
        Self { secs, nanos }
    }
}

impl From<Time> for Timestamp {
    fn from(Time { secs, nanos }: Time) -> Self {
        Self { secs, nanos }
    }
}
