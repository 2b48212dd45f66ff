//! rpm's database: a table of headers (rpm.org, "Package format", "Header").
//!
//! A header is two counts, an index of tags, and a heap that the index points into. The versions of rpm that keep it in
//! Berkeley DB (before 4.16) or in `ndb` (SUSE) wrap the same headers in formats of their own, which are not read.

use super::sqlite::{Database, Value};
use super::{Error, Found, Kind, Package, told};

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const LICENSE: u32 = 1014;
const ARCH: u32 = 1022;

/// Types of tags: 32-bit numbers, and strings.
const INT32: u32 = 4;
const STRING: u32 = 6;
/// Bytes of an entry of the index: tag, type, offset, count.
const ENTRY: usize = 16;

pub(super) fn read(bytes: &[u8]) -> Result<Vec<Package>, Error> {
    let mut found = Found::default();
    Database::open(bytes)?.each_row("Packages", &mut |columns| {
        let Some(Value::Blob(blob)) = columns.get(1) else { return Ok(()) };
        package(&Header::of(blob)?, &mut found)
    })?;
    Ok(found.0)
}

fn package(header: &Header<'_>, found: &mut Found) -> Result<(), Error> {
    let text = |tag| header.text(tag).unwrap_or_default();
    let name = text(NAME);
    // The keys that signatures are checked with are entered like packages.
    if name == "gpg-pubkey" {
        return Ok(());
    }
    let version = format!("{}-{}", text(VERSION), text(RELEASE));
    if let Some(package) = found.push(Kind::Rpm, &name, &version)? {
        package.architecture = told(header.text(ARCH).as_deref());
        package.license = told(header.text(LICENSE).as_deref());
        package.epoch = header.number(EPOCH);
    }
    Ok(())
}

struct Header<'a> {
    index: &'a [u8],
    heap: &'a [u8],
}

impl<'a> Header<'a> {
    fn of(blob: &'a [u8]) -> Result<Self, Error> {
        let cut = Error::Malformed { at: 0, why: "a header of a package is cut short" };
        let (Some(entries), Some(length)) = (number_at(blob, 0), number_at(blob, 4)) else { return Err(cut) };
        let index = (entries as usize).checked_mul(ENTRY).and_then(|length| blob.get(8..)?.get(..length));
        let Some(index) = index else { return Err(cut) };
        let heap = blob.get(8 + index.len()..).and_then(|heap| heap.get(..length as usize));
        let Some(heap) = heap else { return Err(cut) };
        Ok(Self { index, heap })
    }

    /// What is behind `tag` in the heap, if it is of that type.
    fn value(&self, tag: u32, kind: u32) -> Option<&'a [u8]> {
        let is_it = |entry: &&[u8]| number_at(entry, 0) == Some(tag) && number_at(entry, 4) == Some(kind);
        let entry = self.index.chunks_exact(ENTRY).find(is_it)?;
        self.heap.get(number_at(entry, 8)? as usize..)
    }

    fn text(&self, tag: u32) -> Option<String> {
        let value = self.value(tag, STRING)?;
        let end = value.iter().position(|&byte| byte == 0)?;
        Some(String::from_utf8_lossy(&value[..end]).into_owned())
    }

    fn number(&self, tag: u32) -> Option<u32> {
        number_at(self.value(tag, INT32)?, 0)
    }
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// Made by rpm 4.18: two packages without files, one of which has a description longer than a page.
    fn database() -> Vec<u8> {
        let mut bytes = Vec::new();
        let packed = &include_bytes!("fixtures/rpmdb.sqlite.gz")[..];
        flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_rpm_wrote_is_read() {
        let found: Vec<_> = read(&database())
            .unwrap()
            .into_iter()
            .map(|package| {
                (package.name, package.version, package.epoch, package.architecture, package.license)
            })
            .collect();
        let text = |text: &str| text.to_owned();
        assert_eq!(
            found,
            [
                (text("tiny"), text("1.2-3"), Some(1), Some(text("noarch")), Some(text("MIT"))),
                (text("plain"), text("1.2-3"), None, Some(text("noarch")), Some(text("GPL-2.0-or-later"))),
            ]
        );
    }

    #[test]
    fn a_damaged_database_is_an_error_or_less_but_never_a_panic() {
        let whole = database();
        for cut in [0, 15, 99, 100, 4096, 5000, whole.len() / 2, whole.len() - 1] {
            if let Ok(found) = read(&whole[..cut]) {
                assert!(found.len() <= 2, "{cut}");
            }
        }
        // Every byte of the first pages, and some of all others, turned over.
        for at in (0..8192).chain((8192..whole.len()).step_by(101)) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            if let Ok(found) = read(&damaged) {
                assert!(found.len() <= 2, "{at}");
            }
        }
        // A page that is its own child.
        let mut circle = whole.clone();
        let root = (1..whole.len() / 4096).find(|page| circle[page * 4096] == 13).unwrap() * 4096;
        circle[root] = 5;
        let own = u32::try_from(root / 4096 + 1).unwrap().to_be_bytes();
        circle[root + 8..root + 12].copy_from_slice(&own);
        drop(read(&circle));
    }

    #[test]
    fn rows_that_share_their_bytes_are_read_no_longer_than_the_file() {
        let mut bytes = database();
        // The last page has the row with pages of its own; here it has it 300 times.
        let leaf = bytes.len() - 4096;
        let row = [bytes[leaf + 8], bytes[leaf + 9]];
        bytes[leaf + 3..leaf + 5].copy_from_slice(&300_u16.to_be_bytes());
        bytes[leaf + 8..leaf + 8 + 600].copy_from_slice(&row.repeat(300));
        let found = read(&bytes);
        assert!(matches!(found, Err(Error::Malformed { why: "its rows overlap", .. })), "{found:?}");
    }
}
