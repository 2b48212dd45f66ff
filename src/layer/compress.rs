//! Packing a layer for the wire, on all cores.
//!
//! The stream is cut into pieces of fixed length, each a gzip member or zstd frame of its own; readers of both formats
//! take them in a row as one stream. The bytes depend on the input and the libraries' versions alone, not on the number
//! of cores. Members of 1 MiB cost half a percent of size.

use std::io::{self, Read, Write};

use flate2::write::GzEncoder;
use rayon::prelude::*;

use super::tape::fill_from;
use super::{Compression, Error};
use crate::oci::{Digest, Hasher};

/// Length of what goes into one gzip member, in bytes.
const MEMBER: usize = 1 << 20;
/// Length of what goes into one zstd frame: its window wants more than gzip's 32 KiB.
const FRAME: usize = 4 << 20;
/// Bytes of input held at once at most, however many cores there are; or one piece per core.
const IN_FLIGHT: usize = 64 << 20;

/// Packs `source` into `out`; gzip as 1 MiB members in parallel, zstd level 3 as 4 MiB frames. Deterministic. Returns
/// (digest, size) of what was written.
pub fn compress(
    compression: Compression,
    source: &mut dyn Read,
    out: &mut (dyn Write + Send),
) -> Result<(Digest, u64), Error> {
    let length = if compression == Compression::Zstd { FRAME } else { MEMBER };
    let threads = rayon::current_num_threads();
    let count = (4 * threads).min(IN_FLIGHT / length).max(threads);
    let mut pieces = Vec::new();
    let (mut read, mut written, mut hasher) = (0, 0, Hasher::default());
    loop {
        let batch = fill_batch(&mut pieces, source, length, count)
            .map_err(|source| Error::Read { offset: read, source })?;
        read += batch.iter().map(|piece| piece.len() as u64).sum::<u64>();
        let ended = batch.len() < count;
        // An empty stream is one empty member.
        let batch = if read == 0 { &[Vec::new()][..] } else { batch };
        let packed: Vec<_> = batch.par_iter().map(|piece| pack(compression, piece)).collect();
        for packed in packed {
            let packed = packed.map_err(|source| Error::Read { offset: read, source })?;
            hasher.update(&packed);
            out.write_all(&packed).map_err(|source| Error::Write { offset: written, source })?;
            written += packed.len() as u64;
        }
        if ended {
            break;
        }
    }
    out.flush().map_err(|source| Error::Write { offset: written, source })?;
    Ok((hasher.finish(), written))
}

/// Reads `count` pieces of `length` bytes; fewer, and the last one shorter, where the source ends.
fn fill_batch<'a>(
    pieces: &'a mut Vec<Vec<u8>>,
    source: &mut dyn Read,
    length: usize,
    count: usize,
) -> io::Result<&'a [Vec<u8>]> {
    pieces.resize_with(count, Vec::new);
    for at in 0..count {
        let piece = &mut pieces[at];
        piece.resize(length, 0);
        let filled = fill_from(source, piece)?;
        piece.truncate(filled);
        if filled < length {
            return Ok(&pieces[..at + usize::from(filled > 0)]);
        }
    }
    Ok(pieces)
}

fn pack(compression: Compression, piece: &[u8]) -> io::Result<Vec<u8>> {
    match compression {
        Compression::None => Ok(piece.to_vec()),
        Compression::Gzip => {
            // The header says no time and no system, so that nothing of this machine is in it.
            let mut encoder =
                GzEncoder::new(Vec::with_capacity(piece.len() / 2), flate2::Compression::new(6));
            encoder.write_all(piece)?;
            encoder.finish()
        }
        Compression::Zstd => zstd::bulk::compress(piece, 3),
    }
}
