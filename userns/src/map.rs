//! A file seen as memory, read-only.
//!
//! Layer indexes are searched where they lie: opening one costs one `mmap`, whatever its length. The pages belong to
//! the page cache, so every process of this machine that reads the same index shares them.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A whole file, mapped read-only and private. The descriptor may be closed afterwards.
///
/// The file must be complete and never written or shortened again (rbuild renames finished files into place and only
/// ever unlinks them): a reader of a shortened file is killed by SIGBUS.
#[derive(Debug)]
pub struct Map {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is read-only and owned by this value alone; no thread can write through it.
unsafe impl Send for Map {}
// SAFETY: as above: shared references only ever read.
unsafe impl Sync for Map {}

impl Map {
    /// Maps `file` from its first to its last byte. An empty file gives an empty slice.
    ///
    /// Errors with what fstat(2) or mmap(2) say, and with `FileTooLarge` where the length exceeds the address space.
    pub fn new(file: &File) -> io::Result<Self> {
        let len = usize::try_from(file.metadata()?.len())
            .ok()
            .filter(|len| isize::try_from(*len).is_ok())
            .ok_or(io::ErrorKind::FileTooLarge)?;
        if len == 0 {
            // mmap(2) answers a length of zero with EINVAL.
            return Ok(Self { start: NonNull::dangling(), len });
        }
        // SAFETY: a null hint lets the kernel choose the place, so no existing mapping is replaced.
        let start = unsafe { mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file, 0) }?;
        let start = NonNull::new(start.cast::<u8>()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { start, len })
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `start` is valid for `len` bytes until drop (or dangling with a length of zero), u8 needs no
        // alignment, `len` fits an isize, and the type's contract says that nobody writes to the file.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        // SAFETY: `start` and `len` are what mmap returned, and no slice outlives `self`.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "munmap {} bytes: {unmapped:?}", self.len);
    }
}

/// Reads the first byte of `file` through a shared mapping, and then writes it there, as it was.
///
/// The file has at least one byte, is open to read and write, and nobody else uses it: a file shortened meanwhile is SIGBUS.
/// Errors with what mmap(2) says: ENODEV where the file system has no such mappings.
pub fn touch_first_byte(file: &File) -> io::Result<()> {
    const LEN: usize = 1;
    if file.metadata()?.len() == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let rights = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a null hint lets the kernel choose the place, so no existing mapping is replaced.
    let start = unsafe { mmap(ptr::null_mut(), LEN, rights, MapFlags::SHARED, file, 0) }?.cast::<u8>();
    // SAFETY: `start` is valid for one byte, which the file has; it is read as the kernel would be asked for it, once.
    let byte = unsafe { start.read_volatile() };
    // SAFETY: as above, and the mapping may be written to; no reference to it exists.
    unsafe { start.write_volatile(byte) };
    // SAFETY: `start` and the length are those of mmap, and nothing refers to the mapping.
    unsafe { munmap(start.cast(), LEN) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_map_is_the_file() {
        for len in [0, 1, 4095, 4096, 4097, 1 << 20] {
            let bytes: Vec<u8> = (0..=250).cycle().take(len).collect();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let map = Map::new(&file).unwrap();
            drop(file);
            assert!(*map == bytes[..], "{len} bytes");
        }
    }

    #[test]
    fn what_cannot_be_mapped_is_an_error() {
        let directory = File::open("/").unwrap();
        assert!(Map::new(&directory).is_err());
    }
}
