//! `rbuild prune`.

use super::Context;
use super::failure::Failure;
use super::output;
use crate::runtime::Sandbox;
use crate::store::Store;

/// Remove what only saves work: images without a name, the build cache, caches of RUN, what is known of URLs
#[derive(clap::Args)]
pub(super) struct Args {
    /// Images with names too
    #[arg(short, long)]
    all: bool,
    /// Taken, and without effect: nothing is asked
    #[arg(short, long)]
    force: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    store.forget_cached()?;
    match store.forget_downloads()? {
        0 => {}
        count => output::line(format_args!("{count} records of URLs"))?,
    }
    for image in store.images()? {
        if !args.all && !image.names.is_empty() {
            continue;
        }
        for name in &image.names {
            if store.untag(name)? {
                output::line(format_args!("untagged: {name}"))?;
            }
        }
        store.remove(&image)?;
        output::line(image.id().hex())?;
    }
    store.collect_garbage()?;
    caches(&store, context)
}

/// The caches of `RUN --mount=type=cache`. One that a step has now stays.
fn caches(store: &Store, context: &Context) -> Result<(), Failure> {
    for kept in store.cache_mounts()? {
        let name = kept.id.as_ref().map_or_else(|| "without a name".to_owned(), |id| format!("{:?}", id.id));
        // files of mapped ids are removed from within
        let removed = store.remove_cache_mount(&kept, |left| -> Result<(), Failure> {
            let sandbox = Sandbox::start(&context.sandbox(), context.cancel.clone())?;
            sandbox.sweep(left)?;
            Ok(sandbox.close()?)
        })?;
        if removed {
            output::line(format_args!("cache {name}"))?;
        } else {
            eprintln!("cache {name} is in use, and stays");
        }
    }
    Ok(())
}
