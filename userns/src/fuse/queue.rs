//! FUSE requests through a ring: the queue of one CPU (Linux, Documentation/filesystems/fuse/fuse-io-uring.rst).
//!
//! An entry is memory for one request. REGISTER lends it to the kernel; it comes back with a request in it; COMMIT lends
//! it again with the answer and fetches the next request in the same call.

use std::fs::File;
use std::mem::take;
use std::os::fd::AsRawFd as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::region::Region;
use super::ring::{Door, Ring, Submission};
use crate::error::{Error, refused};

/// `struct fuse_uring_req_header`: 128 bytes of the request's header, 128 of the operation's structure, and 32 with the
/// number of the answer and the length of what follows.
const STRUCTURE: usize = 128;
const MORE: usize = 256;
const COMMIT_ID: usize = MORE + 8;
const PAYLOAD_LENGTH: usize = MORE + 16;
const HEADERS: usize = MORE + 32;
/// Behind it in the same page: the `struct iovec`s of headers and payload.
const VECTORS: usize = 512;
/// The payload begins on the next page.
const PAYLOAD: usize = 4096;

/// `IORING_OP_URING_CMD`
const URING_CMD: u8 = 46;
/// `FUSE_IO_URING_CMD_REGISTER`
const REGISTER: u32 = 1;
/// `FUSE_IO_URING_CMD_COMMIT_AND_FETCH`
const COMMIT_AND_FETCH: u32 = 2;

/// The queue of one CPU. Threads may take turns at it: each waits without keeping the others off, and has the queue for
/// itself while it holds a request.
#[derive(Debug)]
pub struct Queue {
    door: Door,
    entries: Mutex<Entries>,
}

#[derive(Debug)]
struct Entries {
    ring: Ring,
    device: File,
    number: u16,
    /// Of each entry, its memory. Lent to the kernel or held by an [`Arrived`].
    memory: Vec<Region>,
    /// How many entries the kernel may still write to.
    lent: usize,
    /// Submissions that were pushed and that nobody has handed over yet.
    pushed: u32,
}

/// What comes of waiting.
#[derive(Debug)]
pub enum Waited<'a> {
    /// A request.
    Arrived(Arrived<'a>),
    /// Nothing that another thread has not taken.
    Nothing,
    /// The file system is unmounted, or the kernel takes no more of this queue.
    Over,
}

/// A request in its entry's memory.
#[derive(Debug)]
pub struct Arrived<'a> {
    entries: MutexGuard<'a, Entries>,
    entry: usize,
}

/// What an entry's memory holds.
#[derive(Debug)]
pub struct Parts<'a> {
    /// `struct fuse_in_header`, 40 bytes and more.
    pub header: &'a [u8],
    /// The operation's own structure, and rubbish behind it.
    pub structure: &'a [u8],
    /// How many bytes of `payload` belong to the request.
    pub length: usize,
    /// Names and data; the answer's place.
    pub payload: &'a mut [u8],
}

impl Queue {
    /// The queue of CPU `number` with `depth` entries of `payload` bytes, for the file system that `device` serves.
    pub fn new(device: &File, number: u16, depth: usize, payload: usize) -> Result<Self, Error> {
        let ring = Ring::new(u32::try_from(depth.next_power_of_two()).unwrap_or(u32::MAX))?;
        let door = ring.door()?;
        let device = device.try_clone().map_err(refused("duplicate /dev/fuse"))?;
        let memory = (0..depth).map(|_| Region::zeroed(PAYLOAD + payload)).collect::<Result<_, _>>();
        let memory = memory.map_err(refused("map memory for requests"))?;
        Ok(Self { door, entries: Mutex::new(Entries { ring, device, number, memory, lent: 0, pushed: 0 }) })
    }

    /// Lends all entries to the kernel. An entry comes back through the thread that lent it last, which must be there.
    pub fn register(&self) -> Result<(), Error> {
        self.entries().register()?;
        self.flush()
    }

    /// Waits for the next request. What was committed is handed over with this.
    pub fn wait(&self) -> Result<Waited<'_>, Error> {
        if let found @ (Waited::Arrived(_) | Waited::Over) = self.find() {
            return Ok(found);
        }
        let pushed = take(&mut self.entries().pushed);
        self.door.submit_and_wait(pushed).map_err(refused("wait for a fuse request"))?;
        Ok(self.find())
    }

    /// Hands over what was committed. A thread does that before it leaves the queue to another one.
    pub fn flush(&self) -> Result<(), Error> {
        match take(&mut self.entries().pushed) {
            0 => Ok(()),
            pushed => self.door.submit(pushed).map_err(refused("submit to a ring")),
        }
    }

    fn find(&self) -> Waited<'_> {
        let mut entries = self.entries();
        match entries.find() {
            Found::Entry(entry) => Waited::Arrived(Arrived { entries, entry }),
            Found::Nothing => Waited::Nothing,
            Found::Over => Waited::Over,
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Found {
    Entry(usize),
    Nothing,
    Over,
}

impl Entries {
    fn register(&mut self) -> Result<(), Error> {
        for entry in 0..self.memory.len() {
            let region = &mut self.memory[entry];
            let headers = region.at::<[u8; HEADERS]>(0) as usize as u64;
            let payload = region.at::<u8>(PAYLOAD) as usize as u64;
            let length = (region.length() - PAYLOAD) as u64;
            let vectors = region.at::<[u64; 4]>(VECTORS);
            // SAFETY: `at` has checked the place, and the kernel has not been lent the region yet.
            unsafe { vectors.write([headers, HEADERS as u64, payload, length]) };
            let mut submission = self.submission(REGISTER, 0, entry);
            submission[16..24].copy_from_slice(&(vectors as usize as u64).to_ne_bytes());
            submission[24..28].copy_from_slice(&2_u32.to_ne_bytes());
            self.lend(&submission)?;
        }
        Ok(())
    }

    /// `struct io_uring_sqe` of 128 bytes, with `struct fuse_uring_cmd_req` in its command area.
    fn submission(&self, command: u32, commit_id: u64, entry: usize) -> Submission {
        let mut submission = [0; size_of::<Submission>()];
        submission[0] = URING_CMD;
        submission[4..8].copy_from_slice(&self.device.as_raw_fd().to_ne_bytes());
        submission[8..12].copy_from_slice(&command.to_ne_bytes());
        submission[32..40].copy_from_slice(&(entry as u64).to_ne_bytes());
        submission[56..64].copy_from_slice(&commit_id.to_ne_bytes());
        submission[64..66].copy_from_slice(&self.number.to_ne_bytes());
        submission
    }

    fn lend(&mut self, submission: &Submission) -> Result<(), Error> {
        // SAFETY: it points to an entry's region, which `find` hands out again only when its completion has come, and
        // which `drop` does not unmap before.
        unsafe { self.ring.push(submission) }.map_err(refused("submit to a ring"))?;
        self.lent += 1;
        self.pushed += 1;
        Ok(())
    }

    /// An entry that has come back with a request.
    fn find(&mut self) -> Found {
        while let Some(completion) = self.ring.next() {
            let entry = usize::try_from(completion.mark).unwrap_or(usize::MAX);
            // An error is not about a request: the kernel keeps nothing in this entry any more. ENOTCONN when all is
            // over; what else it may be (ENOMEM at REGISTER) makes it use the device instead.
            let arrived = completion.result >= 0 && entry < self.memory.len();
            if !arrived && self.lent == 1 {
                // It stays there: whoever waits finds it as well.
                return Found::Over;
            }
            self.ring.reaped();
            self.lent -= 1;
            if arrived {
                return Found::Entry(entry);
            }
        }
        Found::Nothing
    }
}

impl Arrived<'_> {
    /// The request.
    pub fn parts(&mut self) -> Parts<'_> {
        let region = &mut self.entries.memory[self.entry];
        // SAFETY: the entry has come back (`find`), and the kernel does not touch it before it is lent again (`commit`),
        // which ends this borrow.
        let bytes = unsafe { region.bytes_mut() };
        let (page, payload) = bytes.split_at_mut(PAYLOAD);
        let length = u32::from_ne_bytes(page[PAYLOAD_LENGTH..][..4].try_into().unwrap_or_default());
        Parts {
            header: &page[..STRUCTURE],
            structure: &page[STRUCTURE..MORE],
            length: (length as usize).min(payload.len()),
            payload,
        }
    }

    /// Answers with `head` (`struct fuse_out_header`) and the first `length` bytes of the payload, and fetches the next
    /// request. Both happen with the next [`Queue::wait`] or [`Queue::flush`].
    pub fn commit(self, head: [u8; 16], length: usize) -> Result<(), Error> {
        let Self { mut entries, entry } = self;
        // SAFETY: as in `parts`.
        let bytes = unsafe { entries.memory[entry].bytes_mut() };
        bytes[..16].copy_from_slice(&head);
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        bytes[PAYLOAD_LENGTH..][..4].copy_from_slice(&length.to_ne_bytes());
        let commit_id = u64::from_ne_bytes(bytes[COMMIT_ID..][..8].try_into().unwrap_or_default());
        let submission = entries.submission(COMMIT_AND_FETCH, commit_id, entry);
        entries.lend(&submission)
    }
}

impl Drop for Entries {
    /// Entries that the kernel may still write to are never unmapped: something else could come to lie there.
    fn drop(&mut self) {
        if self.lent > 0 {
            self.memory.drain(..).for_each(std::mem::forget);
        }
    }
}
