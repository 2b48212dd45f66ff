//! Sparse files: GNU tar's old headers, and its PAX versions 0.0, 0.1 and 1.0 (tar manual, "Storing Sparse Files").
//!
//! Each says the same: which ranges of the file have bytes on tape, one after the other; the rest are holes.

use std::io::Read;

use tar_core::Header;

use super::members::{BLOCK, number};
use super::tape::Tape;
use super::{Error, Fault, pax};

/// Ranges of one file; a disk image of a terabyte in pieces of 4 MiB has as many.
const RANGES: usize = 1 << 18;
/// The longest file that ext4 holds: 16 TiB. A map can announce any length for free.
const LONGEST: u64 = 1 << 44;

/// Bytes of one range in an old GNU header.
const RANGE: usize = 24;
/// Where an old GNU header has its first four ranges; then comes the mark that blocks with more follow.
const IN_HEADER: std::ops::Range<usize> = 386..386 + 4 * RANGE;
/// Where a following block has its 21 ranges; then comes the same mark.
const IN_BLOCK: usize = 21 * RANGE;

/// Bytes of a file that are on tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Offset in the file.
    pub(super) file: u64,
    /// Offset in the tar.
    pub(super) tar: u64,
    /// Never 0.
    pub(super) len: u64,
}

/// A map as it was announced: offset, length, offset, length, …
pub(super) struct Announced {
    pub(super) size: u64,
    pub(super) map: Vec<u64>,
}

/// Anything that may end reading a map: the tape's error, or the entry's fault.
pub(super) enum Refusal {
    Tape(Error),
    Entry(Fault),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Tape(error)
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Entry(fault)
    }
}

impl Announced {
    /// An entry of type `S`: four ranges in the header, 21 more in each block behind it.
    pub(super) fn old_gnu<R: Read>(header: &Header, tape: &mut Tape<R>) -> Result<Self, Refusal> {
        let gnu = header.try_as_gnu().ok_or(Fault::Sparse("the header is not GNU's"))?;
        let size = number(&gnu.realsize).and_then(|size| u64::try_from(size).ok());
        let mut map = Vec::new();
        push_ranges(&mut map, &header.as_bytes()[IN_HEADER])?;
        let mut more = gnu.is_extended();
        while more {
            let block = read_block(tape)?;
            push_ranges(&mut map, &block[..IN_BLOCK])?;
            more = block[IN_BLOCK] == 1;
        }
        Ok(Self { size: size.ok_or(Fault::Number("realsize"))?, map })
    }

    /// Versions 0.0 and 0.1, wholly inside the PAX header, and 1.0, whose map is the start of the data. Returns the map
    /// and how many bytes of data it took; `None` where the file is not sparse.
    pub(super) fn pax<R: Read>(
        sparse: &mut pax::Sparse,
        stored: u64,
        tape: &mut Tape<R>,
    ) -> Result<Option<(Self, u64)>, Refusal> {
        let size = |sparse: &pax::Sparse| sparse.size.ok_or(Fault::Sparse("no real size"));
        if (sparse.major, sparse.minor) == (Some(1), Some(0)) {
            let size = size(sparse)?;
            let (map, taken) = map_in_data(stored, tape)?;
            return Ok(Some((Self { size, map }, taken)));
        }
        match sparse.map.take() {
            Some(map) => Ok(Some((Self { size: size(sparse)?, map }, 0))),
            None => Ok(None),
        }
    }

    /// Lays the ranges on tape from offset `at`. They must be in order, inside the file, and fill `stored` bytes.
    pub(super) fn lay(&self, at: u64, stored: u64) -> Result<Vec<Extent>, Fault> {
        if self.size > LONGEST {
            return Err(Fault::Sparse("the file is longer than 16 TiB"));
        }
        let (ranges, odd) = self.map.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(Fault::Sparse("an offset has no length"));
        }
        if ranges.len() > RANGES {
            return Err(Fault::Sparse("too many ranges"));
        }
        let mut extents = Vec::with_capacity(ranges.len());
        let (mut end, mut taken) = (0, 0);
        for &[file, len] in ranges {
            let next = file.checked_add(len).filter(|next| file >= end && *next <= self.size);
            end = next.ok_or(Fault::Sparse("ranges overlap or leave the file"))?;
            // `taken` never exceeds `end`, so it cannot wrap; a range of no bytes only marks the file's end.
            if len > 0 {
                extents.push(Extent { file, tar: at + taken, len });
            }
            taken += len;
        }
        if taken != stored {
            return Err(Fault::Sparse("ranges and data differ in length"));
        }
        Ok(extents)
    }
}

/// Appends the ranges of an old GNU header: pairs of 12-byte fields, up to the first empty one.
fn push_ranges(map: &mut Vec<u64>, table: &[u8]) -> Result<(), Fault> {
    let (ranges, _) = table.as_chunks::<RANGE>();
    for range in ranges {
        let (offset, len) = range.split_at(RANGE / 2);
        if offset[0] == 0 || len[0] == 0 {
            break;
        }
        for field in [offset, len] {
            let value = number(field).and_then(|value| u64::try_from(value).ok());
            map.push(value.ok_or(Fault::Number("sparse"))?);
        }
    }
    if map.len() > 2 * RANGES {
        return Err(Fault::Sparse("too many ranges"));
    }
    Ok(())
}

fn read_block<R: Read>(tape: &mut Tape<R>) -> Result<[u8; BLOCK], Refusal> {
    let mut block = [0; BLOCK];
    let filled = tape.fill(&mut block)?;
    if filled < BLOCK {
        return Err(Fault::Truncated { missing: (BLOCK - filled) as u64 }.into());
    }
    Ok(block)
}

/// Version 1.0: decimal numbers on lines of their own: the count, then offsets and lengths; padded to a block.
fn map_in_data<R: Read>(stored: u64, tape: &mut Tape<R>) -> Result<(Vec<u64>, u64), Refusal> {
    let mut lines = Lines { text: Vec::new(), parsed: 0, taken: 0, stored };
    let ranges = usize::try_from(lines.next(tape)?).ok().filter(|ranges| *ranges <= RANGES);
    let ranges = ranges.ok_or(Fault::Sparse("too many ranges"))?;
    // Not allocated up front: the count is only a claim.
    let mut map = Vec::new();
    for _ in 0..2 * ranges {
        map.push(lines.next(tape)?);
    }
    Ok((map, lines.taken))
}

struct Lines {
    text: Vec<u8>,
    parsed: usize,
    /// Bytes taken from the tape, in whole blocks.
    taken: u64,
    stored: u64,
}

impl Lines {
    fn next<R: Read>(&mut self, tape: &mut Tape<R>) -> Result<u64, Refusal> {
        loop {
            let line = &self.text[self.parsed..];
            if let Some(end) = line.iter().position(|&b| b == b'\n') {
                let value = pax::number(&line[..end]).ok_or(Fault::Sparse("a line is no number"))?;
                self.parsed += end + 1;
                return Ok(value);
            }
            if line.len() > BLOCK {
                return Err(Fault::Sparse("a line is no number").into());
            }
            if self.taken + BLOCK as u64 > self.stored.next_multiple_of(BLOCK as u64) {
                return Err(Fault::Sparse("the map is longer than the data").into());
            }
            self.text.drain(..self.parsed);
            self.parsed = 0;
            self.text.extend_from_slice(&read_block(tape)?);
            self.taken += BLOCK as u64;
        }
    }
}
