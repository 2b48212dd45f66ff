//! What a program calls that builds images: [`Builder`] for a Dockerfile, [`Container`] for one command after the other.
//!
//! ```text
//! setup      how work is done: registries, ids, drivers, who listens, who may stop it
//! builder    a Dockerfile and its context → an image
//! container  an image → a working container → an image
//! ```
//!
//! Both work in a [`Store`](crate::Store), and both are thin: they fill in what is usual and hand the rest to
//! [`build`](mod@crate::build) and [`container`](mod@crate::container), whose values they take where the usual does not do.
//! Nothing is read from the environment (but `PATH`) or from a home directory: which store, which credentials and which ids are for the
//! caller to say.

mod builder;
mod container;
mod error;
mod setup;

pub use builder::Builder;
pub use container::Container;
pub use error::Error;
pub use setup::Setup;
