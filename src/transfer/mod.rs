//! Images on their way between a registry and the store: pull, obtain, push; and from an OCI layout into the store.
//!
//! A pulled layer is read once: while its packed blob streams in, it is hashed and kept, unpacked, hashed
//! again as the plain tar, written and indexed. Nothing enters the store before both digests are what manifest
//! and config say. The packed blob stays beside the tar, so that the manifest is true in the store as well and
//! a push sends what was pulled, byte for byte.
//!
//! Two processes that want the same layer fetch it once: whoever comes second waits for the first one's lock
//! and finds it. A failed pull leaves the names as they were; whole blobs that had arrived stay.

mod error;
mod fetch;
mod layout;
mod obtain;
mod pack;
mod parallel;
mod pull;
mod push;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use layout::{Layout, from_layout};
pub use obtain::{PullPolicy, obtain};
pub use pull::pull;
pub use push::{PushOptions, push};
