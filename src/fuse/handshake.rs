//! INIT: the first message, and what it settles.

use std::fs::File;
use std::io::{Read as _, Write as _};

use super::body::{Agreed, Body};
use super::filesystem::Filesystem;
use super::input::Input;
use super::request::{HEADER, Header, Init, Operation};
use super::{Error, Features, LARGEST, opcode, refused};

/// The minor version we speak.
const SPOKEN: u32 = 45;

/// The oldest one we speak to: Linux 4.18, the first that mounts FUSE in a user namespace.
pub const OLDEST: u32 = 27;

/// Requests that the kernel may have under way without anybody waiting: readahead and write-out.
const BACKGROUND: u16 = 64;

/// Whether rings stand ready for what the kernel may offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rings {
    Ready,
    None,
}

/// What the kernel says of itself.
pub struct Greeting {
    header: Header,
    init: Init,
}

impl Greeting {
    /// Waits for the kernel's INIT; the mount has sent it.
    pub fn read(mut device: &File) -> Result<Self, Error> {
        let mut bytes = vec![0; 8192]; // FUSE_MIN_READ_BUFFER
        let length = device.read(&mut bytes).map_err(refused("read INIT"))?;
        let bytes = &bytes[..length];
        let header = Header::decode(bytes)?;
        if header.opcode != opcode::INIT {
            return Err(Error::NotInit { opcode: header.opcode });
        }
        let input = Input::whole(&bytes[HEADER..]);
        match Operation::decode(&header, input, Features::NONE)? {
            Operation::Init(Init { major: 7, minor, .. }) if minor < OLDEST => {
                Err(Error::Version { major: 7, minor })
            }
            Operation::Init(init) if init.major == 7 => Ok(Self { header, init }),
            Operation::Init(Init { major, minor, .. }) => Err(Error::Version { major, minor }),
            _ => Err(Error::NotInit { opcode: header.opcode }),
        }
    }

    /// What the kernel can do.
    pub fn offered(&self) -> Features {
        self.init.offered
    }

    /// Settles what is used from now on, and tells the kernel.
    pub fn answer<F: Filesystem>(
        &self,
        filesystem: &mut F,
        rings: Rings,
        mut device: &File,
    ) -> Result<Features, Error> {
        let rings = if rings == Rings::Ready { Features::OVER_IO_URING } else { Features::NONE };
        let always = Features::ASYNC_READ | Features::BIG_WRITES | Features::MAX_PAGES | Features::INIT_EXT;
        let agreed = Agreed {
            minor: SPOKEN,
            features: (filesystem.init(self.offered()) | always | rings) & self.offered(),
            max_readahead: self.init.max_readahead.min(LARGEST),
            max_background: BACKGROUND,
            max_pages: u16::try_from(LARGEST as usize / rustix::param::page_size()).unwrap_or(u16::MAX),
        };
        let mut answer = [0; 16 + 64];
        let mut body = Body::new(&mut answer);
        body.u32(80);
        body.u32(0);
        body.u64(self.header.unique);
        body.init(&agreed);
        device.write_all(&answer).map_err(refused("answer INIT"))?;
        Ok(agreed.features)
    }
}
