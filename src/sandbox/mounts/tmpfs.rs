//! File systems in memory.

use std::os::fd::AsFd;
use std::path::Path;

use rbuild_userns::mount::{Attributes, Setting, Tree};

use super::super::root::{StepRoot, is_dir};
use super::super::{Error, target};
use super::copy;
use crate::runtime::{Content, Tmpfs};

/// Makes one, with what the image has at `target` if asked to.
pub(super) fn tree(tmpfs: &Tmpfs, root: &StepRoot<'_>, target: &str) -> Result<Tree, Error> {
    let mode = format!("{:o}", tmpfs.mode);
    let size = tmpfs.size.map(|size| size.to_string());
    let mut settings = vec![Setting::Text("mode", &mode)];
    settings.extend(size.as_deref().map(|size| Setting::Text("size", size)));
    let tree = Tree::new("tmpfs", &settings, Attributes::MOUNT_ATTR_NOSUID | Attributes::MOUNT_ATTR_NODEV)?;
    if tmpfs.content == Content::Image
        && let Some(place) = target::open_existing(root.as_fd(), Path::new(target))?
        && is_dir(&place, target)?
    {
        copy::directory(place.as_fd(), tree.as_fd(), Path::new(target))?;
    }
    Ok(tree)
}
