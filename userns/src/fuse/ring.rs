//! A ring of `io_uring` with entries of 128 bytes, as FUSE wants them. One thread at a time submits and reaps; any may wait.
//!
//! Only what this needs: Linux 6.14 is the first with FUSE over `io_uring`, so everything that a ring has had by then is
//! taken for granted.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::io_uring::{
    IORING_OFF_SQ_RING, IORING_OFF_SQES, IoringEnterFlags, IoringSetupFlags, io_uring_enter, io_uring_params,
    io_uring_setup,
};

use super::region::Region;
use crate::error::{Error, refused};

/// One entry of the submission queue (`IORING_SETUP_SQE128`).
pub type Submission = [u8; 128];

/// What became of a submission.
#[derive(Clone, Copy, Debug)]
pub struct Completion {
    /// What the submission was marked with.
    pub mark: u64,
    /// 0 or a negative errno.
    pub result: i32,
}

/// `struct io_uring_cqe`: mark, result, flags.
type RawCompletion = (u64, i32, u32);
const COMPLETION: usize = 16;

#[derive(Debug)]
pub struct Ring {
    /// Dropped before the mappings, so that the kernel lets go of them first.
    fd: OwnedFd,
    queues: Region,
    entries: Region,
    params: io_uring_params,
}

// SAFETY: the raw pointers in `params` are offsets and reserved fields that nobody follows.
unsafe impl Send for Ring {}

impl Ring {
    /// A ring that takes `entries` submissions at once.
    pub fn new(entries: u32) -> Result<Self, Error> {
        let flags = IoringSetupFlags::SQE128 | IoringSetupFlags::NO_SQARRAY | IoringSetupFlags::COOP_TASKRUN;
        let mut params = io_uring_params::default();
        params.flags = flags;
        // SAFETY: `params` is live for the call, the kernel fills it, and no flag makes it follow a pointer in it.
        let fd = unsafe { io_uring_setup(entries, &mut params) }.map_err(refused("io_uring_setup"))?;
        // Both queues have shared one mapping since Linux 5.4 (IORING_FEAT_SINGLE_MMAP).
        let length = params.cq_off.cqes as usize + params.cq_entries as usize * COMPLETION;
        let queues =
            Region::shared(&fd, IORING_OFF_SQ_RING, length).map_err(refused("map the queues of a ring"))?;
        let length = params.sq_entries as usize * size_of::<Submission>();
        let entries =
            Region::shared(&fd, IORING_OFF_SQES, length).map_err(refused("map the entries of a ring"))?;
        Ok(Self { fd, queues, entries, params })
    }

    fn number(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: `at` has checked place and alignment; kernel and we touch these numbers only as atomics.
        unsafe { AtomicU32::from_ptr(self.queues.at(offset as usize)) }
    }

    /// Adds a submission, which the kernel sees when it is submitted at the [`Door`].
    ///
    /// Errors with EBUSY if the queue is full.
    ///
    /// # Safety
    /// What the submission points to stays valid, and is left alone, until its completion has come.
    pub unsafe fn push(&mut self, submission: &Submission) -> Result<(), Errno> {
        let tail = self.number(self.params.sq_off.tail);
        let next = tail.load(Ordering::Relaxed);
        let head = self.number(self.params.sq_off.head).load(Ordering::Acquire);
        if next.wrapping_sub(head) >= self.params.sq_entries {
            return Err(Errno::BUSY);
        }
        // The length is a power of two.
        let slot = (next & (self.params.sq_entries - 1)) as usize * size_of::<Submission>();
        // SAFETY: `at` has checked the place; the kernel does not read a slot between its head and our tail.
        unsafe { self.entries.at::<Submission>(slot).write(*submission) };
        tail.store(next.wrapping_add(1), Ordering::Release);
        Ok(())
    }

    /// A second descriptor, to submit and to wait by.
    pub fn door(&self) -> Result<Door, Error> {
        self.fd.try_clone().map(Door).map_err(refused("duplicate a ring"))
    }

    /// The next completion that is there already. It stays there until it is [`Ring::reaped`].
    pub fn next(&self) -> Option<Completion> {
        let next = self.number(self.params.cq_off.head).load(Ordering::Relaxed);
        if next == self.number(self.params.cq_off.tail).load(Ordering::Acquire) {
            return None;
        }
        let slot = (next & (self.params.cq_entries - 1)) as usize * COMPLETION;
        let place = self.queues.at::<RawCompletion>(self.params.cq_off.cqes as usize + slot).cast::<u8>();
        // SAFETY: `at` has checked the place, and the kernel does not write a slot between our head and its tail.
        let bytes: [u8; COMPLETION] = unsafe { place.cast::<[u8; COMPLETION]>().read() };
        let (mark, rest) = bytes.split_first_chunk()?;
        Some(Completion { mark: u64::from_ne_bytes(*mark), result: i32::from_ne_bytes(*rest.first_chunk()?) })
    }

    /// Gives the place of the completion that [`Ring::next`] returned back to the kernel.
    pub fn reaped(&mut self) {
        let head = self.number(self.params.cq_off.head);
        head.store(head.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }
}

/// Where a ring is submitted to and waited at, by any thread.
#[derive(Debug)]
pub struct Door(OwnedFd);

impl Door {
    /// Hands over up to `count` submissions that were pushed.
    pub fn submit(&self, count: u32) -> Result<(), Errno> {
        self.enter(count, 0)
    }

    /// The same, and waits until something is complete.
    pub fn submit_and_wait(&self, count: u32) -> Result<(), Errno> {
        self.enter(count, 1)
    }

    fn enter(&self, count: u32, complete: u32) -> Result<(), Errno> {
        loop {
            // SAFETY: plain numbers; `push` vouched for what the submissions point to.
            match unsafe { io_uring_enter(&self.0, count, complete, IoringEnterFlags::GETEVENTS) } {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}
