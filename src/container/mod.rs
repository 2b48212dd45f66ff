//! Working containers: an image in the making, between the commands of a script.
//!
//! ```text
//! create   from: an image, or nothing → a record with a name
//! run      a command on its root; what it changed is one more pending layer
//! copy     copy, add: files into its root, likewise
//! config   what an image of it will say of itself
//! commit   its pending layers become one, with its config an image
//! mount    its root as a directory, for programs of this machine
//! ```
//!
//! A container is its record and nothing else: the layers below, the layers since, the config so far. No directory holds
//! its files, no process stays behind unless it is mounted, and each command is all or nothing: its layer is committed first, then the record
//! that names it takes the place of the old one. Whoever is killed in between leaves the container as it was.
//!
//! The steps themselves are those of a build (`build::Bench`). A command holds the container while it works, so that two
//! on one container take turns, and two on two do not know each other.

mod commit;
mod config;
mod copy;
mod create;
mod error;
mod mount;
mod run;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::build::{self, Context, Format, Options, Piece};
use crate::oci::Digest;
use crate::progress::Sink;
use crate::registry::Client;
use crate::runtime::{self, Cancel, Confinement, RootfsChoice};
use crate::store::{self, Store};
use crate::web;

pub use commit::{Commit, Telling, commit};
pub use config::{Change, HealthDuration, Text, configure};
pub use copy::{Copied, copy, source};
pub use create::{Create, Source, create};
pub use error::Error;
pub use mount::{Mount, Serve, mounted, serve, unmount};
pub use run::{CapabilityChange, Record, Run, run};

/// A working container: its id, its name, and its [`State`].
pub type Container = store::Container<State>;

/// A container that nobody else changes.
pub struct Held {
    record: store::HeldContainer<State>,
    /// To whoever shows its root, who waits as long as it is held.
    line: Option<mount::Line>,
}

/// What a container is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// The image that it began with; `None`: nothing.
    pub base: Option<Base>,
    /// Its layers and its config.
    pub piece: Piece,
    /// Annotations of the manifest to be.
    pub annotations: BTreeMap<String, String>,
    /// Whose media types an image of it has, unless `commit` says otherwise.
    pub format: Format,
    /// What the history of an image says of the container's own layer.
    pub history: Told,
    /// What every command in it runs in.
    pub confinement: Confinement,
    /// Where its root is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<Mount>,
}

/// The image that a container began with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Base {
    /// As a person knows it.
    pub name: String,
    /// The digest of its config.
    pub id: Digest,
    /// The digest of its manifest.
    pub manifest: Digest,
}

/// What a history entry says besides its time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Told {
    /// How the layer came to be.
    pub created_by: Option<String>,
    /// Free text.
    pub comment: Option<String>,
}

/// What commands on containers work with.
pub struct Means<'a> {
    /// Where containers and layers are.
    pub store: &'a Store,
    /// Fetches images that the store does not have.
    pub client: &'a Client,
    /// Ends the work, and the waiting for it.
    pub cancel: &'a Cancel,
    /// Is told the news.
    pub sink: &'a dyn Sink,
    /// How files of the web are fetched.
    pub web: web::Options,
    /// How the sandbox is started.
    pub sandbox: runtime::Options,
    /// The root file system driver of commands.
    pub rootfs: RootfsChoice,
}

impl Means<'_> {
    /// The container called `name`, once nobody else changes it, with all that was written where it is mounted.
    ///
    /// Errors with [`Error::NotKnown`] if there is none.
    pub fn hold(&self, name: &str) -> Result<Held, Error> {
        let mut held = self.hold_record(name)?;
        held.line = mount::take_up(self, &mut held)?;
        Ok(held)
    }

    /// The same for whoever does not look at its files.
    pub fn hold_record(&self, name: &str) -> Result<Held, Error> {
        let held = self.store.hold_container(name, &|| self.cancel.is_cancelled());
        match held {
            Err(store::Error::GaveUp(_)) => Err(Error::Cancelled),
            held => {
                let record = held?.ok_or_else(|| Error::NotKnown(name.to_owned()))?;
                Ok(Held { record, line: None })
            }
        }
    }

    /// The options of steps by hand.
    fn options(&self) -> Options {
        Options::by_hand(self.web.clone(), self.sandbox.clone(), self.rootfs)
    }

    /// A bench with these options, where copies are made from `files`.
    fn bench<'b>(&'b self, files: Context, options: &'b Options) -> Result<build::Bench<'b>, Error> {
        Ok(build::Bench::new(self.store, self.client, files, options, self.cancel, self.sink)?)
    }
}

impl Held {
    /// What it is.
    pub fn container(&self) -> &Container {
        self.record.container()
    }

    /// Makes `state` what it is.
    pub fn save(&mut self, mut state: State) -> Result<(), Error> {
        let before = &self.container().state;
        if state.piece.image.rootfs != before.piece.image.rootfs {
            if let Some(line) = &self.line {
                mount::catch_up(line, before, &mut state)?;
            }
            state.show_all();
        }
        Ok(self.record.save(state)?)
    }

    /// Forgets it. Where it is mounted, that ends too.
    pub fn remove(mut self) -> Result<(), Error> {
        if let Some(mount) = &self.container().state.mount {
            self.line = mount.line()?;
        }
        Ok(self.record.remove()?)
    }
}

/// Gives a container that is held another name.
///
/// Errors with [`Error::SameName`] if it has that one, and with [`store::Error::NameTaken`] if another has.
pub fn rename(held: &mut Held, name: &str) -> Result<(), Error> {
    create::check_name(name)?;
    if held.container().name == name {
        return Err(Error::SameName(name.to_owned()));
    }
    Ok(held.record.rename(name)?)
}

/// The container called `name`, as it is now.
pub fn find(store: &Store, name: &str) -> Result<Option<Container>, Error> {
    Ok(store.find_container(name)?)
}

/// Every container, oldest first.
pub fn list(store: &Store) -> Result<Vec<Container>, Error> {
    Ok(store.containers()?)
}
