//! Memory that the kernel writes too, page by page.

use std::os::fd::AsFd;
use std::ptr::{self, NonNull};

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

/// Mapped memory, readable and writable, zeroed or shared with a ring. It is unmapped when dropped: whoever has lent
/// parts of it to the kernel keeps it until they have come back.
#[derive(Debug)]
pub struct Region {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone, wherever the value goes; it is reached only through its methods.
unsafe impl Send for Region {}

impl Region {
    /// Zeroed pages, which take memory when they are first touched.
    pub fn zeroed(length: usize) -> Result<Self, Errno> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a null hint lets the kernel choose the place, so no existing mapping is replaced.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), length, access, MapFlags::PRIVATE) }?;
        Self::owned(start.cast(), length)
    }

    /// What a ring shares at `offset`.
    pub fn shared(ring: impl AsFd, offset: u64, length: usize) -> Result<Self, Errno> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: a null hint lets the kernel choose the place, so no existing mapping is replaced.
        let start = unsafe { mmap(ptr::null_mut(), length, access, flags, ring, offset) }?;
        Self::owned(start.cast(), length)
    }

    fn owned(start: *mut u8, length: usize) -> Result<Self, Errno> {
        Ok(Self { start: NonNull::new(start).ok_or(Errno::FAULT)?, length })
    }

    /// Where byte `offset` lies, as a `T`. Panics if a `T` there would reach past the end or lie askew.
    pub fn at<T>(&self, offset: usize) -> *mut T {
        assert!(
            offset.checked_add(size_of::<T>()).is_some_and(|end| end <= self.length),
            "within the region"
        );
        assert!(
            offset.is_multiple_of(align_of::<T>()),
            "mappings begin at a page, so offsets decide alignment"
        );
        // SAFETY: `offset` lies within the mapping (asserted above).
        unsafe { self.start.add(offset) }.as_ptr().cast()
    }

    /// The bytes.
    ///
    /// # Safety
    /// Nobody else, the kernel included, reads or writes the region while the slice lives.
    pub unsafe fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is `length` bytes long, u8 needs no alignment, and the caller vouches for the rest.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }

    /// How long it is, in bytes.
    pub fn length(&self) -> usize {
        self.length
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: `start` and `length` are what mmap returned, and no slice outlives `self`.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
        debug_assert!(unmapped.is_ok(), "munmap {} bytes: {unmapped:?}", self.length);
    }
}
