//! The `fuse` driver: our own server is the whole overlay.
//!
//! The upper side of a step's root is a tree in this process's memory: names, owners, modes, devices, extended
//! attributes and times. It is filled lazily from the [`Stack`], name by name, as the step looks at it. Because
//! no host inode stands behind an owner or a device node, none of it needs privilege and all of it is exact,
//! also for ids that are not mapped.
//!
//! Only the bytes of regular files may leave memory: a file reads from its layer's tar until its first write, then
//! gets its own bytes ([`Data`](tree::Data)), small ones here, larger ones in `live/<inode>`.
//!
//! What a step changed exists as a layer only after [`Root::freeze`], so `fsync` has nothing to promise and is
//! answered "not needed", as are `open`, `opendir`, `create` and `flush`: an inode's number is all the state there
//! is, and the kernel keeps it referenced (no `FORGET`) while a descriptor is open on it.
//!
//! Who clears setuid, setgid and `security.capability` on write, truncate and chown: we do, when the kernel says so (see
//! `privileges`). It tells before the write, in a `SETATTR` whose answer makes its cached mode right at once.
//!
//! What a step in a user namespace does not get. The first two are the kernel's answer, whatever ours would be; what
//! `pjdfstest` fails at for the sake of the first is listed in `tests/e2e/suites.rs`. rbuild(1) tells it to the user.
//!
//! | what | the caller sees | why |
//! |---|---|---|
//! | `mknod` of a device | `EPERM` | asks for `CAP_MKNOD` over the machine; 0:0, overlayfs' whiteout, needs none. Where one id is mapped it is recorded |
//! | `trusted.*` attributes | `EPERM` | asks for `CAP_SYS_ADMIN` over the machine; refused here to real root too |
//! | opening a device node of the image | `EACCES` | the root is mounted `nodev`, for real root too |
//! | a POSIX ACL that names others, where one id is mapped | `EINVAL`; that of a layer is not shown, and kept | those it names are not in the user namespace, and the kernel hands over no list with such a name |
//! | `chattr`, `lsattr` | `EOPNOTSUPP` | the flags are another file system's; a layer has no word for them |
//!
//! A whiteout that a step itself makes (`mknod` 0:0, `RENAME_WHITEOUT`) goes into the layer as that device. The next
//! step sees it with this driver; overlayfs, and so the `kernel` driver, takes it for its own whiteout.
//!
//! # Locks
//! In this order, never the other way:
//! 1. `Overlay::copying`: held while a file gets its own bytes. One copy-up at a time.
//! 2. `Overlay::tree`: names and attributes. Never held while a file's bytes move to or from the disk; the bytes of
//!    small files are memory and move under it.
//! 3. `Backing`'s table of open files: held for a look-up or an `open`.

mod attributes;
mod backing;
mod below;
mod copy_up;
mod create;
mod data;
mod directory;
mod freeze;
mod fuse;
mod plan;
mod privileges;
mod recorded;
mod remove;
mod rename;
mod session;
mod space;
#[cfg(test)]
mod tests;
mod tree;
mod xattr;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::trace::{Listings, Trace};
use super::{Errno, Error, Ids, Named, Ownership, Root, Stack};
use crate::layer::Written;
use backing::Backing;
use recorded::Recorded;
use session::Session;
use tree::Tree;

/// Mounts a writable root over `stack` at `at`, which is made for it and goes with it. `live`: an empty directory for file data.
///
/// Needs the right to mount in this mount namespace (root of its user namespace) and `/dev/fuse` opened inside it.
///
/// `trace` hears of all that is told of the stack.
pub fn mount(
    stack: Stack,
    at: &Path,
    live: &Path,
    ids: Ids,
    trace: Option<Arc<Trace>>,
) -> Result<Box<dyn Root>, Error> {
    let listings = Listings::of(trace.as_ref());
    let overlay = Arc::new(Overlay::new(stack, live, ids, trace));
    let session = Session::mount(Arc::clone(&overlay), listings, at)?;
    let device = rustix::fs::stat(at).named("stat", at)?.st_dev;
    Ok(Box::new(Mounted { overlay, session, device }))
}

/// The merged, writable tree: what the server's threads share.
struct Overlay {
    stack: Stack,
    ids: Ids,
    tree: RwLock<Tree>,
    copying: Mutex<()>,
    backing: Backing,
}

impl Overlay {
    fn new(stack: Stack, live: &Path, ids: Ids, trace: Option<Arc<Trace>>) -> Self {
        Self {
            tree: RwLock::new(Tree::new(stack.clone(), ids.clone(), trace)),
            stack,
            ids,
            copying: Mutex::new(()),
            backing: Backing::new(live.to_owned()),
        }
    }

    /// Removes all file data.
    fn clear(&self) -> Result<(), Error> {
        self.backing.clear().named("clear", self.backing.directory())
    }

    // A panic under a lock is a bug of ours in one request; the others must still be answered, or the step hangs.
    fn tree(&self) -> RwLockReadGuard<'_, Tree> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tree_mut(&self) -> RwLockWriteGuard<'_, Tree> {
        self.tree.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn copying(&self) -> MutexGuard<'_, ()> {
        self.copying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A mounted overlay.
struct Mounted {
    overlay: Arc<Overlay>,
    session: Session,
    device: u64,
}

impl Root for Mounted {
    fn path(&self) -> &Path {
        self.session.path()
    }

    fn ownership(&self) -> Option<Arc<dyn Ownership>> {
        let Ids::Recorded(_) = self.overlay.ids else { return None };
        Some(Arc::new(Recorded { overlay: Arc::clone(&self.overlay), device: self.device }))
    }

    fn freeze(self: Box<Self>, tar: File, ignore: &[PathBuf]) -> Result<Written, Error> {
        // Unmounting first: it makes the kernel write back what processes stored through shared mappings.
        self.session.unmount()?;
        let written = self.overlay.freeze(tar, ignore);
        self.overlay.clear()?;
        written
    }

    fn snapshot(&self, tar: File) -> Result<Written, Error> {
        let at = self.session.path();
        rbuild_userns::mount::write_back_apart(at).named("write back", at)?;
        self.overlay.freeze(tar, &[])
    }

    fn discard(self: Box<Self>) -> Result<(), Error> {
        self.session.unmount()?;
        self.overlay.clear()
    }
}
