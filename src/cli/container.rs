//! What the verbs on working containers have in common.

use std::path::PathBuf;

use super::failure::Failure;
use super::progress::Progress;
use super::{Context, output, registry};
use crate::container::{self, Container, Means};
use crate::progress::Sink;
use crate::registry::Client;
use crate::runtime;
use crate::store::Store;
use crate::web;

/// What a verb on a container works with.
pub(super) struct Workplace {
    pub store: Store,
    /// How the sandbox of a command is started.
    pub sandbox: runtime::Options,
    client: Client,
    web: web::Options,
}

impl Workplace {
    pub(super) fn open(context: &Context, registry: &registry::Args) -> Result<Self, Failure> {
        let (store, sandbox) = (context.store()?, context.sandbox());
        Ok(Self { store, sandbox, client: registry.client()?, web: registry.web() })
    }

    /// Has `work` done. On a terminal it is shown what moves meanwhile, unless `quiet`.
    pub(super) fn with<T>(
        &self,
        context: &Context,
        quiet: bool,
        work: impl FnOnce(&Means<'_>) -> Result<T, container::Error>,
    ) -> Result<T, Failure> {
        let progress = Progress::of_transfers(quiet)?;
        match self.with_sink(context, &progress, work) {
            Ok(done) => {
                progress.finish();
                Ok(done)
            }
            Err(failure) => {
                progress.give_up();
                Err(failure)
            }
        }
    }

    /// The same, and `sink` is told the news.
    pub(super) fn with_sink<T>(
        &self,
        context: &Context,
        sink: &dyn Sink,
        work: impl FnOnce(&Means<'_>) -> Result<T, container::Error>,
    ) -> Result<T, Failure> {
        let means = Means {
            store: &self.store,
            client: &self.client,
            cancel: &context.cancel,
            sink,
            web: self.web.clone(),
            sandbox: self.sandbox.clone(),
            rootfs: context.global.rootfs,
        };
        work(&means).map_err(|error| Failure::of_container(&error))
    }
}

/// Working containers that a verb is about, each by itself.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Chosen {
    /// All of them
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,
    /// Names or ids
    #[arg(required_unless_present = "all", value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Chosen {
    /// Has `work` done to each and prints the id that it gives. One where it fails stops none of the others; the first failure
    /// is told in the end.
    pub(super) fn each(
        &self,
        context: &Context,
        work: impl Fn(&Means<'_>, &str) -> Result<Option<String>, container::Error>,
    ) -> Result<(), Failure> {
        let workplace = Workplace::open(context, &registry::Args::default())?;
        let wanted = if self.all {
            let all = container::list(&workplace.store).map_err(|error| Failure::of_container(&error))?;
            all.into_iter().map(|container| container.id).collect()
        } else {
            self.containers.clone()
        };
        let mut refused = None;
        for name in &wanted {
            match workplace.with(context, true, |means| work(means, name)) {
                Ok(Some(id)) => output::line(id)?,
                Ok(None) => {}
                Err(failure) => drop(refused.get_or_insert(failure)),
            }
        }
        refused.map_or(Ok(()), Err)
    }
}

/// The container called `name`, if there is one.
pub(super) fn look(store: &Store, name: &str) -> Result<Option<Container>, Failure> {
    container::find(store, name).map_err(|error| Failure::of_container(&error))
}

/// The directory of relative paths of the command line.
pub(super) fn working_directory() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|why| Failure::new(format!("the working directory: {why}")))
}
