//! `rbuild manifest annotate`.

use super::super::failure::Failure;
use super::super::{Context, output};
use super::{edit, entry};
use crate::oci::{Digest, ImageIndex};
use crate::store::Store;

/// Say something else of an image of a list, or of the list
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    entry: entry::Args,
    /// Annotate the list itself
    #[arg(long, conflicts_with_all = ["arch", "os", "variant", "image"])]
    index: bool,
    /// The list: a name or an id
    list: String,
    /// The image: its digest, or a name or an id of the store
    #[arg(required_unless_present = "index")]
    image: Option<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    let digest = args.image.as_ref().map(|image| digest_of(&store, image)).transpose()?;
    let list = edit(&store, &args.list, |index| match digest {
        None => {
            index.annotations.extend(args.entry.annotations.iter().cloned());
            Ok(())
        }
        Some(digest) => args.entry.apply(entry_of(index, digest, &args.list)?),
    })?;
    let id = list.descriptor.digest;
    output::line(format_args!("{}: {}", id.hex(), digest.unwrap_or(id)))
}

/// The digest of the manifest that `given` means.
pub(super) fn digest_of(store: &Store, given: &str) -> Result<Digest, Failure> {
    if let Ok(digest) = given.parse() {
        return Ok(digest);
    }
    Ok(super::super::inspect::find(store, given)?.descriptor.digest)
}

/// The entry of the list called `list` for the manifest `digest`.
pub(super) fn entry_of<'a>(
    index: &'a mut ImageIndex,
    digest: Digest,
    list: &str,
) -> Result<&'a mut crate::oci::Descriptor, Failure> {
    let entry = index.manifests.iter_mut().find(|entry| entry.digest == digest);
    entry.ok_or_else(|| {
        Failure::new(format!("{list}: no image with the digest {digest} is in the list"))
            .hint(format!("rbuild manifest inspect {list} shows what is"))
    })
}
