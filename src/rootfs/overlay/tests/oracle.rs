//! The oracle: the same operations on a plain copy of the tree.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use super::OLD;
use super::dump::Row;

/// Lays `rows` out under the empty directory `root`. Owners are as they come: rows of the tables belong to root.
pub fn materialise(rows: &[Row], root: &Path) {
    for row in rows.iter().filter(|row| !row.path.is_empty()) {
        let path = root.join(&row.path);
        if let Some(first) = row.group.as_ref().filter(|first| **first != row.path) {
            std::fs::hard_link(root.join(first), &path).unwrap();
            continue;
        }
        let mode = std::fs::Permissions::from_mode(row.mode);
        match row.kind.split_once(' ').unwrap_or((&row.kind, "")) {
            ("dir", _) => {
                std::fs::create_dir(&path).and_then(|()| std::fs::set_permissions(&path, mode)).unwrap();
            }
            ("file", text) => {
                std::fs::write(&path, text).and_then(|()| std::fs::set_permissions(&path, mode)).unwrap();
            }
            ("symlink", target) => symlink(target, &path).unwrap(),
            ("fifo", _) => {
                assert!(
                    std::process::Command::new("mkfifo").arg("-m600").arg(&path).status().unwrap().success()
                );
            }
            other => panic!("{other:?}"),
        }
    }
    for row in rows.iter().rev() {
        let (tv_sec, tv_nsec) = row.time.unwrap_or((OLD, 5));
        let old = Timespec { tv_sec, tv_nsec };
        let times = Timestamps { last_access: old, last_modification: old };
        rustix::fs::utimensat(CWD, root.join(&row.path), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o755)).unwrap();
}
