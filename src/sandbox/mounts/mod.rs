//! What appears in a step's root besides the image: files of the host, overlays over them, file systems in memory.
//!
//! Each is made as a detached tree, restricted while nobody sees it, and then laid over its target, which is resolved
//! beneath the root's descriptor (`super::target`). A target nearer to the root comes first, so that no mount hides another
//! that was asked for.

mod bind;
mod cache;
pub(super) mod copy;
mod layers;
mod overlay;
mod owner;
mod secret;
mod tmpfs;

use std::os::fd::AsFd;
use std::path::Path;

use rbuild_userns::mount::{Attributes, Depth, Tree};
use rustix::io::Errno;

use super::Error;
use super::root::{self, StepRoot};
use super::step::Ready;
use super::target::Stub;
use crate::runtime::{Access, Job, Mount, Right, Source};

pub(super) use cache::DATA as CACHE_DATA;

/// The directory of a live directory where overlays of volumes keep what is written.
pub(super) const WRITTEN: &str = "volumes";

/// Mounts all of a job's.
pub(super) fn mount_all(root: &mut StepRoot<'_>, job: &Job, ready: Ready<'_>) -> Result<(), Error> {
    for (number, mount) in in_order(&job.confinement.mounts) {
        let what = name(&mount.source);
        let tree = tree(root, mount, job, ready, number).map_err(Error::mounting(&what, &mount.target))?;
        let stub = if root::is_dir(&tree, &what)? { Stub::Directory } else { Stub::File };
        root.mount(&what, &tree, &mount.target, stub)?;
    }
    Ok(())
}

/// A copy of what the host has at a path that had no symlink on the way when it was chosen.
pub(super) fn host_source(path: &Path) -> Result<Tree, Error> {
    Ok(Tree::copy_of_open(bind::open(path)?.as_fd(), Depth::All)?)
}

fn tree(
    root: &mut StepRoot<'_>,
    mount: &Mount,
    job: &Job,
    ready: Ready<'_>,
    number: usize,
) -> Result<Tree, Error> {
    let (tree, depth) = match &mount.source {
        Source::Bind(bind) => (bind::tree(bind, &job.process)?, bind::depth(bind)),
        Source::Overlay(overlay) => (overlay::tree(overlay, job, ready.files.directory, number)?, Depth::One),
        Source::Socket(socket) => (bind::given(socket, root, ready)?, Depth::One),
        Source::Secret(secret) => (secret::tree(secret, root, ready, number)?, Depth::One),
        Source::Cache(cache) => (cache::tree(cache, root, job, ready, number)?, Depth::One),
        Source::Layers(layers) => (layers::tree(layers, ready.shown(number)?)?, Depth::One),
        Source::Tmpfs(tmpfs) => (tmpfs::tree(tmpfs, root, &mount.target)?, Depth::One),
    };
    set_rights(&tree, &mount.rights, depth)?;
    if mount.access == Access::ReadOnly {
        tree.restrict(Attributes::MOUNT_ATTR_RDONLY, depth)?;
    }
    Ok(tree)
}

/// Those nearer to the root first; those on one level as they were given. Each with its number.
fn in_order(mounts: &[Mount]) -> Vec<(usize, &Mount)> {
    let mut ordered: Vec<(usize, &Mount)> = mounts.iter().enumerate().collect();
    ordered.sort_by_key(|(_, mount)| Path::new(&mount.target).components().count());
    ordered
}

fn name(source: &Source) -> String {
    match source {
        Source::Bind(bind) => bind.path.display().to_string(),
        Source::Overlay(overlay) => format!("an overlay of {}", overlay.lower.display()),
        Source::Tmpfs(_) => "tmpfs".to_owned(),
        Source::Secret(_) => "a secret".to_owned(),
        Source::Socket(_) => "a socket".to_owned(),
        Source::Cache(_) => "a cache".to_owned(),
        Source::Layers(layers) => format!("/{} of layers", layers.path.display()),
    }
}

fn set_rights(tree: &Tree, rights: &[Right], depth: Depth) -> Result<(), Error> {
    for right in rights {
        let (attribute, name) = match right {
            Right::Exec | Right::NoExec => (Attributes::MOUNT_ATTR_NOEXEC, "exec"),
            Right::Suid | Right::NoSuid => (Attributes::MOUNT_ATTR_NOSUID, "suid"),
            Right::Dev | Right::NoDev => (Attributes::MOUNT_ATTR_NODEV, "dev"),
        };
        match right {
            Right::NoExec | Right::NoSuid | Right::NoDev => tree.restrict(attribute, depth)?,
            Right::Exec | Right::Suid | Right::Dev => match tree.permit(attribute, depth) {
                Err(error) if error.errno() == Some(Errno::PERM.raw_os_error()) => {
                    return Err(Error::Locked(name));
                }
                other => other?,
            },
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_never_hides_another() {
        let mount = |target: &&str| Mount::bind("/", *target, Access::ReadWrite);
        let rows: [(&[&str], &[&str]); 3] = [
            (&["/a/b", "/a"], &["/a", "/a/b"]),
            (&["/b", "/a"], &["/b", "/a"]),
            (&["/x/y/z", "/a//b/", "/x"], &["/x", "/a//b/", "/x/y/z"]),
        ];
        for (given, want) in rows {
            let mounts: Vec<Mount> = given.iter().map(mount).collect();
            let targets: Vec<&str> = in_order(&mounts).iter().map(|(_, mount)| &*mount.target).collect();
            assert_eq!(targets, want, "{given:?}");
        }
    }
}
