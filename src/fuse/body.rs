//! An answer's bytes.

use std::time::Duration;

use super::attributes::{Attributes, Statistics, Time};
use super::{Errno, Features};

/// How long the kernel may keep what it was told. Nothing changes but through the kernel.
const KEPT: Duration = Duration::from_hours(24);

/// An answer being written into memory of a fixed length: a buffer's, or the kernel's own.
pub struct Body<'a> {
    bytes: &'a mut [u8],
    used: usize,
    overflown: bool,
}

impl<'a> Body<'a> {
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, used: 0, overflown: false }
    }

    /// How long the answer is, in bytes. An answer longer than its place is never sent in part: EIO.
    pub fn finish(self) -> Result<usize, Errno> {
        if self.overflown { Err(Errno::IO) } else { Ok(self.used) }
    }

    pub fn put(&mut self, bytes: &[u8]) {
        match self.bytes[self.used..].get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.used += bytes.len();
            }
            None => self.overflown = true,
        }
    }

    fn u16(&mut self, number: u16) {
        self.put(&number.to_ne_bytes());
    }

    pub fn u32(&mut self, number: u32) {
        self.put(&number.to_ne_bytes());
    }

    pub fn u64(&mut self, number: u64) {
        self.put(&number.to_ne_bytes());
    }

    /// Lets `fill` write up to `size` bytes; it returns how many it wrote.
    pub fn fill(
        &mut self,
        size: u32,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, Errno>,
    ) -> Result<(), Errno> {
        let room = &mut self.bytes[self.used..];
        let size = room.len().min(size as usize);
        self.used += fill(&mut room[..size])?.min(size);
        Ok(())
    }

    /// `struct fuse_entry_out`; nothing there is inode 0.
    pub fn entry(&mut self, found: Option<&Attributes>) {
        self.u64(found.map_or(0, |attributes| attributes.id));
        self.u64(0); // generation: no number is used twice
        self.u64(KEPT.as_secs());
        self.u64(KEPT.as_secs());
        self.u64(0); // nanoseconds of both
        match found {
            Some(attributes) => self.attr(attributes),
            None => self.put(&[0; 88]),
        }
    }

    /// `struct fuse_attr_out`
    pub fn attributes(&mut self, attributes: &Attributes) {
        self.u64(KEPT.as_secs());
        self.u64(0); // nanoseconds, padding
        self.attr(attributes);
    }

    /// `struct fuse_attr`
    fn attr(&mut self, of: &Attributes) {
        self.u64(of.id);
        self.u64(of.size);
        self.u64(of.blocks);
        for Time { secs, .. } in [of.atime, of.mtime, of.ctime] {
            self.u64(secs.cast_unsigned());
        }
        for Time { nanos, .. } in [of.atime, of.mtime, of.ctime] {
            self.u32(nanos);
        }
        self.u32(of.kind.to_mode() | of.mode & 0o7777);
        self.u32(of.nlink);
        self.u32(of.uid);
        self.u32(of.gid);
        self.u32(of.device);
        self.u32(4096); // the block size to read and write by
        self.u32(0); // flags
    }

    /// `struct fuse_open_out`
    pub fn opened(&mut self, flags: u32) {
        self.u64(0); // no handle
        self.u32(flags);
        self.u32(0); // no file to pass through to
    }

    /// `struct fuse_statfs_out`
    pub fn statistics(&mut self, of: &Statistics) {
        for number in [of.blocks, of.free, of.available, of.files, of.files_free] {
            self.u64(number);
        }
        for number in [of.block_size, 255, of.fragment_size, 0, 0, 0, 0, 0, 0, 0] {
            self.u32(number);
        }
    }

    /// An extended attribute's value, or its length where the kernel gave no room (size 0).
    pub fn xattr(&mut self, value: &[u8], room: u32) -> Result<(), Errno> {
        match value.len() {
            length if room == 0 => {
                self.u32(u32::try_from(length).map_err(|_| Errno::TOOBIG)?);
                self.u32(0);
            }
            length if length > room as usize => return Err(Errno::RANGE),
            _ => self.put(value),
        }
        Ok(())
    }

    /// `struct fuse_init_out`
    pub fn init(&mut self, agreed: &Agreed) {
        let (low, high) = agreed.features.to_words();
        for number in [7, agreed.minor, agreed.max_readahead, low] {
            self.u32(number);
        }
        self.u16(agreed.max_background);
        self.u16(agreed.max_background / 4 * 3); // from here on the kernel calls it congested
        self.u32(super::LARGEST);
        self.u32(1); // times count nanoseconds
        self.u16(agreed.max_pages);
        self.u16(0); // no mapping of memory
        self.u32(high);
        self.u32(0); // stacking depth: no passthrough
        self.put(&[0; 24]);
    }
}

/// What INIT is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    pub minor: u32,
    pub features: Features,
    pub max_readahead: u32,
    pub max_background: u16,
    pub max_pages: u16,
}

/// Whether the kernel will hold a reference to each inode it is shown (`READDIRPLUS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Names and types alone.
    Names,
    /// As if each name had been looked up.
    Lookups,
}

/// Whether a line found room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in the answer.
    Yes,
    /// It is not, and no other will be.
    Full,
}

/// A directory's listing, being answered.
pub struct Lines<'a, 'b> {
    body: &'a mut Body<'b>,
    listing: Listing,
    end: usize,
}

impl<'a, 'b> Lines<'a, 'b> {
    pub(super) fn new(body: &'a mut Body<'b>, listing: Listing, size: u32) -> Self {
        let end = body.bytes.len().min(body.used + size as usize);
        Self { body, listing, end }
    }

    /// Adds a name. `position`: where a reader goes on behind it; never 0.
    pub fn add(&mut self, name: &[u8], position: u64, attributes: &Attributes) -> Taken {
        let head = match self.listing {
            Listing::Names => 24,
            Listing::Lookups => 24 + 128,
        };
        let length = (head + name.len()).next_multiple_of(8);
        if self.body.used + length > self.end {
            return Taken::Full;
        }
        if self.listing == Listing::Lookups {
            self.body.entry(Some(attributes));
        }
        self.body.u64(attributes.id);
        self.body.u64(position);
        self.body.u32(u32::try_from(name.len()).unwrap_or(u32::MAX));
        self.body.u32(attributes.kind.to_mode() >> 12);
        self.body.put(name);
        self.body.put(&[0; 7][..length - head - name.len()]);
        Taken::Yes
    }
}
