//! `rbuild manifest add`.

use super::super::failure::Failure;
use super::super::progress::Progress;
use super::super::{Context, environment, output, registry};
use super::{edit, entry, find};
use crate::oci::{Descriptor, ImageIndex, Platform, Reference};
use crate::progress::Sink;
use crate::registry::Client;
use crate::store::{Store, is_attestation};
use crate::transfer::{self, PullPolicy};

/// Add an image to a list, and print the list's id and the image's digest
#[derive(clap::Args)]
pub(super) struct Args {
    /// All images of a list, not only the one for this platform
    #[arg(long, conflicts_with_all = ["arch", "os", "variant"])]
    all: bool,
    #[command(flatten)]
    entry: entry::Args,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
    /// The list: a name or an id
    list: String,
    /// The image: a name or an id of the store; fetched if it is not there, or if it begins with docker://
    image: String,
    #[command(flatten)]
    registry: registry::Args,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    find(&store, &args.list)?;
    let progress = Progress::of_transfers(args.quiet)?;
    let wanted = args.entry.platform(&Platform::host())?;
    let source = Source { store: &store, registry: &args.registry, sink: &progress };
    let mut added = source.entries(&args.image, &wanted, args.all, args.entry.tells_platform())?;
    progress.finish();
    for entry in &mut added {
        args.entry.apply(entry)?;
    }
    let list = edit(&store, &args.list, |index| {
        merge(index, &added);
        Ok(())
    })?;
    let id = list.descriptor.digest.hex();
    added.iter().try_for_each(|entry| output::line(format_args!("{id}: {}", entry.digest)))
}

/// Adds entries, each in the place of one with the same digest.
pub(super) fn merge(index: &mut ImageIndex, added: &[Descriptor]) {
    for entry in added {
        match index.manifests.iter_mut().find(|known| known.digest == entry.digest) {
            Some(known) => known.clone_from(entry),
            None => index.manifests.push(entry.clone()),
        }
    }
}

/// Where images come from.
pub(super) struct Source<'a> {
    pub store: &'a Store,
    pub registry: &'a registry::Args,
    pub sink: &'a dyn Sink,
}

impl Source<'_> {
    /// What a list says of the image called `given`; of a list's images the one for `wanted`, or all. An image that is no
    /// list's is taken whatever it is for.
    pub(super) fn entries(
        &self,
        given: &str,
        wanted: &Platform,
        all: bool,
        is_told: bool,
    ) -> Result<Vec<Descriptor>, Failure> {
        let name = environment::docker_transport(given)?;
        if name == given {
            if let Some(list) = self.store.find_list(given)? {
                if all {
                    return Ok(list.index.manifests);
                }
                let chosen = list.index.select(wanted).cloned();
                return chosen.map(|entry| vec![entry]).ok_or_else(|| {
                    Failure::new(format!("{given}: the list has no image for {wanted}"))
                        .hint("--all takes all it has")
                });
            }
            // a name of a list is looked for among images as well
            if let Some(image) = self.store.find(given)? {
                return Ok(vec![Descriptor { platform: Some(image.platform()), ..image.descriptor }]);
            }
        }
        let reference: Reference = name.parse()?;
        let client = self.registry.client()?;
        let fetched = client.manifest(&reference.remote())?;
        let Ok(index) = ImageIndex::parse(&fetched.bytes) else {
            // no list: its one image, whatever it is for, unless something was asked for
            let image = self.fetch(&client, &reference, wanted)?;
            return Ok(vec![image]);
        };
        if !all {
            if is_told || index.select(wanted).is_some() {
                return Ok(vec![self.fetch(&client, &reference, wanted)?]);
            }
            return Err(Failure::new(format!("{given}: the list has no image for {wanted}"))
                .hint("--all takes all it has; --os, --arch and --variant choose one"));
        }
        let (attested, images): (Vec<_>, Vec<_>) =
            index.manifests.iter().partition(|entry| is_attestation(entry));
        if !attested.is_empty() {
            eprintln!("{given}: what is attested of its images is not added");
        }
        let remote = reference.remote();
        let registry = remote.registry().unwrap_or_default();
        let each = images.into_iter().map(|entry| {
            let pinned = format!("{registry}/{}@{}", remote.repository(), entry.digest).parse()?;
            let platform = entry.platform.clone().unwrap_or_else(Platform::host);
            self.fetch(&client, &pinned, &platform)?;
            Ok(entry.clone())
        });
        each.collect()
    }

    fn fetch(&self, client: &Client, name: &Reference, platform: &Platform) -> Result<Descriptor, Failure> {
        let image = transfer::obtain(self.store, client, name, platform, PullPolicy::Always, self.sink)?;
        Ok(Descriptor { platform: Some(image.platform()), ..image.descriptor })
    }
}
