//! `rbuild cache`.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use super::Context;
use super::failure::Failure;
use super::output;
use crate::dockerfile::did_you_mean;
use crate::layer::{self, Limits};
use crate::runtime::{LayerFiles, Sandbox};
use crate::store::{CacheMount, CacheMountId, Hold, Store};

/// Carry the caches of RUN from one machine to another
#[derive(clap::Args)]
pub(super) struct Args {
    /// What to do: list, export or import
    action: Action,
    /// The id of the cache; where a mount has none, its target
    id: Option<String>,
    /// The tar, `-` for standard output or input
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    file: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Action {
    /// Print the id of each cache
    List,
    /// Write what a cache holds as a tar
    Export,
    /// Give a cache what a tar holds, whatever it held
    Import,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    match (args.action, &args.id) {
        (Action::List, None) => ids(&store)?.iter().try_for_each(|id| output::line(format_args!("{id:?}"))),
        (Action::List, Some(_)) => Err(Failure::new("cache list takes no id")),
        (_, None) => Err(Failure::new("the id of a cache is needed").hint("rbuild cache list prints them")),
        (Action::Export, Some(id)) => export(args, id, &store, context),
        (Action::Import, Some(id)) => import(args, id, &store, context),
    }
}

/// The ids of the caches that begin with nothing of an image; those that do are made again by the image.
fn ids(store: &Store) -> Result<Vec<String>, Failure> {
    let kept = store.cache_mounts()?.into_iter();
    let mut ids: Vec<String> =
        kept.filter_map(|kept| kept.id).filter(|id| id.seed.is_none()).map(|id| id.id).collect();
    ids.dedup();
    Ok(ids)
}

fn export(args: &Args, id: &str, store: &Store, context: &Context) -> Result<(), Failure> {
    let known = ids(store)?;
    if !known.iter().any(|known| known == id) {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let close = did_you_mean(id, &known);
        return Err(
            Failure::new(format!("no cache has the id {id:?}{close}")).hint("rbuild cache list prints them")
        );
    }
    let to_stdout = args.file.as_os_str() == "-";
    if to_stdout {
        output::takes_a_tar("name a file with -f FILE")?;
    }
    let held = alone(store, id)?;
    if !held.is_made() {
        return Err(Failure::new(format!("the cache {id:?} was never used: it holds nothing")));
    }
    let tar = store.tmp_file()?;
    let sandbox = Sandbox::start(&context.sandbox(), context.cancel.clone())?;
    sandbox.pack_cache(held.path(), tar.file())?;
    sandbox.close()?;
    if !to_stdout {
        return output::stream(&args.file, &mut File::open(tar.path())?);
    }
    let mut tar = File::open(tar.path())?;
    let mut stdout = io::stdout().lock();
    io::copy(&mut tar, &mut stdout)
        .and_then(|_| stdout.flush())
        .map_err(|why| Failure::new(format!("standard output: {why}")))
}

fn import(args: &Args, id: &str, store: &Store, context: &Context) -> Result<(), Failure> {
    let unreadable =
        |why: &dyn std::fmt::Display| Failure::new(format!("tar {}: {why}", args.file.display()));
    let source: Box<dyn Read + Send> = if args.file.as_os_str() == "-" {
        Box::new(File::from(io::stdin().as_fd().try_clone_to_owned()?))
    } else {
        Box::new(File::open(&args.file).map_err(|why| unreadable(&why))?)
    };
    // read to its end before the cache is touched
    let (tar, index) = (store.tmp_file()?, store.tmp_file()?);
    let mut source = layer::decompress_archive(source).map_err(|why| unreadable(&why))?;
    let written = layer::ingest(&mut source, tar.file().try_clone()?, &Limits::default())
        .map_err(|why| unreadable(&why))?;
    index.file().write_all(&written.index)?;
    let files =
        LayerFiles { diff_id: written.diff_id, tar: tar.path().to_owned(), index: index.path().to_owned() };
    let held = alone(store, id)?;
    let live = store.lease_live()?;
    let sandbox = Sandbox::start(&context.sandbox(), context.cancel.clone())?;
    let filled = sandbox.fill_cache(held.path(), &files, live.path());
    sandbox.close()?;
    filled?;
    Ok(live.close()?)
}

/// The cache, held alone.
fn alone(store: &Store, id: &str) -> Result<CacheMount, Failure> {
    let id = CacheMountId { id: id.to_owned(), seed: None };
    let busy =
        || Failure::new(format!("the cache {:?} is in use", id.id)).hint("try again when the build is done");
    store.try_cache_mount(&id, Hold::Locked)?.ok_or_else(busy)
}
