//! Files and directories of the host.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rbuild_userns::mount::{Depth, Tree};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::super::Error;
use super::super::root::StepRoot;
use super::super::step::Ready;
use super::owner;
use crate::runtime::{Bind, Owner, ProcessSpec, Propagation, Reach, Socket};

/// Makes the tree of what the host has at the path.
pub(super) fn tree(bind: &Bind, command: &ProcessSpec) -> Result<Tree, Error> {
    let tree = Tree::copy_of_open(open(&bind.path)?.as_fd(), depth(bind))?;
    if bind.owner == Owner::Command {
        owner::give(tree.as_fd(), &bind.path, command.uid, command.gid)?;
    }
    if bind.propagation == Propagation::Shared {
        tree.make_shared(depth(bind))?;
    }
    Ok(tree)
}

/// Makes the tree of a socket that was made for the step.
pub(super) fn given(socket: &Socket, root: &mut StepRoot<'_>, ready: Ready<'_>) -> Result<Tree, Error> {
    let found = open(&socket.path)?;
    owner::give_made(found.as_fd(), &socket.path, socket.attributes, (root, ready.owners))?;
    Ok(Tree::copy_of_open(found.as_fd(), Depth::One)?)
}

/// Opens what the host has at `path`. It had no symlink on the way when it was chosen; one that is there now was put
/// there since, by whoever may write beside it (a step that has the parent as a volume).
pub(super) fn open(path: &Path) -> Result<OwnedFd, Error> {
    let literal = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(rustix::fs::CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), literal) {
        Err(Errno::LOOP) => Err(Error::Swapped(path.into())),
        opened => opened.map_err(Error::file("open", path)),
    }
}

/// How deep the tree reaches.
pub(super) fn depth(bind: &Bind) -> Depth {
    match bind.reach {
        Reach::One => Depth::One,
        Reach::All => Depth::All,
    }
}
