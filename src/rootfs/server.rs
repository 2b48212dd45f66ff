//! The sandbox's server of roots: the FUSE superblocks that show every stack, and the writable roots above them.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::mount::{MountFlags, mount};

use super::kernel::{KernelRoot, Traced};
use super::mounted::Mounted;
use super::plain::{PlainRoot, Shelf};
use super::served::{Fuse, Lower, Requests, Side, Tree};
use super::trace::{Lost, Trace};
use super::{Driver, Error, Ids, Named as _, Room, Root, Stack, overlay};
use crate::fuse::{self, LARGEST, NoRings, Session, Transport};

/// Lives in the sandbox's server process: multi-threaded, root of the user namespace, in the sandbox's mount namespace.
///
/// Dropping it detaches the superblocks; [`Server::stop`] also waits for their threads and tells what went wrong.
pub struct Server {
    mounts: PathBuf,
    /// Where there is no FUSE, the reason: the `plain` driver does without.
    served: Result<Served, String>,
    shelf: Arc<Shelf>,
    /// The next root's number, and so the name of its mount point.
    next: AtomicU64,
}

impl Server {
    /// Mounts the superblocks at `mounts/lower` and `mounts/marked`, and starts to answer. Where that is impossible, the
    /// drivers that need them are refused with the reason.
    ///
    /// `mounts`: an empty directory (on a tmpfs private to the sandbox's mount namespace) for mount points; roots get
    /// `mounts/<number>`. Must be called inside the user namespace: the kernel ties `/dev/fuse` to the one that opens it.
    pub fn start(mounts: &Path) -> Self {
        let served = Served::start(Tree::default(), mounts.join("lower"), mounts.join("marked"))
            .map_err(|error| error.to_string());
        Self { mounts: mounts.into(), served, shelf: Arc::default(), next: AtomicU64::new(0) }
    }

    /// A writable root over `stack`, in `room`.
    pub fn prepare(
        &self,
        stack: Stack,
        driver: Driver,
        room: &Room,
        ids: Ids,
    ) -> Result<Box<dyn Root>, Error> {
        self.prepare_traced(stack, driver, room, ids, None)
    }

    /// The same. `trace` hears of all that is told of the stack; the kernel knows nothing of that from an earlier root.
    pub fn prepare_traced(
        &self,
        stack: Stack,
        driver: Driver,
        room: &Room,
        ids: Ids,
        trace: Option<Arc<Trace>>,
    ) -> Result<Box<dyn Root>, Error> {
        let at = self.mounts.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let live = &room.live;
        match driver {
            Driver::Kernel => {
                if matches!(ids, Ids::Recorded(_)) {
                    return Err(Error::NoOwners { driver });
                }
                let traced = trace.map(|trace| self.trace(trace, &at)).transpose()?;
                let served = traced.as_ref().map_or_else(|| self.served(), |traced| Ok(&traced.served))?;
                let lowers = served.lowers(&stack)?;
                Ok(Box::new(KernelRoot::mount(stack, &lowers, at, live, traced)?))
            }
            Driver::Fuse => overlay::mount(stack, &at, live, ids, trace),
            Driver::Plain => {
                if let Some(trace) = trace {
                    trace.lose(Lost::Plain);
                }
                let shelf = room.shelf.as_ref().map(|at| (Arc::clone(&self.shelf), at.clone()));
                Ok(Box::new(PlainRoot::materialise(stack, live, shelf, &ids)?))
            }
        }
    }

    /// Superblocks for the root at `at` alone, mounted beside it.
    fn trace(&self, trace: Arc<Trace>, at: &Path) -> Result<Traced, Error> {
        self.served()?;
        let beside = |word: &str| {
            let mut path = at.as_os_str().to_owned();
            path.push(word);
            PathBuf::from(path)
        };
        let tree = Tree::traced(Arc::clone(&trace));
        let served = Served::start(tree, beside("-lower"), beside("-marked"))?;
        Ok(Traced { served, trace })
    }

    fn served(&self) -> Result<&Served, Error> {
        self.served.as_ref().map_err(|why| Error::Unserved(why.clone()))
    }

    /// How often the kernel asked the superblocks since the start.
    pub fn requests(&self) -> Requests {
        self.served.as_ref().map(|served| served.tree.requests()).unwrap_or_default()
    }

    /// How the kernel's requests come; `None` where there is no FUSE.
    pub fn transport(&self) -> Option<Transport> {
        self.served.as_ref().ok().map(|served| served.bare.session.transport())
    }

    /// Why they do not come through rings; `None` where they do, or there is no FUSE.
    pub fn no_rings(&self) -> Option<NoRings> {
        self.served.as_ref().ok()?.bare.session.rings().err()
    }

    /// Why no thread answers on the caller's CPU; `None` where some do, or there is no FUSE.
    pub fn no_companions(&self) -> Option<&fuse::Error> {
        self.served.as_ref().ok()?.bare.session.companions().err()
    }

    /// How many of the requests to the stacks were answered on the caller's CPU.
    pub fn by_companions(&self) -> u64 {
        self.served.as_ref().map_or(0, |served| served.bare.session.by_companions())
    }

    /// Unmounts the superblocks and waits for their threads. Roots must be frozen or discarded before.
    pub fn stop(self) -> Result<(), Error> {
        self.served.map_or(Ok(()), Served::stop)
    }
}

/// The stacks, as directories of two superblocks.
pub(super) struct Served {
    tree: Arc<Tree>,
    bare: Superblock,
    marked: Superblock,
}

impl Served {
    fn start(tree: Tree, bare: PathBuf, marked: PathBuf) -> Result<Self, Error> {
        let tree = Arc::new(tree);
        let bare = Superblock::start(&tree, Side::Bare, bare)?;
        let marked = Superblock::start(&tree, Side::Marked, marked)?;
        Ok(Self { tree, bare, marked })
    }

    /// The directories that together show `stack`, topmost first.
    fn lowers(&self, stack: &Stack) -> Result<Vec<PathBuf>, Error> {
        Ok(self.tree.lowers(stack)?.iter().map(|lower| self.path_of(*lower)).collect())
    }

    fn path_of(&self, lower: Lower) -> PathBuf {
        let superblock = match lower.side {
            Side::Bare => &self.bare,
            Side::Marked => &self.marked,
        };
        superblock.mounted.path().join(lower.view.to_string())
    }

    pub(super) fn stop(self) -> Result<(), Error> {
        self.bare.stop()?;
        self.marked.stop()
    }
}

/// How long the last users of an unmounted superblock (mount namespaces that are being torn down) may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// One mounted FUSE superblock and the threads that answer for it.
struct Superblock {
    mounted: Mounted,
    session: Session,
}

impl Superblock {
    fn start(tree: &Arc<Tree>, side: Side, at: PathBuf) -> Result<Self, Error> {
        let device = File::options().read(true).write(true).open("/dev/fuse").named("open", "/dev/fuse")?;
        let mounted = Mounted::new(at, |at| mount_fuse(&device, at))?;
        let session = Session::start(Fuse::new(Arc::clone(tree), side), device.into())
            .named("serve", mounted.path())?;
        Ok(Self { mounted, session })
    }

    fn stop(self) -> Result<(), Error> {
        let at = self.mounted.path().to_path_buf();
        self.mounted.unmount()?;
        match self.session.join(PATIENCE) {
            Some(result) => result.named("serve", at),
            None => Err(Error::Busy { path: at }),
        }
    }
}

/// Permissions are checked by the kernel (`default_permissions`), for whoever comes (`allow_other`).
fn mount_fuse(device: &File, at: &Path) -> Result<(), Error> {
    let fd = device.as_raw_fd();
    let data = format!(
        "fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,max_read={LARGEST}\0"
    );
    let data = std::ffi::CStr::from_bytes_with_nul(data.as_bytes()).expect("one zero byte, at the end");
    let flags = MountFlags::RDONLY | MountFlags::NOATIME | MountFlags::NOSUID | MountFlags::NODEV;
    mount("rbuild", at, "fuse.rbuild", flags, data).named("mount fuse at", at)
}
