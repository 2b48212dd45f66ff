//! As much of the file format of `SQLite` (sqlite.org/fileformat2.html) as it takes to read one table from front to back.
//!
//! rpm keeps its headers in such a table. Reading them needs neither a query nor a library in C: a b-tree of pages, the
//! rows in its leaves, and chains of further pages for what is too long for one. Every page number meets the number of
//! pages there are, and no page is visited more often than there are pages, so that a chain that bites its own tail ends.
//! Nor are the rows of a table together longer than the file: what many rows share would be read once for each.

use super::Error;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Pages of a b-tree that hold rows, and those that lead to them.
const LEAF: u8 = 13;
const INTERIOR: u8 = 5;
/// The columns of `sqlite_schema`: type, name, table, root page.
const TYPE: usize = 0;
const NAME: usize = 1;
const ROOT: usize = 3;

/// An open database.
pub(super) struct Database<'a> {
    bytes: &'a [u8],
    page: usize,
    /// Bytes of a page that hold content.
    usable: usize,
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Integer(i64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
    /// NULL, or a number with a fraction.
    Other,
}

impl<'a> Database<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() < 100 || &bytes[..16] != MAGIC {
            return Err(malformed(0, "not an SQLite database"));
        }
        let page = match usize::from(u16::from_be_bytes([bytes[16], bytes[17]])) {
            1 => 65_536,
            page if page.is_power_of_two() && page >= 512 => page,
            _ => return Err(malformed(16, "no such page size")),
        };
        let usable = page - usize::from(bytes[20]);
        if usable < 480 {
            return Err(malformed(20, "too much of a page is reserved"));
        }
        Ok(Self { bytes, page, usable })
    }

    /// Calls `row` with the columns of every row of `table`, in the order of its keys. Errors if there is no such table.
    pub(super) fn each_row(
        &self,
        table: &str,
        row: &mut dyn FnMut(Vec<Value>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut root = None;
        self.each(1, &mut |columns| {
            let is_table = columns.get(TYPE) == Some(&Value::Text(b"table".to_vec()))
                && columns.get(NAME) == Some(&Value::Text(table.as_bytes().to_vec()));
            if let (true, Some(Value::Integer(page))) = (is_table, columns.get(ROOT)) {
                root = usize::try_from(*page).ok();
            }
            Ok(())
        })?;
        self.each(root.ok_or(malformed(0, "it has not the table that was looked for"))?, row)
    }

    fn each(&self, root: usize, row: &mut dyn FnMut(Vec<Value>) -> Result<(), Error>) -> Result<(), Error> {
        let mut pending = vec![root];
        let mut left = self.pages();
        let mut unread = self.bytes.len();
        while let Some(number) = pending.pop() {
            left = left.checked_sub(1).ok_or(malformed(0, "its pages lead in a circle"))?;
            let (page, at) = self.page(number)?;
            // The first page begins with the header of the file.
            let header = if number == 1 { 100 } else { 0 };
            let field = |offset: usize| u16_at(page, header + offset, at);
            let cells = usize::from(field(3)?);
            match page[header] {
                LEAF => {
                    for cell in 0..cells {
                        let start = usize::from(field(8 + 2 * cell)?);
                        row(columns(&self.payload(page, at, start, &mut unread)?, at)?)?;
                    }
                }
                INTERIOR => {
                    let child = |offset: usize| u32_at(page, offset, at);
                    let mut children = vec![child(header + 8)?];
                    for cell in (0..cells).rev() {
                        children.push(child(usize::from(field(12 + 2 * cell)?))?);
                    }
                    if pending.len() + children.len() > self.pages() {
                        return Err(malformed(at, "it names more pages than there are"));
                    }
                    pending.extend(children);
                }
                _ => return Err(malformed(at, "not a page of a table")),
            }
        }
        Ok(())
    }

    /// The bytes of the row whose cell is at `start` (fileformat2, "B-tree Cell Format", "Cell Payload Overflow Pages");
    /// `unread` is how many bytes all further rows may have.
    fn payload(&self, page: &[u8], at: usize, start: usize, unread: &mut usize) -> Result<Vec<u8>, Error> {
        let (length, start) = varint(page, start, at)?;
        let (_key, start) = varint(page, start, at)?;
        let length = usize::try_from(length).map_err(|_| malformed(at, "a row of negative length"))?;
        if length > self.bytes.len() {
            return Err(malformed(at, "a row that is longer than the database"));
        }
        *unread = unread.checked_sub(length).ok_or(malformed(at, "its rows overlap"))?;
        let (most, least) = (self.usable - 35, (self.usable - 12) * 32 / 255 - 23);
        let local = if length <= most {
            length
        } else {
            let some = least + (length - least) % (self.usable - 4);
            if some <= most { some } else { least }
        };
        let mut bytes = slice(page, start, local, at)?.to_vec();
        let mut next = if local < length { u32_at(page, start + local, at)? } else { 0 };
        while bytes.len() < length {
            let (page, at) = self.page(next)?;
            let more = (length - bytes.len()).min(self.usable - 4);
            bytes.extend_from_slice(slice(page, 4, more, at)?);
            next = u32_at(page, 0, at)?;
        }
        Ok(bytes)
    }

    fn pages(&self) -> usize {
        self.bytes.len() / self.page
    }

    /// The page, and where it is in the file.
    fn page(&self, number: usize) -> Result<(&'a [u8], usize), Error> {
        if number == 0 || number > self.pages() {
            return Err(malformed(0, "it names a page that is not there"));
        }
        let at = (number - 1) * self.page;
        Ok((&self.bytes[at..at + self.page], at))
    }
}

/// The columns of a row (fileformat2, "Record Format").
fn columns(record: &[u8], at: usize) -> Result<Vec<Value>, Error> {
    let (header, mut place) = varint(record, 0, at)?;
    let header = usize::try_from(header).ok().filter(|&header| header <= record.len());
    let header = header.ok_or(malformed(at, "a row whose header is longer than it"))?;
    let mut body = header;
    let mut columns = Vec::new();
    while place < header {
        let (kind, after) = varint(record, place, at)?;
        place = after;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).unwrap_or_default(),
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((kind - 12) / 2).map_err(|_| malformed(at, "a column without an end"))?,
            _ => return Err(malformed(at, "a column of an unknown type")),
        };
        let bytes = slice(record, body, length, at)?;
        body += length;
        columns.push(match kind {
            8 | 9 => Value::Integer(kind - 8),
            1..=6 => Value::Integer(integer(bytes)),
            12.. if kind % 2 == 0 => Value::Blob(bytes.to_vec()),
            12.. => Value::Text(bytes.to_vec()),
            _ => Value::Other,
        });
    }
    Ok(columns)
}

/// Big-endian, with a sign, of up to eight bytes.
fn integer(bytes: &[u8]) -> i64 {
    let first = bytes.first().map_or(0, |&byte| i64::from(byte.cast_signed()));
    bytes.iter().skip(1).fold(first, |value, &byte| (value << 8) | i64::from(byte))
}

/// A number of one to nine bytes, and where the next thing is.
fn varint(bytes: &[u8], start: usize, at: usize) -> Result<(i64, usize), Error> {
    let mut value = 0_i64;
    for place in start..start.saturating_add(9) {
        let byte = *bytes.get(place).ok_or(malformed(at, "it is cut short"))?;
        if place == start + 8 {
            return Ok(((value << 8) | i64::from(byte), place + 1));
        }
        value = (value << 7) | i64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok((value, place + 1));
        }
    }
    Err(malformed(at, "it is cut short"))
}

fn slice(bytes: &[u8], start: usize, length: usize, at: usize) -> Result<&[u8], Error> {
    let end = start.checked_add(length).ok_or(malformed(at, "it is cut short"))?;
    bytes.get(start..end).ok_or(malformed(at, "it is cut short"))
}

fn u16_at(bytes: &[u8], start: usize, at: usize) -> Result<u16, Error> {
    let bytes = slice(bytes, start, 2, at)?;
    Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn u32_at(bytes: &[u8], start: usize, at: usize) -> Result<usize, Error> {
    let bytes = slice(bytes, start, 4, at)?;
    Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
}

fn malformed(at: usize, why: &'static str) -> Error {
    Error::Malformed { at, why }
}
