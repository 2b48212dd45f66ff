//! rbuild builds OCI container images without a daemon, without root and without setuid programs.
//!
//! ```
//! use rbuild::{Builder, Store};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     rbuild::init();
//!     let directory = tempfile::tempdir()?;
//!     let store = Store::open(directory.path())?;
//!     let image = Builder::new(&store)
//!         .dockerfile("FROM scratch\nCOPY <<greeting /\nhello\ngreeting\nENV LANG=C.UTF-8\n")
//!         .tag("greeting".parse()?)
//!         .build()?;
//!     println!("{}", image.id());
//!     Ok(())
//! }
//! ```
//!
//! | | |
//! |---|---|
//! | [`Builder`] | a Dockerfile and its context become an image |
//! | [`Container`] | an image becomes another by one command after the other |
//! | [`Store`] | where images, layers, containers and cache records are: an OCI image layout |
//! | [`Sink`] | who is told what happens |
//! | [`Setup`] | registries, ids, drivers, and who may stop the work |
//!
//! A program that builds calls [`init`] before anything else: only RUN needs a root file system that can be written to, and
//! gets it in another process, the sandbox, which is this program started again. One that only reads needs nothing, no
//! privilege either: **a layer is a tar file and its index, a root file system is a stack of layers, and no layer is
//! unpacked.**
//!
//! ```
//! use rbuild::{Builder, Store, rootfs::Stack};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let store = Store::open(directory.path())?;
//! # let release = "FROM scratch\nCOPY <<os-release /etc/\nNAME=x\nos-release\n";
//! # Builder::new(&store).dockerfile(release).tag("debian".parse()?).build()?;
//! let image = store.find("debian")?.ok_or("debian is not here")?;
//! let layers = image.config.rootfs.diff_ids.iter().map(|diff_id| store.layer(diff_id));
//! let root = Stack::new(layers.collect::<Result<_, _>>()?);
//! let release = root.read(b"etc/os-release", 4096)?.unwrap_or_default();
//! assert!(release.starts_with(b"NAME="));
//! # Ok(())
//! # }
//! ```
//!
//! No function prints, exits, or asks the environment, but for `PATH` where a program is looked for (`git`, `newuidmap`):
//! options come in as values, news goes out through [`Sink`], and what goes wrong is an enum. Only [`cli`], the command line,
//! is another matter.
//!
//! # The house
//! The rooms stand on floors, and each imports only lower ones (`tests/layering.rs`). The first table is what is meant to
//! last; the rooms are open because their values are what the face takes and gives, and change with the work.
//!
//! | floor | |
//! |---|---|
//! | 8 | [`cli`]: arguments, printing, exit codes, the environment |
//! | 7 | [`library`]: what a program calls |
//! | 6 | [`container`]: working containers, an image by one command after the other |
//! | 5 | [`build`](mod@build): Dockerfile → image |
//! | 4 | [`transfer`]: pull and push |
//! | 3 | [`store`]: the OCI layout on disk · [`sandbox`]: the other process |
//! | 2 | [`rootfs`]: stacks of layers, FUSE, drivers · [`runtime`]: the client of the sandbox |
//! | 1 | [`layer`]: tar and index · [`fuse`]: the protocol · [`registry`]: the distribution client · [`web`]: files · [`git`]: repositories · [`progress`]: news · [`agent`]: ssh · `beneath`: names in a directory |
//! | 0 | [`oci`], [`dockerfile`], `packages`: text and values, nothing else |
//!
//! There is no unsafe code here; what asks the kernel for unusual things is the crate `rbuild_userns`.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod agent;
pub(crate) mod beneath;
pub mod build;
pub mod cli;
pub mod container;
pub mod dockerfile;
pub mod fuse;
pub mod git;
pub mod layer;
pub mod library;
pub mod oci;
pub(crate) mod packages;
pub mod progress;
pub mod registry;
pub mod rootfs;
pub mod runtime;
pub mod sandbox;
pub mod store;
pub mod transfer;
pub mod web;

pub use library::{Builder, Container, Error, Setup};
pub use progress::Sink;
pub use store::Store;

/// The re-exec entry: call it first in `main`, before any thread exists. Returns at once in an ordinary process; in a
/// process that was started as a sandbox it runs the sandbox and never returns. Without it no RUN starts: see
/// [`runtime::Error::NotReady`].
pub fn init() {
    if std::env::args_os().nth(1).is_some_and(|verb| verb == runtime::VERB) {
        sandbox::main()
    }
    runtime::ready();
}
