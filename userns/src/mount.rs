//! Mounts, by descriptor: a tree is made detached, restricted while nobody sees it, and then attached to a directory that
//! is held open. No path is joined and looked up a second time.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

pub use rustix::mount::MountAttrFlags as Attributes;

use crate::error::{Error, refused};

/// How deep a request reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// This mount alone.
    One,
    /// With every mount beneath it.
    All,
}

/// What an option of a new file system is.
#[derive(Clone, Copy, Debug)]
pub enum Setting<'a> {
    /// `name`
    Flag(&'a str),
    /// `name=value`
    Text(&'a str, &'a str),
}

/// A tree of mounts by its root. Detached at first: it vanishes with the descriptor unless it is attached.
#[derive(Debug)]
pub struct Tree(OwnedFd);

impl Tree {
    /// A new file system of a kernel type (`proc`, `tmpfs`, …).
    pub fn new(kind: &str, settings: &[Setting<'_>], attributes: Attributes) -> Result<Self, Error> {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(refused(format!("fsopen({kind})")))?;
        // what the mount table shows as its device
        let source = Setting::Text("source", kind);
        for setting in [&source].into_iter().chain(settings) {
            match *setting {
                Setting::Flag(name) => rustix::mount::fsconfig_set_flag(&context, name),
                Setting::Text(name, value) => rustix::mount::fsconfig_set_string(&context, name, value),
            }
            .map_err(refused(format!("set {setting:?} of a new {kind}")))?;
        }
        rustix::mount::fsconfig_create(&context).map_err(refused(format!("create a new {kind}")))?;
        rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map(Self)
            .map_err(refused(format!("fsmount({kind})")))
    }

    /// A copy of what is mounted at a path of this mount namespace: the source of a bind mount. Symlinks are followed.
    pub fn copy_of(path: &Path, depth: Depth) -> Result<Self, Error> {
        Self::copy(rustix::fs::CWD, path, OpenTreeFlags::empty(), depth)
    }

    /// A copy of all that is mounted at a path of this mount namespace, except what is mounted at `left_out` and beneath it.
    ///
    /// An unbindable mount is left out of recursive copies (`mount_namespaces(7)`). It is one for that moment only: nothing
    /// on it could be the source of a bind mount, and kernels differ on whether a new namespace takes the property over.
    pub fn copy_without(path: &Path, left_out: &Path) -> Result<Self, Error> {
        let change = |how| rustix::mount::mount_change(left_out, how);
        let refused = |errno| refused(format!("leave {} out of a copy", left_out.display()))(errno);
        change(MountPropagationFlags::UNBINDABLE).map_err(refused)?;
        let copy = Self::copy_of(path, Depth::All);
        change(MountPropagationFlags::PRIVATE).map_err(refused)?;
        copy
    }

    /// A copy of what an open file or directory shows.
    pub fn copy_of_open(place: BorrowedFd<'_>, depth: Depth) -> Result<Self, Error> {
        Self::copy(place, Path::new(""), OpenTreeFlags::AT_EMPTY_PATH, depth)
    }

    fn copy(from: BorrowedFd<'_>, path: &Path, flags: OpenTreeFlags, depth: Depth) -> Result<Self, Error> {
        let depth = match depth {
            Depth::One => OpenTreeFlags::empty(),
            Depth::All => OpenTreeFlags::AT_RECURSIVE,
        };
        let flags = flags | depth | OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        rustix::mount::open_tree(from, path, flags)
            .map(Self)
            .map_err(refused(format!("open_tree({})", path.display())))
    }

    /// Adds attributes (read-only, no setuid, …). None is taken away.
    pub fn restrict(&self, attributes: Attributes, depth: Depth) -> Result<(), Error> {
        let request = libc::mount_attr { attr_set: u64::from(attributes.bits()), ..no_change() };
        mount_setattr(self.as_fd(), depth, &request)
    }

    /// Takes attributes away. EPERM: they come from outside this user namespace, which locks them.
    pub fn permit(&self, attributes: Attributes, depth: Depth) -> Result<(), Error> {
        let request = libc::mount_attr { attr_clr: u64::from(attributes.bits()), ..no_change() };
        mount_setattr(self.as_fd(), depth, &request)
    }

    /// Has mounts beneath it show in copies of it, in other mount namespaces, and the other way round.
    pub fn make_shared(&self, depth: Depth) -> Result<(), Error> {
        let request = libc::mount_attr { propagation: libc::MS_SHARED, ..no_change() };
        mount_setattr(self.as_fd(), depth, &request)
    }

    /// Lays the tree over an open directory or file.
    pub fn attach(&self, over: BorrowedFd<'_>) -> Result<(), Error> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(&self.0, "", over, "", flags).map_err(refused("move_mount"))
    }
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn no_change() -> libc::mount_attr {
    libc::mount_attr { attr_set: 0, attr_clr: 0, propagation: 0, userns_fd: 0 }
}

fn mount_setattr(tree: BorrowedFd<'_>, depth: Depth, request: &libc::mount_attr) -> Result<(), Error> {
    let flags = match depth {
        Depth::One => libc::AT_EMPTY_PATH,
        Depth::All => libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
    };
    // SAFETY: the empty path is a C string, `request` is live for the call and its true size is given; both are only read.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(request),
            size_of::<libc::mount_attr>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(refused("mount_setattr")(io::Error::last_os_error())) }
}

/// Cuts this mount namespace off: no mount made here shows outside, none made outside shows here.
pub fn make_all_private() -> Result<(), Error> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(refused("make every mount private"))
}

/// Mounts by path and option string, on a thread that holds none of this process's descriptors.
///
/// For a file system above one that this process itself serves by FUSE: the kernel looks it up while it mounts. A process
/// killed meanwhile would wait for its own answer for ever, because the waiting thread keeps the table of descriptors
/// alive, and with it the connection that would otherwise end. Errors with the bare errno of mount(2).
pub fn mount_apart(kind: &str, source: &str, at: &Path, options: &CStr) -> Result<(), Errno> {
    apart(|| rustix::mount::mount(source, at, kind, rustix::mount::MountFlags::empty(), options))
}

/// Has the kernel write back all that processes stored in the file system at `at`, through shared mappings too. As
/// [`mount_apart`], for one that this process itself serves. Errors with the bare errno of open(2) or syncfs(2).
pub fn write_back_apart(at: &Path) -> Result<(), Errno> {
    use rustix::fs::{Mode, OFlags, open, syncfs};
    apart(|| syncfs(open(at, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
}

/// Has `work` done by a thread that holds none of this process's descriptors.
fn apart(work: impl FnOnce() -> Result<(), Errno> + Send) -> Result<(), Errno> {
    let work = || {
        leave_descriptors()?;
        work()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("mount".into()).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
        thread.join().unwrap_or(Err(Errno::IO))
    })
}

/// Gives the calling thread a table of descriptors of its own, empty from 3 on.
fn leave_descriptors() -> Result<(), Errno> {
    // SAFETY: plain numbers. What is closed is closed in this thread's own new table; owners elsewhere keep theirs, and
    // the thread, which is about to end, owns none.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_UNSHARE) };
    if done == 0 {
        Ok(())
    } else {
        Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
    }
}

/// Makes an open mount point the root directory and lets go of the old one.
///
/// `pivot_root(".", ".")` stacks the old root over the new; no directory has to be made for it (`pivot_root(2)`, NOTES).
pub fn change_root(root: BorrowedFd<'_>) -> Result<(), Error> {
    rustix::process::fchdir(root).map_err(refused("enter the new root"))?;
    rustix::process::pivot_root(".", ".").map_err(refused("pivot_root"))?;
    detach(Path::new("."))?;
    rustix::process::chdir("/").map_err(refused("chdir(/)"))
}

/// Breaks off the connection of the FUSE file system at `path`: whoever waits for one of its answers gets an error
/// instead. The mount goes too unless somebody uses it. What is no mount stays as it is.
pub fn abort(path: &Path) -> Result<(), Error> {
    match rustix::mount::unmount(path, UnmountFlags::FORCE) {
        Ok(()) | Err(Errno::BUSY | Errno::INVAL) => Ok(()),
        Err(errno) => Err(refused(format!("abort {}", path.display()))(errno)),
    }
}

/// Takes a mount and all beneath it out of sight at once; the kernel ends each when its last user is gone.
pub fn detach(path: &Path) -> Result<(), Error> {
    rustix::mount::unmount(path, UnmountFlags::DETACH).map_err(refused(format!("unmount {}", path.display())))
}
