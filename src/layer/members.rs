//! The entries of a tar, one by one: headers, extension headers and what they mean together.

use std::io::Read;

use tar_core::Header;

use super::sparse::{Announced, Extent, Refusal};
use super::tape::Tape;
use super::{Entry, EntryKind, Error, Fault, Limits, Metadata, Name, Timestamp, path, pax};

/// Everything in a tar is a multiple of this many bytes.
pub(super) const BLOCK: usize = 512;

/// One entry and where it lies.
pub(super) struct Member {
    pub(super) entry: Entry,
    /// Its bytes on tape, in order.
    pub(super) data: Vec<Extent>,
}

/// Reads members; the tape stands at the current one's data.
pub(super) struct Members<R> {
    tape: Tape<R>,
    limits: Limits,
    headers: u64,
    /// The current or last entry's name, and where its first header began.
    name: Vec<u8>,
    offset: u64,
    /// Bytes of the current entry's data, and of the padding behind it, that are still on the tape.
    left: u64,
    padding: u64,
    ended: bool,
}

/// Extension headers seen in front of an entry.
#[derive(Default)]
struct Pending {
    size: u64,
    pax: Option<Vec<u8>>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<R: Read> Members<R> {
    pub(super) fn new(tape: Tape<R>, limits: Limits) -> Self {
        Self { tape, limits, headers: 0, name: Vec::new(), offset: 0, left: 0, padding: 0, ended: false }
    }

    /// Skips what is left of the current member and returns the next, `None` at the end of the archive.
    pub(super) fn next(&mut self) -> Result<Option<Member>, Error> {
        self.skip_data()?;
        let mut offset = self.tape.position();
        let mut pending = Pending::default();
        while let Some(header) = self.header()? {
            match type_of(&header) {
                b'x' => self.extension(&header, &mut pending, "PAX")?,
                b'L' => self.extension(&header, &mut pending, "GNU long name")?,
                b'K' => self.extension(&header, &mut pending, "GNU long link")?,
                // Global records and volume labels: see the room's essay.
                b'g' | b'V' => {
                    self.extension_data(&header, 0)?;
                    if pending.is_empty() {
                        offset = self.tape.position();
                    }
                }
                _ => return self.member(&header, pending, offset).map(Some),
            }
        }
        if !pending.is_empty() {
            return Err(self.broken(Fault::Orphaned));
        }
        Ok(None)
    }

    /// Reads bytes of the current member's data; 0 at their end.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let n = self.tape.fill(&mut buf[..wanted])?;
        self.left -= n as u64;
        if n < wanted {
            return Err(self.truncated());
        }
        Ok(n)
    }

    /// Passes over whatever follows the end of the archive, and gives the tape back.
    pub(super) fn into_tape(mut self) -> Result<Tape<R>, Error> {
        self.skip_data()?;
        let limit = self.limits.size;
        self.tape.skip(limit.saturating_sub(self.tape.position()).saturating_add(1))?;
        if self.tape.position() > limit {
            return Err(Error::TooLong { limit });
        }
        Ok(self.tape)
    }

    /// An error about the current member.
    pub(super) fn refuse(&self, fault: Fault) -> Error {
        Error::Entry { path: Name(self.name.clone()), offset: self.offset, fault }
    }

    fn broken(&self, fault: Fault) -> Error {
        let offset = self.tape.position().saturating_sub(BLOCK as u64);
        Error::Header { offset, after: Name(self.name.clone()), fault }
    }

    fn truncated(&self) -> Error {
        self.refuse(Fault::Truncated { missing: self.left + self.padding })
    }

    fn enter(&mut self, stored: u64) {
        self.left = stored;
        self.padding = stored.next_multiple_of(BLOCK as u64) - stored;
    }

    fn skip_data(&mut self) -> Result<(), Error> {
        let skipped = self.tape.skip(self.left + self.padding)?;
        let from_data = skipped.min(self.left);
        self.left -= from_data;
        self.padding -= skipped - from_data;
        if self.left + self.padding > 0 { Err(self.truncated()) } else { Ok(()) }
    }

    /// The next header that is not zero; `None` at two zero blocks, or where the tar just ends (Go's writer leaves the
    /// end mark out unless it is closed, and such layers exist).
    fn header(&mut self) -> Result<Option<Header>, Error> {
        if self.ended {
            return Ok(None);
        }
        let Some(block) = self.block()? else { return Ok(None) };
        if block == [0; BLOCK] {
            self.ended = true;
            return match self.block()? {
                None => Ok(None),
                Some(second) if second == [0; BLOCK] => Ok(None),
                Some(_) => Err(self.broken(Fault::LoneZeroBlock)),
            };
        }
        let header = *Header::from_bytes(&block);
        if header.verify_checksum().is_err() {
            return Err(self.broken(Fault::Checksum));
        }
        self.headers += 1;
        let limit = self.limits.entries;
        if self.headers > limit {
            self.name = raw_name(&header);
            self.offset = self.tape.position() - BLOCK as u64;
            return Err(self.refuse(Fault::TooManyEntries { limit }));
        }
        Ok(Some(header))
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Error> {
        let mut block = [0; BLOCK];
        match self.tape.fill(&mut block)? {
            0 => {
                self.ended = true;
                Ok(None)
            }
            BLOCK => Ok(Some(block)),
            n => Err(Error::Header {
                offset: self.tape.position() - n as u64,
                after: Name(self.name.clone()),
                fault: Fault::Truncated { missing: (BLOCK - n) as u64 },
            }),
        }
    }

    fn extension(&mut self, header: &Header, pending: &mut Pending, what: &'static str) -> Result<(), Error> {
        let slot = match type_of(header) {
            b'L' => &mut pending.name,
            b'K' => &mut pending.link,
            _ => &mut pending.pax,
        };
        if slot.is_some() {
            return Err(self.broken(Fault::Duplicate(what)));
        }
        let mut data = self.extension_data(header, pending.size)?;
        pending.size += data.len() as u64;
        if type_of(header) != b'x' {
            data.truncate(data.iter().position(|&b| b == 0).unwrap_or(data.len()));
        }
        *slot = Some(data);
        Ok(())
    }

    /// The data of an extension header, in front of which the entry had `before` bytes of such already.
    fn extension_data(&mut self, header: &Header, before: u64) -> Result<Vec<u8>, Error> {
        let size = self.size(header).map_err(|fault| self.broken(fault))?;
        let limit = self.limits.pax;
        let total = before.saturating_add(size);
        if total > limit {
            return Err(self.broken(Fault::ExtensionsTooLarge { size: total, limit }));
        }
        // Bounded by `limit`, which is bounded by memory.
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let mut data = vec![0; size.next_multiple_of(BLOCK)];
        let filled = self.tape.fill(&mut data)?;
        if filled < data.len() {
            return Err(self.broken(Fault::Truncated { missing: (data.len() - filled) as u64 }));
        }
        data.truncate(size);
        Ok(data)
    }

    fn member(&mut self, header: &Header, pending: Pending, offset: u64) -> Result<Member, Error> {
        self.offset = offset;
        self.name = raw_name(header);
        self.resolve(header, pending).map_err(|refusal| match refusal {
            Refusal::Tape(error) => error,
            Refusal::Entry(fault) => self.refuse(fault),
        })
    }

    fn resolve(&mut self, header: &Header, pending: Pending) -> Result<Member, Refusal> {
        if let Some(name) = pending.name {
            self.name = name;
        }
        let mut records = pax::Overrides::parse(pending.pax.as_deref().unwrap_or_default())?;
        let renamed = records.sparse.name.take().or(records.path.take());
        if let Some(name) = renamed {
            self.name = name;
        }
        let link = records.link.take().or(pending.link);
        let link = link.unwrap_or_else(|| header.link_name_bytes().to_vec());
        let kind = self.kind(header, link)?;
        let path = path::clean(&self.name, self.limits.path)?;
        let (kind, data) = match kind {
            EntryKind::File { .. } => self.content(header, &mut records)?,
            kind => {
                // GNU's incremental directories alone carry data (a list of names), which says nothing here.
                let listed = if type_of(header) == b'D' { self.size(header)? } else { 0 };
                self.enter(listed);
                (kind, Vec::new())
            }
        };
        let meta = metadata(header, records)?;
        Ok(Member { entry: Entry { path, meta, kind }, data })
    }

    fn kind(&self, header: &Header, link: Vec<u8>) -> Result<EntryKind, Fault> {
        let device = || Ok((field("devmajor", header)?, field("devminor", header)?));
        Ok(match type_of(header) {
            // A tar older than POSIX marks a directory by its name only.
            0 if self.name.ends_with(b"/") => EntryKind::Directory,
            0 | b'0' | b'7' | b'S' => EntryKind::File { size: 0 },
            b'1' => EntryKind::Hardlink(self.target(&link)?),
            b'2' if link.is_empty() => return Err(Fault::NoTarget),
            b'2' if link.contains(&0) => return Err(Fault::Nul),
            b'2' if link.len() > self.limits.path => {
                return Err(Fault::PathTooLong { len: link.len(), limit: self.limits.path });
            }
            b'2' => EntryKind::Symlink(link),
            b'3' => device().map(|(major, minor)| EntryKind::Char { major, minor })?,
            b'4' => device().map(|(major, minor)| EntryKind::Block { major, minor })?,
            b'5' | b'D' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            other => return Err(Fault::Type(other)),
        })
    }

    fn target(&self, link: &[u8]) -> Result<Vec<u8>, Fault> {
        if link.is_empty() {
            return Err(Fault::NoTarget);
        }
        path::clean(link, self.limits.path)
            .map_err(|why| Fault::Link { target: link.into(), why: Box::new(why) })
    }

    /// Places the tape at a regular file's data and maps it.
    fn content(
        &mut self,
        header: &Header,
        records: &mut pax::Overrides,
    ) -> Result<(EntryKind, Vec<Extent>), Refusal> {
        let stored = match records.size {
            Some(size) => self.fits(size)?,
            None => self.size(header)?,
        };
        let sparse = if type_of(header) == b'S' {
            Some((Announced::old_gnu(header, &mut self.tape)?, 0))
        } else {
            Announced::pax(&mut records.sparse, stored, &mut self.tape)?
        };
        let at = self.tape.position();
        let Some((map, taken)) = sparse else {
            self.enter(stored);
            let whole = (stored > 0).then_some(Extent { file: 0, tar: at, len: stored });
            return Ok((EntryKind::File { size: stored }, whole.into_iter().collect()));
        };
        let stored = stored.checked_sub(taken).ok_or(Fault::Sparse("the map is longer than the data"))?;
        let extents = map.lay(at, stored)?;
        self.enter(stored);
        Ok((EntryKind::File { size: map.size }, extents))
    }

    fn size(&self, header: &Header) -> Result<u64, Fault> {
        let size = number(&header.as_ustar().size).and_then(|size| u64::try_from(size).ok());
        self.fits(size.ok_or(Fault::Number("size"))?)
    }

    /// Refuses data that would make the tar longer than allowed; what passes can be added to offsets without a thought.
    fn fits(&self, size: u64) -> Result<u64, Fault> {
        let limit = self.limits.size.min(i64::MAX as u64);
        if size > limit.saturating_sub(self.tape.position()) {
            return Err(Fault::TooLarge { size, limit });
        }
        Ok(size)
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.name.is_none() && self.link.is_none()
    }
}

fn type_of(header: &Header) -> u8 {
    header.as_ustar().typeflag[0]
}

fn raw_name(header: &Header) -> Vec<u8> {
    match header.prefix() {
        Some(prefix) if !prefix.is_empty() => [prefix, b"/", header.path_bytes()].concat(),
        _ => header.path_bytes().to_vec(),
    }
}

fn metadata(header: &Header, records: pax::Overrides) -> Result<Metadata, Fault> {
    let mode = number(&header.as_ustar().mode).ok_or(Fault::Number("mode"))?;
    let whole_seconds = || {
        let secs = number(&header.as_ustar().mtime).and_then(|secs| i64::try_from(secs).ok());
        Ok(Timestamp { secs: secs.ok_or(Fault::Number("mtime"))?, nanos: 0 })
    };
    Ok(Metadata {
        // Some tars put the file type into the bits above.
        mode: u32::try_from(mode & 0o7777).map_err(|_| Fault::Number("mode"))?,
        uid: records.uid.map_or_else(|| field("uid", header), Ok)?,
        gid: records.gid.map_or_else(|| field("gid", header), Ok)?,
        mtime: records.mtime.map_or_else(whole_seconds, Ok)?,
        xattrs: records.xattrs,
    })
}

fn field(name: &'static str, header: &Header) -> Result<u32, Fault> {
    let fields = header.as_ustar();
    let bytes = match name {
        "uid" => &fields.uid,
        "gid" => &fields.gid,
        "devmajor" => &fields.dev_major,
        _ => &fields.dev_minor,
    };
    number(bytes).and_then(|value| u32::try_from(value).ok()).ok_or(Fault::Number(name))
}

/// A numeric header field: octal text, or GNU's base-256 with the sign in its second bit. `tar-core` cuts base-256 down
/// to 64 bits, which would turn an absurd size into a harmless one.
pub(super) fn number(field: &[u8]) -> Option<i128> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        let sign = if first & 0x40 == 0 { 0 } else { -1 };
        // 12 bytes at most: 96 bits.
        return Some(
            field.iter().skip(1).fold(sign << 7 | i128::from(first & 0x7f), |n, b| n << 8 | i128::from(*b)),
        );
    }
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    let digits = field[..end].trim_ascii();
    digits
        .iter()
        .try_fold(0, |n, digit| matches!(digit, b'0'..=b'7').then(|| n << 3 | i128::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_both_notations() {
        let rows: [(&[u8], Option<i128>); 12] = [
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"77777777", Some(0o77_777_777)),
            (b"\0\0\0\0", Some(0)),
            (b"", None),
            (b"0000009\0", None),
            (b"-0000001", None),
            (b"+0000001", None),
            (b"\x80\0\0\0\0\x20\0\0", Some(1 << 21)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\x05", Some((1 << 64) + 5)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0", Some(-256)),
        ];
        for (field, want) in rows {
            assert_eq!(number(field), want, "{}", field.escape_ascii());
        }
    }
}
