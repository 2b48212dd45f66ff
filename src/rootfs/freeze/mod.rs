//! Freeze: an upper directory becomes a layer.
//!
//! The upper directory holds what the step changed, in overlayfs' words; the layer says it in OCI's. What is written:
//!
//! - every file, link and device that is there, in the order of names, each directory before what it holds;
//! - a directory that the stack has too only if its attributes differ or something below it is written (as other
//!   builders do);
//! - a whiteout only where the stack has something to hide, an opaque mark only where it has a directory;
//! - nothing for the stubs made for the step's mounts, nor for a parent of which only the time tells of them.
//!
//! Sockets are left out, as other builders do. The walk goes by directory descriptors; the tree is quiet by now, but its
//! names and depth are the step's choice.

mod descent;
mod entry;
mod ignore;
mod remove;
mod walk;

pub(super) use entry::metadata_of;
pub(super) use ignore::Ignore;
pub(super) use remove::remove_tree;
pub(super) use walk::write;
