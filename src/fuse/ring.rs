//! The transport through rings: one on every possible CPU, each with threads pinned there.
//!
//! The kernel hands a request to the ring of the CPU that the caller runs on. Pinned there, the thread that answers takes
//! turns with the caller on one CPU; it is not woken on another, which is what a request costs most. The caller would be:
//! while a thread of the crew still runs, the scheduler moves the caller to a CPU that is idle, nearly every time. So each
//! ring has a companion too (see [`super::turns`]), which leaves the caller where it is.

use std::fs::File;

use rbuild_userns::fuse::{Arrived, Queue, Waited};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::answer::{Answered, answer};
use super::body::Body;
use super::device::answer_head;
use super::filesystem::Filesystem;
use super::input::Input;
use super::request::{Header, Operation};
use super::session::{NoRings, Shared};
use super::turns::{Member, Seat};
use super::{Errno, Error, Features, LARGEST, opcode};

/// Requests under way on one CPU.
const DEPTH: usize = 4;

/// Every CPU costs a thread and memory, and a container's limit of processes may be low: beyond this, the device serves.
const MOST_CPUS: u16 = 64;

/// Names and attributes that come with a request; larger is only what is to be written.
const NAMES: usize = 128 << 10;

/// A ring's queue and the CPU it belongs to.
pub struct CpuQueue {
    cpu: u16,
    queue: Queue,
}

/// A queue for every CPU, or why there is none: the kernel does not offer it, or something (a seccomp filter,
/// `io_uring_disabled`, a limit) refuses us a ring. All are made before the kernel is told that there are any, for then it
/// waits for all.
pub fn prepare(offered: Features, device: &File) -> Result<Vec<CpuQueue>, NoRings> {
    if !offered.contains(Features::OVER_IO_URING) {
        return Err(NoRings::NotOffered);
    }
    let cpus = possible_cpus().ok_or(NoRings::Uncounted)?;
    if cpus > MOST_CPUS {
        return Err(NoRings::TooManyCpus(cpus));
    }
    let queue = |cpu| match Queue::new(device, cpu, DEPTH, LARGEST as usize) {
        Ok(queue) => Ok(CpuQueue { cpu, queue }),
        Err(error) => Err(NoRings::Refused(error.to_string())),
    };
    (0..cpus).map(queue).collect()
}

fn possible_cpus() -> Option<u16> {
    count(&std::fs::read_to_string("/sys/devices/system/cpu/possible").ok()?)
}

/// How many CPUs a list like `0-3,8` names; the kernel counts its queues in the same way.
fn count(list: &str) -> Option<u16> {
    list.trim().split(',').try_fold(0_u16, |sum, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let length = last.parse::<u16>().ok()?.checked_sub(first.parse().ok()?)?.checked_add(1)?;
        sum.checked_add(length)
    })
}

/// Whose part a thread at a ring has.
pub enum Part {
    /// One of the crew, which makes the ring known to the kernel.
    Crew(Member),
    Companion(Seat),
}

impl Part {
    fn has_turn(&self) -> bool {
        match self {
            Self::Crew(crew) => crew.has_turn(),
            Self::Companion(seat) => seat.has_turn(),
        }
    }

    fn await_turn(&self) -> bool {
        match self {
            Self::Crew(crew) => crew.await_turn(),
            Self::Companion(seat) => seat.await_turn(),
        }
    }

    fn answer(&mut self, answer: impl FnOnce() -> Result<usize, Error>) -> Result<(), Error> {
        match self {
            Self::Crew(crew) => crew.answer(answer),
            // Others have their own rings.
            Self::Companion(seat) => seat.answer(None, answer),
        }
    }
}

/// Answers in its turns until the file system is unmounted.
pub fn serve<F: Filesystem>(shared: &Shared<F>, ring: &CpuQueue, mut part: Part) -> Result<(), Error> {
    let CpuQueue { cpu, queue } = ring;
    let mut here = CpuSet::new();
    here.set((*cpu).into());
    match sched_setaffinity(None, &here) {
        // INVAL: a CPU that our cpuset does not have, or that is off. Nobody near us runs there.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(errno) => return Err(super::refused("pin a thread to its CPU")(errno)),
    }
    if let Part::Crew(_) = part {
        queue.register()?;
    }
    let mut beside = vec![0; NAMES];
    loop {
        if !part.has_turn() {
            queue.flush()?;
            if !part.await_turn() {
                return Ok(());
            }
        }
        match queue.wait()? {
            Waited::Arrived(arrived) => part.answer(|| serve_one(shared, arrived, &mut beside))?,
            Waited::Nothing => {}
            Waited::Over => return Ok(()),
        }
    }
}

/// How many bytes request and answer had, but for their heads. `beside`: memory of ours. Request and answer share the
/// entry's payload, so the smaller of the two goes there.
fn serve_one<F: Filesystem>(
    shared: &Shared<F>,
    mut arrived: Arrived<'_>,
    beside: &mut [u8],
) -> Result<usize, Error> {
    let parts = arrived.parts();
    let asked = parts.length;
    let header = Header::decode(parts.header)?;
    let (read, write) = if header.opcode == opcode::WRITE {
        (&parts.payload[..parts.length], &mut *beside)
    } else {
        let read = &mut beside[..parts.length.min(NAMES)];
        read.copy_from_slice(&parts.payload[..read.len()]);
        (&*read, &mut *parts.payload)
    };
    let mut body = Body::new(write);
    let operation = Operation::decode(&header, Input::split(parts.structure, read), shared.agreed);
    let answered = operation
        .map_err(|_malformed| Errno::IO)
        .and_then(|operation| shared.guarded(|filesystem| answer(filesystem, &header, operation, &mut body)));
    let length = match answered {
        Ok(Answered::Yes) => body.finish(),
        // FORGET does not come this way; if it did, the entry must go back all the same.
        Ok(Answered::Never) => Ok(0),
        Err(errno) => Err(errno),
    };
    if let (Ok(length), opcode::WRITE) = (length, header.opcode) {
        parts.payload[..length].copy_from_slice(&beside[..length]);
    }
    let (errno, length) = (length.err().map_or(0, Errno::raw_os_error), length.unwrap_or(0));
    arrived.commit(answer_head(&header, errno, length), length)?;
    Ok(asked + length)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn cpus_are_counted() {
        for (list, cpus) in [("0\n", Some(1)), ("0-1\n", Some(2)), ("0-3,8,10-11", Some(7))] {
            assert_eq!(count(list), cpus, "{list:?}");
        }
        for list in ["", "x", "3-1", "0-70000", "0-65535"] {
            assert_eq!(count(list), None, "{list:?}");
        }
    }
}
