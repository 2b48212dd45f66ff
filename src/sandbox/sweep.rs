//! Removing what steps left: their files belong to mapped ids, over which only the root of the namespace has power.

use std::io::ErrorKind;
use std::path::Path;

use super::Error;
use crate::rootfs;

/// Removes a directory tree. One that is gone already is fine.
pub(super) fn remove(dir: &Path) -> Result<(), Error> {
    let parent = dir.parent().unwrap_or(Path::new("/"));
    Ok(rootfs::remove_tree(parent, dir)?)
}

/// Removes what is in a directory, but not itself. One that is gone already is fine.
pub(super) fn empty(dir: &Path) -> Result<(), Error> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(Error::file("read", dir))?,
    };
    for entry in entries {
        let entry = entry.map_err(Error::file("read", dir))?;
        let path = entry.path();
        let is_dir = entry.file_type().map_err(Error::file("stat", &path))?.is_dir();
        if is_dir {
            rootfs::remove_tree(dir, &path)?;
        } else {
            std::fs::remove_file(&path).map_err(Error::file("remove", path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_what_is_inside_goes() {
        let scratch = tempfile::tempdir().unwrap();
        let (live, outside) = (scratch.path().join("live"), scratch.path().join("outside"));
        fs::create_dir_all(live.join("work/deep")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        fs::write(live.join("file"), "").unwrap();
        symlink(&outside, live.join("link")).unwrap();
        symlink(&outside, live.join("work/link")).unwrap();
        empty(&live).unwrap();
        assert_eq!(fs::read_dir(&live).unwrap().count(), 0);
        assert!(outside.join("kept").exists());
        remove(&live).unwrap();
        remove(&live).unwrap();
        empty(&live).unwrap();
        assert!(!live.exists());
    }
}
