//! The skeleton of a store: its directories, `oci-layout` and `rbuild/version`.
//!
//! `rbuild/version` is written last, so a store that has it is whole, and opening one costs two small
//! reads. Two processes that create the same store take turns.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::{At, if_present};
use super::{Error, lock};

/// The format of everything below `rbuild/`.
const FORMAT: u32 = 1;
/// OCI image-spec v1.1, image-layout.md, "oci-layout file".
const LAYOUT_VERSION: &str = "1.0.0";
const OCI_LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
const EMPTY_INDEX: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
const DIRECTORIES: [&str; 7] = [
    "blobs/sha256",
    "index/sha256",
    "rbuild/diffids",
    "rbuild/cache",
    "rbuild/containers",
    "rbuild/live",
    "tmp",
];

/// Makes `root` a store if it is not one yet, and returns its absolute path.
pub(super) fn prepare(root: &Path) -> Result<PathBuf, Error> {
    let root = std::path::absolute(root).at("find", root)?;
    if read_version(&root)?.is_some() && check_layout(&root)? {
        return Ok(root);
    }
    create(&root)?;
    Ok(root)
}

fn create(root: &Path) -> Result<(), Error> {
    if let Some(parent) = root.parent() {
        fs::create_dir_all(parent).at("create", parent)?;
    }
    // Layers may hold what only their owner may read.
    match DirBuilder::new().mode(0o700).create(root) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error).at("create", root),
        _ => refuse_foreign(root)?,
    }
    make_directory(&root.join("rbuild/locks"))?;
    let _turn = lock::permanent(&root.join("rbuild/locks/init"), File::lock)?;
    for directory in DIRECTORIES {
        make_directory(&root.join(directory))?;
    }
    if !check_layout(root)? {
        write(&root.join("oci-layout"), OCI_LAYOUT)?;
    }
    // A store that lost its index.json has lost its names: that is an error to report, not to paper over.
    if read_version(root)?.is_none() {
        let index = root.join("index.json");
        if !index.try_exists().at("stat", &index)? {
            write(&index, EMPTY_INDEX)?;
        }
        write(&root.join("rbuild/version"), &format!("{FORMAT}\n"))?;
    }
    File::open(root).and_then(|dir| dir.sync_all()).at("sync", root)
}

fn make_directory(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).at("create", path)
}

/// Refuses a directory that holds something else than a layout, or the beginnings of one.
fn refuse_foreign(root: &Path) -> Result<(), Error> {
    let mut any = false;
    for entry in fs::read_dir(root).at("list", root)? {
        let name = entry.at("list", root)?.file_name();
        if name == "oci-layout" || name == "rbuild" {
            return Ok(());
        }
        any = true;
    }
    if any { Err(Error::NotAStore { root: root.to_owned() }) } else { Ok(()) }
}

/// The store's format, if it has one that this program knows.
fn read_version(root: &Path) -> Result<Option<u32>, Error> {
    let path = root.join("rbuild/version");
    let Some(text) = if_present(fs::read_to_string(&path)).at("read", &path)? else { return Ok(None) };
    match text.trim_end().parse::<u32>() {
        Ok(found) if found > FORMAT => Err(Error::NewerFormat { path, found, known: FORMAT }),
        Ok(FORMAT) => Ok(Some(FORMAT)),
        _ => Err(Error::Malformed { path, why: format!("{text:?} is not a store format") }),
    }
}

/// Whether `oci-layout` is there. Another version than ours is refused.
fn check_layout(root: &Path) -> Result<bool, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Layout {
        image_layout_version: String,
    }
    let path = root.join("oci-layout");
    let Some(bytes) = if_present(fs::read(&path)).at("read", &path)? else { return Ok(false) };
    match serde_json::from_slice::<Layout>(&bytes) {
        Ok(layout) if layout.image_layout_version == LAYOUT_VERSION => Ok(true),
        Ok(layout) => Err(Error::LayoutVersion { path, found: layout.image_layout_version }),
        Err(source) => Err(Error::Malformed { path, why: source.to_string() }),
    }
}

/// Writes a file of the skeleton beside its name, then renames. The caller has the turn, so the name is free.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let new = path.with_extension("new");
    let mut file = File::create(&new).at("create", &new)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).at("write", &new)?;
    fs::rename(&new, path).at("rename", &new)
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    #[test]
    fn opening_creates_once_and_refuses_what_it_does_not_know() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("a/b");
        Store::open(&root).unwrap();
        Store::open(&root).unwrap();
        for (file, content, want) in [
            ("rbuild/version", "2\n", "has store format 2, this rbuild knows 1"),
            ("rbuild/version", "one\n", "is malformed"),
            ("rbuild/version", "", "is malformed"),
            ("rbuild/version", "1\n", ""),
            ("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#, "layout version \"2.0.0\""),
            ("oci-layout", "{", "is malformed"),
            ("oci-layout", OCI_LAYOUT, ""),
        ] {
            fs::write(root.join(file), content).unwrap();
            let found = Store::open(&root).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(
                found.contains(want) && found.is_empty() == want.is_empty(),
                "{file} {content:?}: {found}"
            );
        }
    }

    #[test]
    fn a_directory_in_use_is_not_taken_over_but_a_layout_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letter.txt"), "").unwrap();
        assert!(matches!(Store::open(dir.path()), Err(Error::NotAStore { .. })));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was written");
        fs::write(dir.path().join("oci-layout"), OCI_LAYOUT).unwrap();
        fs::write(dir.path().join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
        Store::open(dir.path()).unwrap();
    }

    #[test]
    fn a_lost_index_is_not_papered_over() {
        let dir = tempfile::tempdir().unwrap();
        Store::open(dir.path()).unwrap();
        fs::remove_file(dir.path().join("index.json")).unwrap();
        let error = Store::open(dir.path()).unwrap().images().unwrap_err();
        assert!(error.to_string().contains("index.json"), "{error}");
    }
}
