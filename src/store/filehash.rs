//! What is remembered of the files of a build context: `rbuild/filehash/<directory>`, one table for each context.
//!
//! A row says which bytes a file had when the kernel said this and that of it, so that whoever finds it said again need
//! not read the file. Whether a file was old enough for that is the caller's to judge before it tells a row.
//!
//! ```text
//! magic, 16 bytes · number of rows, 8 bytes · rows, sorted by what the kernel says · BLAKE3 over all before it
//! row: device inode size mtime ctime (8 bytes each, of the times the seconds) · their nanoseconds, mode, whether it has
//!      attributes, day of last use (4 bytes each) · digest (32 bytes);  all little-endian
//! ```
//!
//! A table is replaced whole, fsynced before it gets its name. One that does not have its own checksum is none.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use super::blobs::read_bounded;
use super::error::{At, if_present};
use super::lock;
use super::{Error, Store};

const MAGIC: &[u8; 16] = b"rbuild filehash1";
const HEAD: usize = MAGIC.len() + 8;
const ROW: usize = 92;
const CHECKSUM: usize = 32;
/// Bytes of a table: eleven million rows.
const LIMIT: u64 = 1 << 30;
/// A row and a table that nobody used for so long go.
const DAYS: u32 = 30;
const DAY: Duration = Duration::from_hours(24);

/// What the kernel says of a file. Any change of it, its content or its attributes makes another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileStamp {
    /// The device it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// When its content changed: seconds, nanoseconds.
    pub mtime: (i64, u32),
    /// When anything of it changed: seconds, nanoseconds.
    pub ctime: (i64, u32),
    /// Type and mode.
    pub mode: u32,
}

/// What a file was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownFile {
    /// Of its bytes; zeros for a directory.
    pub digest: [u8; 32],
    /// Whether it has extended attributes that count.
    pub has_xattrs: bool,
}

#[derive(Clone, Copy)]
struct Row {
    stamp: FileStamp,
    known: KnownFile,
    /// Days since 1970.
    used: u32,
}

/// What is remembered of the files of one context. Several threads may ask and tell.
pub struct FileDigests {
    path: PathBuf,
    /// Sorted by stamp.
    rows: Vec<Row>,
    /// Which of them were asked for.
    found: Vec<AtomicBool>,
    learned: RwLock<HashMap<FileStamp, KnownFile>>,
}

impl FileDigests {
    /// What is known of the file with this stamp.
    pub fn find(&self, stamp: &FileStamp) -> Option<KnownFile> {
        if let Ok(at) = self.rows.binary_search_by(|row| row.stamp.cmp(stamp)) {
            self.found[at].store(true, Ordering::Relaxed);
            return Some(self.rows[at].known);
        }
        self.learned.read().unwrap_or_else(PoisonError::into_inner).get(stamp).copied()
    }

    /// Remembers a file, which was old enough when it was read that no later change can have the same stamp.
    pub fn learn(&self, stamp: FileStamp, known: KnownFile) {
        self.learned.write().unwrap_or_else(PoisonError::into_inner).insert(stamp, known);
    }

    /// All rows, those that were asked for or are new used today.
    fn merged(&self, stored: Vec<Row>, today: u32) -> Vec<Row> {
        let own = self.rows.iter().zip(&self.found).map(|(row, found)| {
            let used = if found.load(Ordering::Relaxed) { today } else { row.used };
            Row { used, ..*row }
        });
        let learned = self.learned.read().unwrap_or_else(PoisonError::into_inner);
        let new = learned.iter().map(|(&stamp, &known)| Row { stamp, known, used: today });
        let mut rows: Vec<Row> = new.chain(own).chain(stored).collect();
        // Of several rows of one stamp the one used last stays: what another build has written meanwhile among them.
        rows.sort_by(|a, b| (a.stamp, b.used).cmp(&(b.stamp, a.used)));
        rows.dedup_by_key(|row| row.stamp);
        rows.retain(|row| row.used.saturating_add(DAYS) >= today);
        rows
    }
}

impl Store {
    /// What is remembered of the files of the context whose root directory has this device and number.
    pub fn file_digests(&self, device: u64, inode: u64) -> Result<FileDigests, Error> {
        let path = self.root().join("rbuild/filehash").join(format!("{device:x}-{inode:x}"));
        let rows = read(&path)?;
        let found = rows.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(FileDigests { path, rows, found, learned: RwLock::default() })
    }

    /// Keeps what was learned, beside what other builds have learned of the context meanwhile.
    pub fn keep_file_digests(&self, digests: &FileDigests) -> Result<(), Error> {
        if digests.learned.read().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Ok(());
        }
        let directory = self.root().join("rbuild/filehash");
        fs::create_dir_all(&directory).at("create", &directory)?;
        let _turn = lock::permanent(&self.root().join("rbuild/locks/filehash"), File::lock)?;
        let now = SystemTime::now();
        let rows = digests.merged(read(&digests.path)?, day(now));
        let tmp = self.tmp_file_of(&to_bytes(&rows))?;
        tmp.file().sync_all().at("sync", tmp.path())?;
        tmp.rename(&digests.path)?;
        sweep(&directory, now)
    }
}

fn day(time: SystemTime) -> u32 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs() / DAY.as_secs()).unwrap_or(u32::MAX)
}

/// Removes the tables of contexts that nobody has built for long.
fn sweep(directory: &Path, now: SystemTime) -> Result<(), Error> {
    for entry in fs::read_dir(directory).at("list", directory)? {
        let path = entry.at("list", directory)?.path();
        let Some(file) = if_present(fs::metadata(&path)).at("stat", &path)? else { continue };
        let age = now.duration_since(file.modified().at("stat", &path)?).unwrap_or_default();
        if age > DAY * DAYS {
            if_present(fs::remove_file(&path)).at("remove", &path)?;
        }
    }
    Ok(())
}

fn to_bytes(rows: &[Row]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + rows.len() * ROW + CHECKSUM);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(rows.len() as u64).to_le_bytes());
    for Row { stamp, known, used } in rows {
        for number in [stamp.device, stamp.inode, stamp.size] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for seconds in [stamp.mtime.0, stamp.ctime.0] {
            bytes.extend_from_slice(&seconds.to_le_bytes());
        }
        for number in [stamp.mtime.1, stamp.ctime.1, stamp.mode, known.has_xattrs.into(), *used] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&known.digest);
    }
    let checksum = blake3::hash(&bytes);
    bytes.extend_from_slice(checksum.as_bytes());
    bytes
}

/// The rows of the table at `path`; none if it is not there, torn, or of another program.
fn read(path: &Path) -> Result<Vec<Row>, Error> {
    let Some(file) = if_present(File::open(path)).at("open", path)? else { return Ok(Vec::new()) };
    let bytes = read_bounded(&file, path, LIMIT)?;
    Ok(from_bytes(&bytes).unwrap_or_default())
}

fn from_bytes(bytes: &[u8]) -> Option<Vec<Row>> {
    let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM)?)?;
    let rows = body.strip_prefix(MAGIC)?;
    let (count, rows) = rows.split_first_chunk()?;
    let whole = usize::try_from(u64::from_le_bytes(*count)).ok()?.checked_mul(ROW)? == rows.len();
    if !whole || blake3::hash(body).as_bytes() != checksum {
        return None;
    }
    rows.chunks_exact(ROW).map(row).collect()
}

fn row(bytes: &[u8]) -> Option<Row> {
    let (wide, rest) = bytes.split_first_chunk::<40>()?;
    let (narrow, digest) = rest.split_first_chunk::<20>()?;
    let wide = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| wide[at * 8 + i]));
    let narrow = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| narrow[at * 4 + i]));
    let stamp = FileStamp {
        device: wide(0),
        inode: wide(1),
        size: wide(2),
        mtime: (wide(3).cast_signed(), narrow(0)),
        ctime: (wide(4).cast_signed(), narrow(1)),
        mode: narrow(2),
    };
    let known = KnownFile { digest: digest.try_into().ok()?, has_xattrs: narrow(3) != 0 };
    Some(Row { stamp, known, used: narrow(4) })
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::*;

    fn stamp(inode: u64) -> FileStamp {
        FileStamp { device: 1, inode, size: 3, mtime: (-5, 6), ctime: (7, 999_999_999), mode: 0o100_644 }
    }

    const KNOWN: KnownFile = KnownFile { digest: [7; 32], has_xattrs: true };

    #[test]
    fn any_difference_of_a_stamp_is_another_file() {
        let (_dir, store) = scratch();
        let table = store.file_digests(1, 2).unwrap();
        let one = stamp(1);
        table.learn(one, KNOWN);
        table.learn(stamp(u64::MAX), KnownFile { digest: [8; 32], has_xattrs: false });
        store.keep_file_digests(&table).unwrap();
        let again = store.file_digests(1, 2).unwrap();
        for table in [&table, &again] {
            assert_eq!(table.find(&one), Some(KNOWN));
            assert_eq!(table.find(&stamp(u64::MAX)).map(|known| known.has_xattrs), Some(false));
            for other in [
                FileStamp { device: 2, ..one },
                FileStamp { inode: 2, ..one },
                FileStamp { size: 4, ..one },
                FileStamp { mtime: (-6, 6), ..one },
                FileStamp { mtime: (-5, 7), ..one },
                FileStamp { ctime: (8, 999_999_999), ..one },
                FileStamp { ctime: (7, 999_999_998), ..one },
                FileStamp { mode: 0o100_755, ..one },
            ] {
                assert_eq!(table.find(&other), None, "{other:?}");
            }
        }
        assert_eq!(
            store.file_digests(1, 3).unwrap().find(&one),
            None,
            "another context has a table of its own"
        );
    }

    #[test]
    fn a_torn_table_is_none_and_is_replaced() {
        let (_dir, store) = scratch();
        let table = store.file_digests(1, 2).unwrap();
        for inode in 0..9 {
            table.learn(stamp(inode), KNOWN);
        }
        store.keep_file_digests(&table).unwrap();
        let whole = fs::read(&table.path).unwrap();
        for (cut, flipped) in [(0, None), (10, None), (whole.len() - 1, None), (whole.len() - ROW, None)]
            .into_iter()
            .chain([0, 16, 30, 80, whole.len() - 1].map(|at| (whole.len(), Some(at))))
        {
            let mut torn = whole[..cut].to_vec();
            if let Some(at) = flipped {
                torn[at] ^= 1;
            }
            fs::write(&table.path, torn).unwrap();
            let read = store.file_digests(1, 2).unwrap();
            assert_eq!(read.find(&stamp(1)), None, "{cut} {flipped:?}");
            read.learn(stamp(1), KNOWN);
            store.keep_file_digests(&read).unwrap();
            assert_eq!(store.file_digests(1, 2).unwrap().find(&stamp(1)), Some(KNOWN), "{cut} {flipped:?}");
        }
    }

    #[test]
    fn builds_at_once_keep_what_each_has_learned_and_old_rows_go() {
        let (_dir, store) = scratch();
        let tables = [1, 2].map(|inode| {
            let table = store.file_digests(1, 2).unwrap();
            table.learn(stamp(inode), KNOWN);
            table
        });
        for table in &tables {
            store.keep_file_digests(table).unwrap();
        }
        let table = store.file_digests(1, 2).unwrap();
        assert_eq!([1, 2].map(|inode| table.find(&stamp(inode))), [Some(KNOWN); 2]);

        let today = day(SystemTime::now());
        let old = |days| Row { stamp: stamp(3), known: KNOWN, used: today - days };
        let rows = |days| table.merged(vec![old(days)], today).len();
        assert_eq!([rows(0), rows(DAYS), rows(DAYS + 1)], [3, 3, 2]);
    }

    #[test]
    fn the_table_of_a_context_that_nobody_builds_goes() {
        let (dir, store) = scratch();
        let table = |inode| store.file_digests(1, inode).unwrap();
        for inode in [1, 2] {
            let table = table(inode);
            table.learn(stamp(1), KNOWN);
            store.keep_file_digests(&table).unwrap();
        }
        let long_ago = SystemTime::now() - DAY * (DAYS + 1);
        let path = dir.path().join("rbuild/filehash/1-1");
        File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        let table = table(2);
        table.learn(stamp(2), KNOWN);
        store.keep_file_digests(&table).unwrap();
        assert!(!path.exists() && dir.path().join("rbuild/filehash/1-2").exists());
    }
}
