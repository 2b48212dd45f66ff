//! The transport of every kernel: one read(2) a request, one write(2) an answer, each thread on its own clone of the
//! device.

use std::fs::File;

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

/// Answers until the file system is unmounted.
pub fn serve<F: Filesystem>(shared: &Shared<F>, device: &File) -> Result<(), Error> {
    // Zeroed pages take no memory until a large request touches them.
    let mut input = vec![0; INPUT];
    let mut output = vec![0; ANSWER + LARGEST as usize];
    loop {
        let length = match rustix::io::read(device, &mut input[..]) {
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
