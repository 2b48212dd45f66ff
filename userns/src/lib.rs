//! Asking the kernel for unusual things: the ONLY unsafe code of the project.
//!
//! Each request is wrapped once, takes and returns owned or borrowed descriptors, and names itself in its error. What is
//! asked, and in which order, is the business of the sandbox; here is only how.


pub mod idmap;
pub mod map;
pub mod subid;
