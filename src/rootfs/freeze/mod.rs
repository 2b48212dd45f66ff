//! Freeze: what a step left on disk becomes a layer.
//!
//! A [`Source`] tells what the step changed: the upper directory of an overlayfs holds that and nothing else, in
//! overlayfs' words; a whole tree is compared with what it was. The layer says it in OCI's. What is written:
//!
//! - every file, link and device that is there and not again what the stack has, in the order of names, each directory
//!   before what it holds;
//! - a directory that the stack has too only if its attributes differ or something below it is written (as other
//!   builders do);
//! - a whiteout only where the stack has something to hide, an opaque mark only where it has a directory;
//! - nothing for the stubs made for the step's mounts, nor for a parent of which only the time tells of them.
//!
//! Sockets are left out, as other builders do, and what they took the place of is gone. The walk goes by directory descriptors; the tree is quiet by now, but its
//! names and depth are the step's choice.

mod descent;
mod entry;
mod ignore;
mod remove;
mod same;
mod upper;
mod walk;
mod whole;

pub(super) use descent::Descent;
pub(super) use entry::{Body, Entry, by_descriptor, metadata_of, read, xattr_names};
pub(super) use ignore::Ignore;
pub(super) use remove::remove_at;
pub(crate) use remove::remove_tree;
pub(super) use same::is_same;
pub(super) use upper::Upper;
pub(super) use walk::{Said, Source, metadata_in, write};
pub(crate) use whole::pack;
