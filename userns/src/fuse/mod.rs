//! What the FUSE device is asked for beside reading and writing: clones of itself, and requests through `io_uring`.

mod queue;
mod region;
mod ring;

use std::fs::File;
use std::os::fd::{AsRawFd as _, RawFd};

use rustix::ioctl::{Setter, ioctl, opcode};

pub use queue::{Arrived, Parts, Queue, Waited};

use crate::error::{Error, refused};

/// `FUSE_DEV_IOC_CLONE`: makes this descriptor one more of the file system that another one serves.
const CLONE: rustix::ioctl::Opcode = opcode::read::<u32>(229, 0);

/// One more descriptor for the file system that `device` serves, with a queue of its own: the kernel keeps what was read
/// from each apart, so that threads do not contend for one lock.
pub fn clone_device(device: &File) -> Result<File, Error> {
    let clone = File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .map_err(refused("open /dev/fuse for one more thread"))?;
    // SAFETY: the request reads one descriptor's number through the pointer that a `Setter` passes, and writes nothing;
    // a number that is no FUSE device's is refused with EINVAL.
    let request = unsafe { Setter::<CLONE, RawFd>::new(device.as_raw_fd()) };
    // SAFETY: as above: the request is FUSE's, and `clone` is open for the call.
    unsafe { ioctl(&clone, request) }.map_err(refused("FUSE_DEV_IOC_CLONE"))?;
    Ok(clone)
}
