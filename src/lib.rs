//! rbuild builds OCI container images without a daemon, without root and without setuid programs.
//!
//! **A layer is a tar file and its index. A root file system is a stack of layers. No layer is unpacked.** COPY, ADD
//! and WORKDIR write a layer straight from their input; only RUN needs a root file system that can be written to, and
//! gets it in another process, the sandbox, which is this program started again.
//!
//! The rooms stand on floors, and each imports only lower ones (`tests/layering.rs`):
//!
//! | floor | |
//! |---|---|
//! | 7 | [`cli`]: arguments, printing, exit codes, the environment |
//! | 6 | [`container`]: working containers, an image by one command after the other |
//! | 5 | [`build`](mod@build): Dockerfile → image |
//! | 4 | [`transfer`]: pull and push |
//! | 3 | [`store`]: the OCI layout on disk · [`sandbox`]: the other process |
//! | 2 | [`rootfs`]: stacks of layers, FUSE, drivers · [`runtime`]: the client of the sandbox |
//! | 1 | [`layer`]: tar and index · [`fuse`]: the protocol · [`registry`]: the distribution client · [`web`]: files · [`git`]: repositories · [`progress`]: news · [`agent`]: ssh · [`beneath`]: names in a directory |
//! | 0 | [`oci`], [`dockerfile`], [`packages`]: text and values, nothing else |
//!
//! Below `cli` nothing prints, exits or asks the environment: options come in as values, news goes out through
//! [`progress::Sink`]. There is no unsafe code here; what asks the kernel for unusual things is the crate
//! `rbuild_userns`.
//!
//! # As a library
//! A program that builds calls [`init`] before anything else. One that only reads needs nothing, no privilege either:
//!
//! ```no_run
//! use rbuild::{rootfs::Stack, store::Store};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     rbuild::init();
//!     let store = Store::open("/var/lib/rbuild".as_ref())?;
//!     let image = store.find("debian:bookworm")?.ok_or("debian is not here")?;
//!     let layers = image.config.rootfs.diff_ids.iter().map(|diff_id| store.layer(diff_id));
//!     let root = Stack::new(layers.collect::<Result<_, _>>()?);
//!     let release = root.read(b"etc/os-release", 4096)?.unwrap_or_default();
//!     print!("{}", String::from_utf8_lossy(&release));
//!     Ok(())
//! }
//! ```

#![forbid(unsafe_code)]

pub mod agent;
pub mod beneath;
pub mod build;
pub mod cli;
pub mod container;
pub mod dockerfile;
pub mod fuse;
pub mod git;
pub mod layer;
pub mod oci;
pub mod packages;
pub mod progress;
pub mod registry;
pub mod rootfs;
pub mod runtime;
pub mod sandbox;
pub mod store;
pub mod transfer;
pub mod web;

/// The re-exec entry: call it first in `main`, before any thread exists. Returns at once in an ordinary process; in a
/// process that was started as a sandbox it runs the sandbox and never returns.
pub fn init() {
    if std::env::args_os().nth(1).is_some_and(|verb| verb == runtime::VERB) {
        sandbox::main()
    }
}
