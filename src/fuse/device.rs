//! The transport of every kernel: one read(2) a request, one write(2) an answer, each thread of the crew on its own clone
//! of the device.

use std::fs::File;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::answer::{Answered, answer};
use super::body::Body;
use super::filesystem::Filesystem;
use super::input::Input;
use super::request::{HEADER, Header, Operation};
use super::session::Shared;
use super::turns::Member;
use super::{Errno, Error, LARGEST, refused};

/// Room for the largest request: a WRITE with its structure, and names beside.
const INPUT: usize = LARGEST as usize + 4096;

/// `struct fuse_out_header`
const ANSWER: usize = 16;

/// Answers whenever it is the crew's turn, until the file system is unmounted.
pub fn serve<F: Filesystem>(shared: &Shared<F>, device: &File, crew: &Member) -> Result<(), Error> {
    let mut reader = Reader::new(device);
    while crew.await_turn() {
        let Some(request) = reader.read()? else { return Ok(()) };
        crew.answer(|| reader.answer(shared, &request))?;
    }
    Ok(())
}

/// Whether a request waits to be read.
pub fn pending(device: &File) -> bool {
    let mut polled = [PollFd::new(device, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut polled, Some(&at_once)) {
        Ok(_) => polled[0].revents().contains(PollFlags::IN),
        // The next look will tell.
        Err(Errno::INTR | Errno::AGAIN) => false,
        // Whoever reads next is told as well.
        Err(_) => true,
    }
}

/// One thread's end of the device.
pub struct Reader<'a> {
    device: &'a File,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// A request in its reader's memory.
pub struct Request {
    pub header: Header,
    /// Of the whole message, in bytes.
    length: usize,
}

impl<'a> Reader<'a> {
    pub fn new(device: &'a File) -> Self {
        // Zeroed pages take no memory until a large request touches them.
        Self { device, input: vec![0; INPUT], output: vec![0; ANSWER + LARGEST as usize] }
    }

    /// Waits for a request. `None`: the file system is unmounted.
    pub fn read(&mut self) -> Result<Option<Request>, Error> {
        loop {
            return match rustix::io::read(self.device, &mut self.input[..]) {
                Ok(length) => Ok(Some(Request { header: Header::decode(&self.input[..length])?, length })),
                // NOENT: the caller was interrupted before its request could be read.
                Err(Errno::INTR | Errno::AGAIN | Errno::NOENT) => continue,
                Err(Errno::NODEV) => Ok(None),
                Err(errno) => Err(refused("read a fuse request")(errno)),
            };
        }
    }

    /// Answers the request that was read last. How many bytes it and its answer had, in all.
    pub fn answer<F: Filesystem>(
        &mut self,
        shared: &Shared<F>,
        Request { header, length }: &Request,
    ) -> Result<usize, Error> {
        let (head, place) = self.output.split_at_mut(ANSWER);
        let mut body = Body::new(place);
        let input = Input::whole(&self.input[HEADER..*length]);
        let answered = Operation::decode(header, input, shared.agreed)
            .map(|operation| shared.guarded(|filesystem| answer(filesystem, header, operation, &mut body)));
        let (errno, answer) = match answered {
            Ok(Ok(Answered::Never)) => return Ok(*length),
            Ok(Ok(Answered::Yes)) => match body.finish() {
                Ok(length) => (0, length),
                Err(errno) => (errno.raw_os_error(), 0),
            },
            Ok(Err(errno)) => (errno.raw_os_error(), 0),
            Err(_malformed) => (Errno::IO.raw_os_error(), 0),
        };
        head.copy_from_slice(&answer_head(header, errno, answer));
        match rustix::io::write(self.device, &self.output[..ANSWER + answer]) {
            // NOENT: the caller is gone. NODEV: so is the file system, which the next read says too.
            Ok(_) | Err(Errno::NOENT | Errno::NODEV | Errno::INTR) => Ok(length + answer),
            Err(errno) => Err(refused("answer a fuse request")(errno)),
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
