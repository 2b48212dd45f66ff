//! Export: an image leaves the store as files: its tree in a directory or a tar, or itself as an archive.
//!
//! The tree is read through the layers' indexes, so that nothing has to be mounted and nobody has to be root. What is
//! written to a path is written beside it and takes its name when it is whole; an export that fails leaves what was there.

mod archive;
mod local;
mod tree;

pub use archive::{ArchiveKind, Names, archive, compression, directory, layout};
pub use local::local;
pub use tree::tar;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Error;
use crate::layer::Timestamp;
use crate::rootfs::{Node, Stack};
use crate::store::{Image, Store};

/// A tree to write.
pub struct Tree {
    /// The directory that it gets within the destination, where there are several.
    pub place: Option<String>,
    platform: String,
    stack: Stack,
}

impl Tree {
    /// The trees of `images`, each in a directory named after its platform (`linux_arm_v7`) if `split`.
    pub fn of(store: &Store, images: &[&Image], split: bool) -> Result<Vec<Self>, Error> {
        let tree = |image: &&Image| {
            let platform = image.platform().to_string();
            let place = split.then(|| platform.replace('/', "_"));
            Ok(Self { place, platform, stack: Stack::new(store.stack(&image.config)?) })
        };
        images.iter().map(tree).collect()
    }
}

/// Looks whether trees that are to share a directory have nothing in common but directories.
fn disjoint(trees: &[Tree]) -> Result<(), Error> {
    let mut seen = HashMap::new();
    if trees.len() > 1 {
        for tree in trees.iter().filter(|tree| tree.place.is_none()) {
            note(tree, &tree.stack.root(), Path::new(""), &mut seen)?;
        }
    }
    Ok(())
}

/// Notes what is in `directory` of `tree`, which is at `path`: whose it is first, and whether it is a directory.
fn note<'a>(
    tree: &'a Tree,
    directory: &Node,
    path: &Path,
    seen: &mut HashMap<PathBuf, (&'a Tree, bool)>,
) -> Result<(), Error> {
    for (name, child) in tree.stack.read_dir(directory) {
        let path = path.join(OsStr::from_bytes(&name));
        let is_directory = tree.stack.is_dir(&child);
        let (first, was_directory) = *seen.entry(path.clone()).or_insert((tree, is_directory));
        // Not by their platforms: two images may say the same one.
        let shared = std::ptr::eq(first, tree) || (is_directory && was_directory);
        if !shared {
            let (first, second) = (first.platform.clone(), tree.platform.clone());
            return Err(Error::Shared { path, first, second });
        }
        if is_directory {
            note(tree, &child, &path, seen)?;
        }
    }
    Ok(())
}

/// Where an export goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A path.
    Path(PathBuf),
    /// Standard output.
    Stdout,
}

/// The time that an entry shows: the one that is given for all, or its own.
fn time(epoch: Option<i64>) -> impl Fn(Timestamp) -> Timestamp {
    move |own| epoch.map_or(own, |secs| Timestamp { secs, nanos: 0 })
}

/// Has `write` fill a file, and gives it to `to` when it is whole.
fn whole(
    store: &Store,
    to: &Destination,
    write: impl FnOnce(File) -> Result<(), Error>,
) -> Result<(), Error> {
    let path = match to {
        Destination::Path(path) if !path.exists() || path.is_file() => path,
        // What is no regular file takes bytes one after the other.
        _ => {
            let tmp = store.tmp_file()?;
            write(tmp.file().try_clone().map_err(Error::file(tmp.path()))?)?;
            let mut whole = File::open(tmp.path()).map_err(Error::file(tmp.path()))?;
            return pour(&mut whole, to);
        }
    };
    // through a symlink, not over it
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let tmp = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory.unwrap_or(Path::new(".")))
        .map_err(Error::file(&path))?;
    write(tmp.as_file().try_clone().map_err(Error::file(&path))?)?;
    tmp.persist(&path).map_err(|error| Error::file(&path)(error.error))?;
    Ok(())
}

fn pour(whole: &mut File, to: &Destination) -> Result<(), Error> {
    let (mut out, path): (Box<dyn io::Write>, PathBuf) = match to {
        Destination::Stdout => (Box::new(io::stdout().lock()), "standard output".into()),
        Destination::Path(path) => {
            let file = fs::OpenOptions::new().write(true).open(path).map_err(Error::file(path))?;
            (Box::new(file), path.clone())
        }
    };
    io::copy(whole, &mut out).and_then(|_| out.flush()).map_err(Error::file(path))
}
