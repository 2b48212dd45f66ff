//! Files under `live/`: the bytes of what the step wrote, one plain file per inode, named by its number.
//!
//! Descriptors are a small table, not one per inode or per open file: the hard limit of open files can be as low
//! as 20,000, and a step may hold more files than that.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::tree::Id;

/// Descriptors kept open. Well below the usual soft limit of 1024.
const OPEN: usize = 256;

pub struct Backing {
    directory: PathBuf,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    open: HashMap<Id, (Arc<File>, u64)>,
    clock: u64,
}

impl Backing {
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, table: Mutex::default() }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A new empty file for inode `id`.
    pub fn create(&self, id: Id) -> io::Result<Arc<File>> {
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(self.path(id))?;
        let file = Arc::new(file);
        self.table().keep(id, &file);
        Ok(file)
    }

    /// The file of inode `id`.
    pub fn open(&self, id: Id) -> io::Result<Arc<File>> {
        let mut table = self.table();
        table.clock += 1;
        let clock = table.clock;
        if let Some((file, used)) = table.open.get_mut(&id) {
            *used = clock;
            return Ok(Arc::clone(file));
        }
        // Under the lock: two openers at once must not leave a second entry, and open(2) of a plain file is quick.
        let file = Arc::new(OpenOptions::new().read(true).write(true).open(self.path(id))?);
        table.keep(id, &file);
        Ok(file)
    }

    /// Removes the file of inode `id`. A file that cannot be removed now is removed by [`Self::clear`].
    pub fn remove(&self, id: Id) {
        self.table().open.remove(&id);
        drop(std::fs::remove_file(self.path(id)));
    }

    /// Removes all files.
    pub fn clear(&self) -> io::Result<()> {
        self.table().open.clear();
        for entry in std::fs::read_dir(&self.directory)? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    fn path(&self, id: Id) -> PathBuf {
        self.directory.join(id.to_string())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn keep(&mut self, id: Id, file: &Arc<File>) {
        if self.open.len() >= OPEN {
            self.close_older_half();
        }
        self.clock += 1;
        self.open.insert(id, (Arc::clone(file), self.clock));
    }

    fn close_older_half(&mut self) {
        let mut uses: Vec<u64> = self.open.values().map(|(_, used)| *used).collect();
        let (_, median, _) = uses.select_nth_unstable(OPEN / 2);
        let median = *median;
        self.open.retain(|_, (_, used)| *used > median);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn more_files_than_descriptors_are_all_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let backing = Backing::new(directory.path().to_owned());
        let count = OPEN as u64 * 3;
        for id in 0..count {
            backing.create(id).unwrap().write_all_at(&id.to_le_bytes(), 0).unwrap();
        }
        assert!(backing.table().open.len() <= OPEN);
        for id in 0..count {
            let mut bytes = [0; 8];
            backing.open(id).unwrap().read_exact_at(&mut bytes, 0).unwrap();
            assert_eq!(u64::from_le_bytes(bytes), id);
        }
        backing.remove(3);
        assert_eq!(backing.open(3).unwrap_err().kind(), io::ErrorKind::NotFound);
        backing.clear().unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
