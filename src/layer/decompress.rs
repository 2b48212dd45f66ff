//! Which packing a stream has, told by its first bytes, never by a media type: registries hold every mixture.

use std::io::{BufReader, Cursor, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;

use super::tape::fill_from;
use super::{Compression, Error};

/// Enough for every magic number below.
const SNIFFED: usize = 10;
/// The memory that an xz stream may ask for, in KiB: four times what `xz -9` needs.
const XZ_MEMORY: u32 = 256 << 10;
/// What is read from the source at once.
const BUFFER: usize = 128 << 10;

/// A packed stream, or one that is not.
type Source<'a> = Box<dyn Read + Send + 'a>;

/// How a stream is packed: [`Compression`], and what no layer may have.
#[derive(Clone, Copy)]
enum Packing {
    Layer(Compression),
    Bzip2,
    Xz,
}

/// Looks at the first bytes of a layer and unpacks accordingly. bzip2 and xz are refused by name.
///
/// Several gzip members, several zstd frames and zstd's skippable frames in a row are one stream. A stream that ends
/// early is an error of the returned reader.
pub fn decompress(source: Source<'_>) -> Result<(Compression, Source<'_>), Error> {
    let (packing, source) = sniff(source)?;
    match packing {
        Packing::Layer(compression) => Ok((compression, unpack(packing, source)?)),
        Packing::Bzip2 => Err(Error::Compression("bzip2")),
        Packing::Xz => Err(Error::Compression("xz")),
    }
}

/// The same for an archive that is no layer: gzip, bzip2, xz, zstd, or plain.
pub fn decompress_archive(source: Source<'_>) -> Result<Source<'_>, Error> {
    let (packing, source) = sniff(source)?;
    unpack(packing, source)
}

fn unpack(packing: Packing, source: Source<'_>) -> Result<Source<'_>, Error> {
    let source = BufReader::with_capacity(BUFFER, source);
    Ok(match packing {
        Packing::Layer(Compression::None) => Box::new(source),
        Packing::Layer(Compression::Gzip) => Box::new(MultiGzDecoder::new(source)),
        Packing::Layer(Compression::Zstd) => {
            Box::new(zstd::Decoder::with_buffer(source).map_err(|source| Error::Read { offset: 0, source })?)
        }
        Packing::Bzip2 => Box::new(MultiBzDecoder::new(source)),
        Packing::Xz => Box::new(XzReader::new_mem_limit(source, true, XZ_MEMORY)),
    })
}

/// Tells the packing by the first bytes and puts them back.
fn sniff(mut source: Source<'_>) -> Result<(Packing, Source<'_>), Error> {
    let mut start = vec![0; SNIFFED];
    let filled = fill_from(&mut source, &mut start).map_err(|source| Error::Read { offset: 0, source })?;
    start.truncate(filled);
    let packing = packing(&start);
    Ok((packing, Box::new(Cursor::new(start).chain(source))))
}

fn packing(start: &[u8]) -> Packing {
    match start {
        [0x1f, 0x8b, 8, ..] => Packing::Layer(Compression::Gzip),
        // A frame, or one of the sixteen skippable ones.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Packing::Layer(Compression::Zstd)
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Packing::Xz,
        // A tar may begin with a file called BZh1; bzip2 goes on with a block (pi) or its end (its square root).
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59]
        | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90] => Packing::Bzip2,
        _ => Packing::Layer(Compression::None),
    }
}
