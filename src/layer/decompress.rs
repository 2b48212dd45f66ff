//! Which packing a stream has, told by its first bytes, never by a media type: registries hold every mixture.

use std::io::{BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use super::tape::fill_from;
use super::{Compression, Error};

/// Enough for every magic number below.
const SNIFFED: usize = 10;
/// What is read from the source at once.
const BUFFER: usize = 128 << 10;

/// Looks at the first bytes and unpacks accordingly. bzip2 and xz are refused by name.
///
/// Several gzip members, several zstd frames and zstd's skippable frames in a row are one stream. A stream that ends
/// early is an error of the returned reader.
pub fn decompress<'a>(
    mut source: Box<dyn Read + Send + 'a>,
) -> Result<(Compression, Box<dyn Read + Send + 'a>), Error> {
    let mut start = vec![0; SNIFFED];
    let filled = fill_from(&mut source, &mut start).map_err(|source| Error::Read { offset: 0, source })?;
    start.truncate(filled);
    let compression = sniff(&start)?;
    let whole = Cursor::new(start).chain(source);
    let unpacked: Box<dyn Read + Send + 'a> = match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, whole))),
        Compression::Zstd => {
            let source = BufReader::with_capacity(BUFFER, whole);
            Box::new(zstd::Decoder::with_buffer(source).map_err(|source| Error::Read { offset: 0, source })?)
        }
    };
    Ok((compression, unpacked))
}

fn sniff(start: &[u8]) -> Result<Compression, Error> {
    match start {
        [0x1f, 0x8b, 8, ..] => Ok(Compression::Gzip),
        // A frame, or one of the sixteen skippable ones.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err(Error::Compression("xz")),
        // A tar may begin with a file called BZh1; bzip2 goes on with a block (pi) or its end (its square root).
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59]
        | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90] => {
            Err(Error::Compression("bzip2"))
        }
        _ => Ok(Compression::None),
    }
}
