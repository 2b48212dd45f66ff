//! Dockerfile → image.
//!
//! ```text
//! parse     text → stages and steps, all diagnostics at once            dockerfile
//! plan      target + arguments → the stages to build, each with its base  plan
//! context   a directory, a tar, a repository: files to copy from; others by name   context, named
//! checks    what the text tells against itself → warnings                  checks
//! graph     which stages are built now, side by side                      graph
//! step      one instruction → a cache key → a record, or the work itself  step
//!             COPY, ADD, WORKDIR  → a layer straight from its input         copy
//!             RUN                 → a job for the sandbox → a frozen layer  run
//!             ENV, LABEL, …       → the config only                         metadata
//! finish    layers merged, times set; config and layers → manifest         finish
//! assemble  images of several platforms → a list                            assemble
//! attest    what it was made of, and what is in it → statements in the list  attest
//! bench     single steps by hand, for working containers                    bench
//! journal   what was asked of the cache, step by step → a record of the build   journal, why
//! ```
//!
//! Every instruction is its own commit: a history entry, a layer if it made one, and a cache record.
//! The key of a step names its parent by what it is (chain id and config), never by how it was made, so
//! a step that ran again and produced the same bytes lets everything after it hit.
//!
//! The sandbox is started by the first RUN that misses. A build whose RUN steps are all cached, or that
//! has none, needs no namespace, no mount and no privilege.

mod absent;
mod assemble;
mod attest;
mod bench;
mod cache;
mod checks;
mod context;
mod copy;
mod elsewhere;
mod error;
mod executor;
mod finish;
mod graph;
mod journal;
mod key;
mod metadata;
mod mounts;
mod named;
mod panic;
mod plan;
mod remote_cache;
mod roots;
mod run;
mod scope;
mod shared;
mod stage;
mod step;
mod traced;
mod user;
mod why;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::agent::Backend;
use crate::dockerfile::Script;
use crate::oci::{Platform, Reference};
use crate::progress::{Event, Sink};
use crate::registry::Client;
use crate::runtime::{Cancel, Confinement, RootfsChoice, Secret, Security};
use crate::store::Store;
use crate::transfer::{PullPolicy, Subject};
use journal::Diary;
use remote_cache::Caches;

pub use attest::{Attestations, Mode as ProvenanceMode, Provenance};
pub use bench::{Bench, Command, Copied, Piece};
pub use cache::{Cache, CacheExport, CacheTarget, Ignored, Records};
pub use context::{Context, InvalidOrigin, Opened, Origin, TEXT_LIMIT};
pub use copy::Table;
pub use elsewhere::Access;
pub use error::{Error, FailedState, Place, StepError, chain};
pub use finish::{Finish, Format, Layering, Saving, Times};
pub use journal::{BuildRecord, Failed, StepRecord, Verdict};
pub use named::{Contexts, InvalidNamed, Named};
pub use scope::{KEEP_GIT_ARG, predefined};
pub use stage::Inherited;
pub use why::{Change, Explained, explain};

/// What to build, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The Dockerfile's text.
    pub dockerfile: Script,
    /// Contexts that the Dockerfile may ask for by name.
    pub contexts: Contexts,
    /// What the first FROM names instead of what it says; its name stays.
    pub first_base: Option<String>,
    /// The stage to end with, by name or by index; `None` is the last.
    pub target: Option<String>,
    /// `--build-arg`, by name.
    pub build_args: BTreeMap<String, String>,
    /// Proxy settings for RUN, which reach neither the image nor a cache key.
    pub proxies: BTreeMap<String, String>,
    /// What is asked of the image beyond the Dockerfile.
    pub finish: Finish,
    /// What is attested of the image.
    pub attestations: Attestations,
    /// The names of the result.
    pub tags: Vec<Reference>,
    /// The list of images that the result is added to.
    pub manifest: Option<Reference>,
    /// What is built for; several make a list of images.
    pub platforms: Vec<Platform>,
    /// The one of them that is built for now: what base images are chosen for and what the image says it is for.
    pub platform: Platform,
    /// Which records of earlier builds are taken.
    pub cache: Cache,
    /// When base images are looked for in their registry.
    pub pull: PullPolicy,
    /// What every RUN runs in; one that chooses a network of its own gets that.
    pub confinement: Confinement,
    /// What a RUN gets that asks for `--security=insecure`; `None`: it is refused.
    pub insecure: Option<Security>,
    /// What `RUN --mount=type=secret` shows, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// What answers `RUN --mount=type=ssh`, by id.
    pub agents: BTreeMap<String, Backend>,
    /// Groups of every RUN besides those of its user: names of the image, or numbers.
    pub further_groups: Vec<String>,
    /// The root file system driver of RUN.
    pub rootfs: RootfsChoice,
    /// How many stages are built at a time, at most.
    pub jobs: NonZeroUsize,
    /// How files of the web are fetched.
    pub web: crate::web::Options,
    /// How the sandbox is started.
    pub sandbox: crate::runtime::Options,
}

impl Options {
    /// What steps by hand need: the options of a build of nothing.
    pub fn by_hand(web: crate::web::Options, sandbox: crate::runtime::Options, rootfs: RootfsChoice) -> Self {
        let platform = Platform::host();
        Self {
            dockerfile: Script::new("", "FROM scratch\n"),
            contexts: Contexts::default(),
            first_base: None,
            target: None,
            build_args: BTreeMap::new(),
            proxies: BTreeMap::new(),
            finish: Finish::default(),
            attestations: Attestations::default(),
            tags: Vec::new(),
            manifest: None,
            platforms: vec![platform.clone()],
            platform,
            cache: Cache::default(),
            pull: PullPolicy::Missing,
            confinement: Confinement::default(),
            insecure: None,
            secrets: BTreeMap::new(),
            agents: BTreeMap::new(),
            further_groups: Vec::new(),
            rootfs,
            jobs: NonZeroUsize::MIN,
            web,
            sandbox,
        }
    }
}

/// Builds the target of `options.dockerfile` with the files of `context`, for each platform, one after the other, and names
/// the result.
///
/// `client` fetches base images that the store does not have. Cancelling stops the running steps and
/// returns [`StepError::Cancelled`] with the place of one; the first stage that fails, or panics, stops the others. A failed build leaves the names of the store as they were; the steps
/// that succeeded stay as cache records.
pub fn build(
    store: &Store,
    client: &Client,
    context: Context,
    options: &Options,
    cancel: &Cancel,
    sink: &dyn Sink,
) -> Result<Subject, Error> {
    let mut diary = Diary::new();
    let built = build_all(store, client, context, options, cancel, sink, &mut diary);
    diary.keep(store, options, &built, sink);
    built
}

fn build_all(
    store: &Store,
    client: &Client,
    context: Context,
    options: &Options,
    cancel: &Cancel,
    sink: &dyn Sink,
    diary: &mut Diary,
) -> Result<Subject, Error> {
    let context = Arc::new(context.remembered_by(store)?);
    let (mut images, mut caches) = (Vec::new(), Caches::default());
    for platform in &options.platforms {
        let one = Options { platform: platform.clone(), ..options.clone() };
        let imports = remote_cache::open(client, &one, sink);
        let (image, parcels) = loop {
            // An import that failed says nothing any more, so this ends.
            let executor = executor::Executor::new(store, client, &context, &one, &imports, cancel, sink)?;
            let built = executor.build();
            match built {
                Err(error) if !cancel.is_cancelled() && remote_cache::starts_again(&error, sink) => {}
                done => {
                    diary.add(&executor, &one.platform);
                    break done?;
                }
            }
        };
        images.push(image);
        caches.add(imports, parcels);
    }
    let subject = assemble::assemble(store, images, options, sink)?;
    for tag in &options.tags {
        let name = tag.local();
        subject.tag(store, &name)?;
        sink.event(Event::Tagged { name: name.to_string() });
    }
    if let Some(list) = &options.manifest {
        assemble::add_to_list(store, list, &subject, options.finish.format)?;
        sink.event(Event::Tagged { name: list.local().to_string() });
    }
    caches.export(store, client, options, sink)?;
    Ok(subject)
}
