//! The transport of every kernel: one read(2) a request, one write(2) an answer, each thread on its own clones of the
//! device.
//!
//! To wake a thread that sleeps on another CPU costs more than most answers do, above all in a virtual machine, and most
//! callers ask again as soon as they are answered. So one thread at a time looks for the next request for a moment before
//! it sleeps: untar takes 0.6 times as long as without (`contrib/bench/fuse`, two CPUs).

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use rbuild_userns::fuse::clone_device;
use rustix::fs::{OFlags, fcntl_setfl};

use super::answer::{Answered, answer};
use super::body::Body;
use super::filesystem::Filesystem;
use super::input::Input;
use super::request::{HEADER, Header, Operation};
use super::session::Shared;
use super::{Errno, Error, LARGEST, refused};

/// Room for the largest request: a WRITE with its structure, and names beside.
const INPUT: usize = LARGEST as usize + 4096;

/// `struct fuse_out_header`
const ANSWER: usize = 16;

/// How long a thread looks for a request before it sleeps.
const LOOK: Duration = Duration::from_micros(60);

/// How many requests a thread sleeps for, at most, after looks in vain, before it looks again.
const PATIENCE: u32 = 63;

/// A thread's ways to the device. An answer goes the way that its request came.
pub struct Reader {
    /// Its reads wait for a request.
    patient: File,
    /// Its reads say at once that there is none. `None`: this thread always sleeps.
    eager: Option<File>,
    /// How many requests to sleep for after the next look in vain, and how many of them are to come.
    patience: u32,
    left: u32,
}

impl Reader {
    /// One that sleeps until there is a request.
    pub fn patient(device: File) -> Self {
        Self { patient: device, eager: None, patience: 0, left: 0 }
    }

    /// One that looks before it sleeps, where the caller is likely to have a CPU meanwhile.
    pub fn eager(device: File) -> Result<Self, Error> {
        if available_parallelism().is_ok_and(|cpus| cpus.get() == 1) {
            return Ok(Self::patient(device));
        }
        let eager = clone_device(&device)?;
        fcntl_setfl(&eager, OFlags::NONBLOCK).map_err(refused("fcntl"))?;
        Ok(Self { eager: Some(eager), ..Self::patient(device) })
    }

    /// The next request, and the way for its answer. `looking`: another thread does.
    fn read(&mut self, looking: &AtomicBool, input: &mut [u8]) -> (Result<usize, Errno>, &File) {
        match self.look(looking, input) {
            Some(read) => (read, self.eager.as_ref().unwrap_or(&self.patient)),
            None => (rustix::io::read(&self.patient, input), &self.patient),
        }
    }

    /// A request that comes within a moment.
    fn look(&mut self, looking: &AtomicBool, input: &mut [u8]) -> Option<Result<usize, Errno>> {
        let eager = self.eager.as_ref()?;
        if self.left > 0 {
            self.left -= 1;
            return None;
        }
        if looking.swap(true, Ordering::Acquire) {
            return None;
        }
        let end = Instant::now() + LOOK;
        let found = loop {
            match rustix::io::read(eager, &mut *input) {
                Err(Errno::AGAIN) if Instant::now() < end => std::hint::spin_loop(),
                Err(Errno::AGAIN) => break None,
                read => break Some(read),
            }
        };
        looking.store(false, Ordering::Release);
        self.patience = if found.is_some() { 0 } else { (2 * self.patience + 1).min(PATIENCE) };
        self.left = self.patience;
        found
    }
}

/// Answers until the file system is unmounted.
pub fn serve<F: Filesystem>(shared: &Shared<F>, mut reader: Reader) -> Result<(), Error> {
    // Zeroed pages take no memory until a large request touches them.
    let mut input = vec![0; INPUT];
    let mut output = vec![0; ANSWER + LARGEST as usize];
    loop {
        let (read, device) = reader.read(&shared.looking, &mut input);
        let length = match read {
            Ok(length) => length,
            // NOENT: the caller was interrupted before its request could be read.
            Err(Errno::INTR | Errno::AGAIN | Errno::NOENT) => continue,
            Err(Errno::NODEV) => return Ok(()),
            Err(errno) => return Err(refused("read a fuse request")(errno)),
        };
        let header = Header::decode(&input[..length])?;
        let (head, place) = output.split_at_mut(ANSWER);
        let mut body = Body::new(place);
        let answered = Operation::decode(&header, Input::whole(&input[HEADER..length]), shared.agreed)
            .map(|operation| shared.guarded(|filesystem| answer(filesystem, &header, operation, &mut body)));
        let (errno, length) = match answered {
            Ok(Ok(Answered::Never)) => continue,
            Ok(Ok(Answered::Yes)) => match body.finish() {
                Ok(length) => (0, length),
                Err(errno) => (errno.raw_os_error(), 0),
            },
            Ok(Err(errno)) => (errno.raw_os_error(), 0),
            Err(_malformed) => (Errno::IO.raw_os_error(), 0),
        };
        head.copy_from_slice(&answer_head(&header, errno, length));
        match rustix::io::write(device, &output[..ANSWER + length]) {
            // NOENT: the caller is gone. NODEV: so is the file system, which the next read says too.
            Ok(_) | Err(Errno::NOENT | Errno::NODEV | Errno::INTR) => {}
            Err(errno) => return Err(refused("answer a fuse request")(errno)),
        }
    }
}

/// `struct fuse_out_header` of an answer with a body of `length` bytes.
pub fn answer_head(header: &Header, errno: i32, length: usize) -> [u8; ANSWER] {
    let mut head = [0; ANSWER];
    let mut fields = Body::new(&mut head);
    // Both are bounded by LARGEST.
    fields.u32(u32::try_from(ANSWER + length).unwrap_or(u32::MAX));
    fields.u32(errno.wrapping_neg().cast_unsigned());
    fields.u64(header.unique);
    head
}
