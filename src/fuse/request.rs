//! From bytes to an operation.

use super::attributes::{Changes, Privileges, SetTime, Time};
use super::filesystem::{Caller, Origin};
use super::input::{Fields, Input};
use super::{Error, Features, opcode};

/// The length of `struct fuse_in_header`, in bytes.
pub const HEADER: usize = 40;

/// What every request begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The whole message, in bytes.
    pub length: u32,
    pub opcode: u32,
    /// What the answer is to be marked with.
    pub unique: u64,
    /// The inode it is about.
    pub id: u64,
    pub caller: Caller,
}

impl Header {
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let fields = Fields::of(bytes.get(..HEADER).unwrap_or_default());
        let read = || {
            Some(Self {
                length: fields.u32(0)?,
                opcode: fields.u32(4)?,
                unique: fields.u64(8)?,
                id: fields.u64(16)?,
                caller: Caller { uid: fields.u32(24)?, gid: fields.u32(28)?, pid: fields.u32(32)? },
            })
        };
        read().ok_or(Error::Malformed { opcode: 0, length: bytes.len() })
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    Lookup {
        name: &'a [u8],
    },
    Forget {
        count: u64,
    },
    BatchForget {
        pairs: &'a [u8],
    },
    GetAttr,
    SetAttr(Changes),
    ReadLink,
    Symlink {
        name: &'a [u8],
        target: &'a [u8],
    },
    MkNod {
        name: &'a [u8],
        mode: u32,
        umask: u32,
        device: u32,
    },
    MkDir {
        name: &'a [u8],
        mode: u32,
        umask: u32,
    },
    Unlink {
        name: &'a [u8],
    },
    RmDir {
        name: &'a [u8],
    },
    Rename {
        name: &'a [u8],
        to: u64,
        to_name: &'a [u8],
        flags: u32,
    },
    Link {
        id: u64,
        name: &'a [u8],
    },
    Open {
        flags: u32,
        privileges: Privileges,
    },
    OpenDir,
    Read {
        offset: u64,
        size: u32,
    },
    Write {
        offset: u64,
        bytes: &'a [u8],
        origin: Origin,
        privileges: Privileges,
    },
    StatFs,
    Release,
    Fsync,
    SetXattr {
        name: &'a [u8],
        value: &'a [u8],
        flags: u32,
        privileges: Privileges,
    },
    GetXattr {
        name: &'a [u8],
        size: u32,
    },
    ListXattr {
        size: u32,
    },
    RemoveXattr {
        name: &'a [u8],
    },
    Flush,
    Init(Init),
    ReadDir {
        after: u64,
        size: u32,
    },
    ReadDirPlus {
        after: u64,
        size: u32,
    },
    FsyncDir,
    Create {
        name: &'a [u8],
        flags: u32,
        mode: u32,
        umask: u32,
    },
    TmpFile {
        flags: u32,
        mode: u32,
        umask: u32,
    },
    Interrupt,
    Destroy,
    Allocate {
        offset: u64,
        length: u64,
        mode: u32,
    },
    Seek {
        offset: u64,
        whence: u32,
    },
    CopyRange {
        offset: u64,
        to: u64,
        to_offset: u64,
        count: u64,
        wide: Width,
    },
    SyncFs,
    /// One that this protocol version has and we do not, or a later one.
    Other,
}

/// How wide the count of copied bytes is in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    U32,
    U64,
}

/// What the kernel offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Init {
    pub major: u32,
    pub minor: u32,
    pub max_readahead: u32,
    pub offered: Features,
}

impl<'a> Operation<'a> {
    /// `agreed`: what INIT ended with, for some structures depend on it.
    pub fn decode(header: &Header, input: Input<'a>, agreed: Features) -> Result<Self, Error> {
        decode(header.opcode, input, agreed)
            .ok_or(Error::Malformed { opcode: header.opcode, length: header.length as usize })
    }
}

fn decode(code: u32, mut input: Input<'_>, agreed: Features) -> Option<Operation<'_>> {
    use Operation as Op;
    Some(match code {
        opcode::LOOKUP => Op::Lookup { name: input.name()? },
        opcode::FORGET => Op::Forget { count: input.structure(8)?.u64(0)? },
        opcode::BATCH_FORGET => {
            let count = input.structure(8)?.u32(0)? as usize;
            Op::BatchForget { pairs: input.take(count.checked_mul(16)?)? }
        }
        opcode::GETATTR => Op::GetAttr,
        opcode::SETATTR => Op::SetAttr(changes(input.structure(88)?, agreed)?),
        opcode::READLINK => Op::ReadLink,
        opcode::SYMLINK => Op::Symlink { name: input.name()?, target: input.name()? },
        opcode::MKNOD => {
            let fields = input.structure(16)?;
            let (mode, device, umask) = (fields.u32(0)?, fields.u32(4)?, fields.u32(8)?);
            Op::MkNod { name: input.name()?, mode, umask, device }
        }
        opcode::MKDIR => {
            let fields = input.structure(8)?;
            Op::MkDir { name: input.name()?, mode: fields.u32(0)?, umask: fields.u32(4)? }
        }
        opcode::UNLINK => Op::Unlink { name: input.name()? },
        opcode::RMDIR => Op::RmDir { name: input.name()? },
        opcode::RENAME => {
            let to = input.structure(8)?.u64(0)?;
            Op::Rename { name: input.name()?, to, to_name: input.name()?, flags: 0 }
        }
        opcode::RENAME2 => {
            let fields = input.structure(16)?;
            let (to, flags) = (fields.u64(0)?, fields.u32(8)?);
            Op::Rename { name: input.name()?, to, to_name: input.name()?, flags }
        }
        opcode::LINK => Op::Link { id: input.structure(8)?.u64(0)?, name: input.name()? },
        opcode::OPEN => {
            let fields = input.structure(8)?;
            Op::Open { flags: fields.u32(0)?, privileges: cleared(fields.u32(4)?, OPEN_KILL_SUIDGID) }
        }
        opcode::OPENDIR => Op::OpenDir,
        opcode::READ => {
            let fields = input.structure(40)?;
            Op::Read { offset: fields.u64(8)?, size: fields.u32(16)? }
        }
        opcode::WRITE => write(&mut input)?,
        opcode::STATFS => Op::StatFs,
        opcode::RELEASE | opcode::RELEASEDIR => Op::Release,
        opcode::FSYNC => Op::Fsync,
        opcode::FSYNCDIR => Op::FsyncDir,
        opcode::SETXATTR => set_xattr(&mut input, agreed)?,
        opcode::GETXATTR => Op::GetXattr { size: input.structure(8)?.u32(0)?, name: input.name()? },
        opcode::LISTXATTR => Op::ListXattr { size: input.structure(8)?.u32(0)? },
        opcode::REMOVEXATTR => Op::RemoveXattr { name: input.name()? },
        opcode::FLUSH => Op::Flush,
        opcode::INIT => Op::Init(init(&mut input)?),
        opcode::READDIR => {
            let fields = input.structure(40)?;
            Op::ReadDir { after: fields.u64(8)?, size: fields.u32(16)? }
        }
        opcode::READDIRPLUS => {
            let fields = input.structure(40)?;
            Op::ReadDirPlus { after: fields.u64(8)?, size: fields.u32(16)? }
        }
        opcode::CREATE => {
            let fields = input.structure(16)?;
            let (flags, mode, umask) = (fields.u32(0)?, fields.u32(4)?, fields.u32(8)?);
            Op::Create { name: input.name()?, flags, mode, umask }
        }
        opcode::TMPFILE => {
            let fields = input.structure(16)?;
            Op::TmpFile { flags: fields.u32(0)?, mode: fields.u32(4)?, umask: fields.u32(8)? }
        }
        opcode::INTERRUPT => Op::Interrupt,
        opcode::DESTROY => Op::Destroy,
        opcode::FALLOCATE => {
            let fields = input.structure(32)?;
            Op::Allocate { offset: fields.u64(8)?, length: fields.u64(16)?, mode: fields.u32(24)? }
        }
        opcode::LSEEK => {
            let fields = input.structure(24)?;
            Op::Seek { offset: fields.u64(8)?, whence: fields.u32(16)? }
        }
        opcode::COPY_FILE_RANGE => copy_range(&mut input, Width::U32)?,
        opcode::COPY_FILE_RANGE_64 => copy_range(&mut input, Width::U64)?,
        opcode::SYNCFS => Op::SyncFs,
        _ => Op::Other,
    })
}

/// `FUSE_OPEN_KILL_SUIDGID`
const OPEN_KILL_SUIDGID: u32 = 1;
/// `FUSE_WRITE_CACHE`
const WRITE_CACHE: u32 = 1;
/// `FUSE_WRITE_KILL_SUIDGID`
const WRITE_KILL_SUIDGID: u32 = 1 << 2;
/// Of SETATTR: mode, owner, group, size, and the times of access and modification, as they are or now.
const ASKED: u32 = 0b1_1011_1111;
/// `FATTR_KILL_SUIDGID`
const ATTR_KILL_SUIDGID: u32 = 1 << 11;
/// `FUSE_SETXATTR_ACL_KILL_SGID`
const ACL_KILL_SGID: u32 = 1;

fn cleared(flags: u32, flag: u32) -> Privileges {
    if flags & flag == 0 { Privileges::Keep } else { Privileges::Clear }
}

/// `struct fuse_setattr_in`
///
/// With `HANDLE_KILLPRIV_V2`, one that asks for nothing is sent before a write, an allocation or a copy by whoever may not
/// keep setuid and setgid, and for `chown(path, -1, -1)`: the kernel takes out of the request what it would change, and
/// leaves that to us. Its answer is what shows the kernel the new mode; the write that follows has none.
fn changes(fields: Fields<'_>, agreed: Features) -> Option<Changes> {
    let valid = fields.u32(0)?;
    let asked = |bit: u32| valid & 1 << bit != 0;
    let time = |seconds, nanos| {
        Some(Time { secs: fields.u64(seconds)?.cast_signed(), nanos: fields.u32(nanos)?.min(999_999_999) })
    };
    let set = |bit, now, time| match (asked(bit), asked(now)) {
        (false, _) => None,
        (true, true) => Some(SetTime::Now),
        (true, false) => Some(SetTime::At(time)),
    };
    let (atime, mtime, ctime) = (time(32, 56)?, time(40, 60)?, time(48, 64)?);
    let (size, mode) = (fields.u64(16)?, fields.u32(68)?);
    let (uid, gid) = (fields.u32(76)?, fields.u32(80)?);
    let asks_for_nothing = valid & ASKED == 0 && agreed.contains(Features::HANDLE_KILLPRIV_V2);
    let privileges = if asks_for_nothing { Privileges::Clear } else { cleared(valid, ATTR_KILL_SUIDGID) };
    Some(Changes {
        mode: asked(0).then_some(mode & 0o7777),
        uid: asked(1).then_some(uid),
        gid: asked(2).then_some(gid),
        size: asked(3).then_some(size),
        atime: set(4, 7, atime),
        mtime: set(5, 8, mtime),
        ctime: asked(10).then_some(ctime),
        privileges,
    })
}

/// `struct fuse_write_in` and what is to be written
fn write<'a>(input: &mut Input<'a>) -> Option<Operation<'a>> {
    let fields = input.structure(40)?;
    let flags = fields.u32(20)?;
    let origin = if flags & WRITE_CACHE == 0 { Origin::Caller } else { Origin::PageCache };
    Some(Operation::Write {
        offset: fields.u64(8)?,
        bytes: input.take(fields.u32(16)? as usize)?,
        origin,
        privileges: cleared(flags, WRITE_KILL_SUIDGID),
    })
}

/// `struct fuse_setxattr_in`, longer where so agreed, a name and its value
fn set_xattr<'a>(input: &mut Input<'a>, agreed: Features) -> Option<Operation<'a>> {
    let long = agreed.contains(Features::SETXATTR_EXT);
    let fields = input.structure(if long { 16 } else { 8 })?;
    let more = if long { fields.u32(8)? } else { 0 };
    let name = input.name()?;
    let value = input.take(fields.u32(0)? as usize)?;
    Some(Operation::SetXattr { name, value, flags: fields.u32(4)?, privileges: cleared(more, ACL_KILL_SGID) })
}

/// `struct fuse_init_in`; the second word of flags came with 7.36.
fn init(input: &mut Input<'_>) -> Option<Init> {
    let fields = input.structure(16)?;
    let flags = fields.u32(12)?;
    let first = Features::from_words(flags, 0);
    let more = if first.contains(Features::INIT_EXT) { Fields::of(input.take(4)?).u32(0)? } else { 0 };
    Some(Init {
        major: fields.u32(0)?,
        minor: fields.u32(4)?,
        max_readahead: fields.u32(8)?,
        offered: Features::from_words(flags, more),
    })
}

/// `struct fuse_copy_file_range_in`
fn copy_range<'a>(input: &mut Input<'a>, wide: Width) -> Option<Operation<'a>> {
    let fields = input.structure(56)?;
    Some(Operation::CopyRange {
        offset: fields.u64(8)?,
        to: fields.u64(16)?,
        to_offset: fields.u64(32)?,
        count: fields.u64(40)?,
        wide,
    })
}

/// (inode, references) of a `BATCH_FORGET`.
pub fn pairs(bytes: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    bytes.chunks_exact(16).filter_map(|pair| {
        let fields = Fields::of(pair);
        Some((fields.u64(0)?, fields.u64(8)?))
    })
}
