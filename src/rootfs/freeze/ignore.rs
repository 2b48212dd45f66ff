//! The paths that were made for the step itself.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// Mount points and stubs, with the parents made for them, relative to the root.
pub(in crate::rootfs) struct Ignore(BTreeSet<Vec<u8>>);

impl Ignore {
    pub(in crate::rootfs) fn new(paths: &[PathBuf]) -> Self {
        let clean = |path: &PathBuf| {
            let names = path.components().filter_map(|component| match component {
                std::path::Component::Normal(name) => Some(name.as_bytes()),
                _ => None,
            });
            names.collect::<Vec<_>>().join(&b'/')
        };
        Self(paths.iter().map(clean).collect())
    }

    pub(super) fn contains(&self, path: &[u8]) -> bool {
        self.0.contains(path)
    }
}
