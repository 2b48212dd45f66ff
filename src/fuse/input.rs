//! A request's bytes, taken front to back. Whatever is not there is `None`, never a panic.

/// What is left of a request: the operation's own structure, then names and data.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// A ring hands the structure over by itself; from the device it comes first in `rest`.
    structure: Option<&'a [u8]>,
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// As read from the device.
    pub fn whole(bytes: &'a [u8]) -> Self {
        Self { structure: None, rest: bytes }
    }

    /// As a ring hands it over.
    pub fn split(structure: &'a [u8], rest: &'a [u8]) -> Self {
        Self { structure: Some(structure), rest }
    }

    /// The operation's structure, of `length` bytes. Once, before anything else.
    pub fn structure(&mut self, length: usize) -> Option<Fields<'a>> {
        let bytes = match self.structure.take() {
            Some(structure) => structure.get(..length)?,
            None => self.take(length)?,
        };
        Some(Fields(bytes))
    }

    /// A name, ended by a zero byte.
    pub fn name(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == 0)?;
        let name = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Some(name)
    }

    /// Exactly `length` bytes.
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

/// Numbers of a structure whose length has been checked, in the machine's byte order.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields of a structure that stands alone.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The number at byte `at`.
    pub fn u32(&self, at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(*self.0.get(at..)?.first_chunk()?))
    }

    /// The number at byte `at`.
    pub fn u64(&self, at: usize) -> Option<u64> {
        Some(u64::from_ne_bytes(*self.0.get(at..)?.first_chunk()?))
    }
}
