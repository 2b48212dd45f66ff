//! A working container by one command after the other.

use std::path::Path;

use super::{Error, Setup};
use crate::build::{Command, Context};
use crate::container::{self, Change, Commit, Create, Means, Record, Run};
use crate::dockerfile::{Copy, Source as From};
use crate::oci::Reference;
use crate::registry::Client;
use crate::runtime::Exit;
use crate::store::{Image, Store};

/// A working container: a small file of the store, which stays until it is removed. It is the same thing that the verbs
/// `from`, `run`, `copy`, `config` and `commit` work on, so that a script and a program can take turns.
///
/// Each method holds the container, waits for whoever else does, and leaves it as it was if it errors.
///
/// ```standalone_crate
#[doc = include_str!("../../tests/sandbox/library/example.rs")]
/// ```
pub struct Container<'a> {
    store: &'a Store,
    client: Client,
    setup: Setup,
    record: container::Container,
}

impl<'a> Container<'a> {
    /// Makes one. Errors with [`Error::Container`] if the image to begin with cannot be had, or the name is taken.
    pub fn create(store: &'a Store, setup: Setup, wanted: Create) -> Result<Self, Error> {
        Self::with(store, setup, |means| container::create(means, wanted))
    }

    /// The one that is called `name`, or has this id. Errors with [`container::Error::NotKnown`] if there is none.
    pub fn open(store: &'a Store, setup: Setup, name: &str) -> Result<Self, Error> {
        Self::with(store, setup, |means| {
            let found = container::find(means.store, name)?;
            found.ok_or_else(|| container::Error::NotKnown(name.to_owned()))
        })
    }

    fn with(
        store: &'a Store,
        setup: Setup,
        find: impl FnOnce(&Means<'_>) -> Result<container::Container, container::Error>,
    ) -> Result<Self, Error> {
        let client = setup.client()?;
        let record = find(&means(store, &client, &setup))?;
        Ok(Self { store, client, setup, record })
    }

    /// Its id: 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// What it was called when it was opened.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Runs a program with its arguments and keeps what it changed, however it ends. A program that fails is no error.
    pub fn run<S: Into<String>>(&self, command: impl IntoIterator<Item = S>) -> Result<Exit, Error> {
        let args = command.into_iter().map(Into::into).collect();
        self.run_as(Run::of(Command { args, ..Command::default() }))
    }

    /// The same with everything that can be said of a command: its user, its input, its mounts, what it runs in.
    pub fn run_as(&self, run: Run<'_>) -> Result<Exit, Error> {
        let means = self.means();
        Ok(container::run(&means, &mut means.hold(self.id())?, run)?)
    }

    /// Copies `source`, a path or pattern below `directory`, to `dest`. A directory's content is copied, as COPY does.
    pub fn copy(&self, directory: impl AsRef<Path>, source: &str, dest: &str) -> Result<(), Error> {
        let path = directory.as_ref();
        let opened = Context::of_directory(path, &path.display().to_string());
        let files = opened.map_err(|source| Error::Context { path: path.to_owned(), source })?;
        let sources = vec![From::Path(source.to_owned())];
        self.copy_from(
            files,
            &Copy { sources, dest: dest.to_owned(), unpack: Some(false), ..Copy::default() },
        )
    }

    /// The same with everything that COPY and ADD can say, from any context.
    pub fn copy_from(&self, files: Context, copy: &Copy) -> Result<(), Error> {
        let means = self.means();
        let from = copy.from.as_deref().map(|name| container::source(&means, name)).transpose()?;
        let told = ("COPY ", Record::Silent);
        container::copy(&means, &mut means.hold(self.id())?, copy, files, from.as_ref(), told)?;
        Ok(())
    }

    /// Changes what its image will say of itself, all of it or nothing.
    pub fn configure(&self, changes: &[Change]) -> Result<(), Error> {
        Ok(container::configure(&mut self.means().hold_record(self.id())?, changes, Record::Silent)?)
    }

    /// Makes an image of it that is called `name`. The container stays, and may be committed again.
    pub fn commit(&self, name: &Reference) -> Result<Image, Error> {
        let image = self.commit_as(|_| ())?;
        self.store.tag(&image, &name.local())?;
        Ok(image)
    }

    /// The same with everything that can be asked of the image, which has no name yet: see [`Store::tag`].
    pub fn commit_as(&self, change: impl FnOnce(&mut Commit)) -> Result<Image, Error> {
        let means = self.means();
        let held = means.hold(self.id())?;
        let state = &held.container().state;
        let mut wanted = Commit::of(state);
        change(&mut wanted);
        Ok(container::commit(&means, state, &wanted)?)
    }

    /// Removes it. Images of it stay.
    pub fn remove(self) -> Result<(), Error> {
        Ok(self.means().hold_record(self.id())?.remove()?)
    }

    fn means(&self) -> Means<'_> {
        means(self.store, &self.client, &self.setup)
    }
}

fn means<'m>(store: &'m Store, client: &'m Client, setup: &'m Setup) -> Means<'m> {
    Means {
        store,
        client,
        cancel: &setup.cancel,
        sink: &*setup.sink,
        web: setup.web.clone(),
        sandbox: setup.sandbox.clone(),
        rootfs: setup.rootfs,
    }
}
