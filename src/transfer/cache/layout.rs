//! A cache goes into a directory: an OCI image layout (image-spec v1.1, image-layout.md) of which it is one entry.
//!
//! Every file gets its name when it is whole, the index last. What else is in the layout stays. Of several that write to one
//! layout at a time, one changes the index and the others wait: a flock of the directory.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use super::super::Error;
use crate::oci::{Descriptor, Digest, ImageIndex, media_type};

/// The annotation with an entry's name.
const NAME: &str = "org.opencontainers.image.ref.name";
const VERSION: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// Bytes of an index or a manifest.
const LIMIT: u64 = 4 << 20;

/// The index; `None` if there is none yet.
fn index(directory: &Path) -> Result<Option<ImageIndex>, Error> {
    let path = directory.join("index.json");
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(Error::file(&path))?,
    };
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes).map_err(Error::file(&path))?;
    let name = path.display().to_string();
    ImageIndex::parse(&bytes).map(Some).map_err(|source| Error::Document { name, source })
}

/// Whether the blob is there.
pub(super) fn has(directory: &Path, blob: &Descriptor) -> bool {
    fs::metadata(path_of(directory, &blob.digest)).is_ok_and(|file| file.is_file() && file.len() == blob.size)
}

/// Puts a blob there, from a file that is it, whatever is there.
pub(super) fn put(directory: &Path, blob: &Descriptor, from: &Path) -> Result<(), Error> {
    let mut source = File::open(from).map_err(Error::file(from))?;
    write(&path_of(directory, &blob.digest), &mut source)
}

/// Gives the manifest of `bytes` the name `entry`. Another one that had it loses it.
pub(super) fn name(directory: &Path, entry: &str, bytes: &[u8]) -> Result<(), Error> {
    let mut manifest = Descriptor::of(media_type::MANIFEST, bytes);
    write(&path_of(directory, &manifest.digest), &mut &*bytes)?;
    manifest.annotations.insert(NAME.to_owned(), entry.to_owned());
    // Released when it is dropped.
    let turn = File::open(directory).map_err(Error::file(directory))?;
    turn.lock().map_err(Error::file(directory))?;
    let mut index = index(directory)?.unwrap_or_else(|| ImageIndex {
        schema_version: 2,
        media_type: Some(media_type::INDEX.to_owned()),
        manifests: Vec::new(),
        annotations: std::collections::BTreeMap::new(),
        extra: std::collections::BTreeMap::new(),
    });
    index.manifests.retain(|other| other.annotations.get(NAME).is_none_or(|name| name != entry));
    index.manifests.push(manifest);
    let bytes = serde_json::to_vec(&index).expect("an index holds only strings, numbers and maps");
    write(&directory.join("oci-layout"), &mut VERSION.as_bytes())?;
    write(&directory.join("index.json"), &mut &bytes[..])
}

/// Writes a file beside its name, fsyncs it, and renames it.
fn write(path: &Path, source: &mut dyn Read) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(Error::file(parent))?;
    let mut file = tempfile::NamedTempFile::new_in(parent).map_err(Error::file(parent))?;
    let copied =
        io::copy(source, &mut file).and_then(|_| file.flush()).and_then(|()| file.as_file().sync_all());
    copied.map_err(Error::file(path))?;
    // A cache is for others, too: what may be read is what may be read of any file that this user makes.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode).map_err(Error::file(path))?;
    file.persist(path).map_err(|error| Error::file(path)(error.error))?;
    Ok(())
}

fn path_of(directory: &Path, digest: &Digest) -> PathBuf {
    directory.join("blobs/sha256").join(digest.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_given_at_once_are_all_there() {
        let directory = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..16).map(|number| number.to_string()).collect();
        std::thread::scope(|scope| {
            for entry in &names {
                scope.spawn(|| name(directory.path(), entry, entry.as_bytes()).unwrap());
            }
        });
        let index = index(directory.path()).unwrap().unwrap();
        let mut found: Vec<_> = index.manifests.iter().map(|entry| entry.annotations[NAME].clone()).collect();
        found.sort_by_key(|entry| entry.parse::<usize>().unwrap());
        assert_eq!(found, names);
    }
}
