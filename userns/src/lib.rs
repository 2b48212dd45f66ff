//! Asking the kernel for unusual things: the ONLY unsafe code of the project.
//!
//! Each request is wrapped once, takes and returns owned or borrowed descriptors, and names itself in its error. What is
//! asked, and in which order, is the business of the sandbox; here is only how.
pub mod caller;
pub mod caps;
pub mod fuse;
pub mod host;
pub mod idmap;
pub mod interrupt;
pub mod map;
pub mod mount;
pub mod namespace;
pub mod peer;
pub mod process;
pub mod seccomp;
pub mod socket;
pub mod spawn;
pub mod status;
pub mod subid;

mod error;

pub use error::Error;
