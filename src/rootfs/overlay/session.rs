//! The mount and the session that serves it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::mount::MountFlags;

use super::Overlay;
use super::fuse::Adapter;
use crate::fuse::{self, LARGEST};
use crate::rootfs::mounted::Mounted;
use crate::rootfs::trace::Listings;
use crate::rootfs::{Error, Named};

/// How long the last users of an unmounted file system (mount namespaces that are being torn down) may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mounted file system. Dropped without [`Session::unmount`], it is detached and served to its last user.
pub struct Session {
    mounted: Mounted,
    served: fuse::Session,
}

impl Session {
    /// Makes the directory `at`, mounts on it and starts the threads.
    pub fn mount(overlay: Arc<Overlay>, listings: Listings, at: &Path) -> Result<Self, Error> {
        // Opened here, inside the user namespace that mounts: the kernel refuses a descriptor from outside it.
        let device = File::options().read(true).write(true).open("/dev/fuse").named("open", "/dev/fuse")?;
        let mounted = Mounted::new(at.to_owned(), |at| mount_fuse(&device, at))?;
        let served =
            fuse::Session::start(Adapter::new(overlay, listings), device.into()).named("serve", at)?;
        Ok(Self { mounted, served })
    }

    pub fn path(&self) -> &Path {
        self.mounted.path()
    }

    /// Unmounts and waits until the last request is answered.
    pub fn unmount(self) -> Result<(), Error> {
        let path: PathBuf = self.mounted.path().to_owned();
        self.mounted.unmount()?;
        match self.served.join(PATIENCE) {
            Some(result) => result.named("serve", path),
            None => Err(Error::Busy { path }),
        }
    }
}

fn mount_fuse(device: &File, at: &Path) -> Result<(), Error> {
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other,max_read={LARGEST}\0",
        device.as_raw_fd(),
    );
    let options = std::ffi::CStr::from_bytes_with_nul(options.as_bytes()).map_err(io::Error::other)?;
    // Devices never open from here: a step's /dev is its own tmpfs, and a device node in an image is only a row.
    rustix::mount::mount("rbuild", at, "fuse.rbuild", MountFlags::NODEV, options).named("mount fuse at", at)
}
