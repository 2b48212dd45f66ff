//! The root of a step while it is being put together.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rbuild_userns::mount::{self, Attributes, Depth, Tree};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::held::Owned;
use super::target::{self, Stray, Stub, Target};
use super::{Error, mounts};
use crate::runtime::Device;

/// `linux/magic.h`.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;
const SYSFS_MAGIC: u64 = 0x6265_6572;

/// What had to be made for the sake of mounts, and is no part of the layer.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// In the root, relative to it.
    pub stubs: Vec<PathBuf>,
    /// In what is mounted there, parents first.
    pub strays: Vec<Stray>,
    /// Files that are to be somebody's, where the kernel cannot say so.
    pub owned: Vec<Owned>,
}

impl Made {
    /// Removes what was made outside the root, once nothing is mounted over it any more.
    pub(super) fn remove_strays(&self) -> Result<(), Error> {
        self.strays.iter().rev().try_for_each(Stray::remove)
    }
}

/// A mounted root that is not yet entered.
pub(super) struct StepRoot<'a> {
    tree: Tree,
    made: &'a mut Made,
}

impl<'a> StepRoot<'a> {
    /// Takes the root mounted at `path`, in this process's own mount namespace.
    pub(super) fn over(path: &Path, made: &'a mut Made) -> Result<Self, Error> {
        // pivot_root wants a mount point, and what is at `path` may be a directory of a larger mount
        let tree = Tree::copy_of(path, Depth::All)?;
        // a device node of the image is a row and opens nothing: as root of the machine nothing else stands before it
        tree.restrict(Attributes::MOUNT_ATTR_NODEV, Depth::One)?;
        let place = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(Error::file("open", path))?;
        tree.attach(place.as_fd())?;
        Ok(Self { tree, made })
    }

    /// Mounts what the kernel shows on a directory of the root itself. The image may not lead it anywhere else: what is
    /// mounted next, and what the command expects, would not find it.
    pub(super) fn mount_kernel(&mut self, tree: &Tree, name: &'static str) -> Result<(), Error> {
        let target = format!("/{name}");
        let place = self.find_or_make(Path::new(&target), Stub::Directory)?;
        if place.path != Path::new(name) {
            return Err(Error::Redirected { name, path: place.path });
        }
        attach(name, tree, &target, Stub::Directory, &place)
    }

    /// Mounts a tree at `target`, where a stub is made if nothing is there.
    pub(super) fn mount(&mut self, what: &str, tree: &Tree, target: &str, stub: Stub) -> Result<(), Error> {
        let place = self.find_or_make(Path::new(target), stub)?;
        if place.path.as_os_str().is_empty() {
            return Err(Error::Target(target.into()));
        }
        if hides_kernel(&place, Path::new(target))? {
            return Err(Error::OfKernel { what: what.to_owned(), target: target.into(), path: place.path });
        }
        attach(what, tree, target, stub, &place)
    }

    /// Resolves a path, making what is missing for the sake of a mount.
    fn find_or_make(&mut self, path: &Path, stub: Stub) -> Result<Target, Error> {
        let mut place = self.open_or_create(path, stub)?;
        self.made.stubs.append(&mut place.made);
        self.made.strays.append(&mut place.strays);
        Ok(place)
    }

    /// Shows a device of the host. In `/dev` it belongs to a file system of the step's own and leaves no stub.
    pub(super) fn mount_device(&mut self, device: &Device) -> Result<(), Error> {
        let what = device.source.display().to_string();
        let tree = mounts::host_source(&device.source).map_err(Error::mounting(&what, &device.target))?;
        let stat = rustix::fs::fstat(&tree).map_err(Error::file("stat", &device.source))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !kind.is_char_device() && !kind.is_block_device() {
            return Err(Error::NoDevice(device.source.clone()));
        }
        self.mount(&what, &tree, &device.target, Stub::File)
    }

    /// Resolves a path, making what is missing as part of the image.
    pub(super) fn open_or_create(&self, path: &Path, stub: Stub) -> Result<Target, Error> {
        target::open_or_create(self.as_fd(), path, stub)
    }

    /// Notes whose a file is to be that was made for the step.
    pub(super) fn record(&mut self, owned: Owned) {
        self.made.owned.push(owned);
    }

    /// Makes it the root of this process.
    pub(super) fn enter(self) -> Result<(), Error> {
        Ok(mount::change_root(self.tree.as_fd())?)
    }
}

impl AsFd for StepRoot<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tree.as_fd()
    }
}

/// Lays the tree over a place of its own kind.
fn attach(what: &str, tree: &Tree, target: &str, stub: Stub, place: &Target) -> Result<(), Error> {
    // the kernel's own word for it is EINVAL
    match (stub, is_dir(&place.fd, target)?) {
        (Stub::File, true) => return Err(mismatch(what, target, Errno::ISDIR)),
        (Stub::Directory, false) => return Err(mismatch(what, target, Errno::NOTDIR)),
        _ => {}
    }
    tree.attach(place.fd.as_fd()).map_err(Error::from).map_err(Error::mounting(what, target))
}

/// Whether a mount at `place` would hide what the kernel shows: something of procfs, or a part of sysfs or a device that
/// only a link of the image leads to.
fn hides_kernel(place: &Target, asked: &Path) -> Result<bool, Error> {
    let kind = rustix::fs::fstatfs(&place.fd).map_err(Error::file("statfs", asked))?.f_type.cast_unsigned();
    let mode = rustix::fs::fstat(&place.fd).map_err(Error::file("stat", asked))?.st_mode;
    let is_device = FileType::from_raw_mode(mode).is_char_device();
    let led = place.path != asked.strip_prefix("/").unwrap_or(asked);
    Ok(kind == PROC_SUPER_MAGIC || (led && (kind == SYSFS_MAGIC || is_device)))
}

/// Whether an open place is a directory.
pub(super) fn is_dir(place: impl AsFd, name: &str) -> Result<bool, Error> {
    let stat = rustix::fs::fstat(place).map_err(Error::file("stat", name))?;
    Ok(FileType::from_raw_mode(stat.st_mode).is_dir())
}

fn mismatch(what: &str, target: &str, errno: Errno) -> Error {
    Error::mounting(what, target)(Error::Resolve { path: target.into(), source: errno.into() })
}
