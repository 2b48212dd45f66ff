//! The system calls that a recorded identity answers, and what their arguments say.
//!
//! The older forms (`stat`, `lchown`, …) are read as the newer ones: fewer things to answer.

use super::creation::New;
use super::x86::Layout;

/// An address in the caller's memory; 0 is none.
pub type Address = u64;

/// A system call, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The attributes of a file.
    Status {
        /// Which.
        file: File,
        /// Where they go.
        into: Address,
        /// As what.
        form: Form,
    },
    /// A new owner; `None` leaves the id as it is.
    ChangeOwner {
        /// Of which file.
        file: File,
        /// The user.
        user: Option<u32>,
        /// The group.
        group: Option<u32>,
    },
    /// A new device node.
    MakeDevice {
        /// Its name.
        file: File,
        /// Kind and permission bits.
        mode: u32,
        /// In the kernel's 32-bit encoding.
        device: u32,
    },
    /// A new inode that is no device.
    Create {
        /// Its name.
        file: File,
        /// What it is to be.
        new: New,
    },
    /// A socket gets an address, perhaps a name in a directory.
    Bind {
        /// The caller's descriptor.
        socket: i32,
        /// Where the `struct sockaddr` stands.
        address: Address,
        /// Its size, in bytes.
        size: u32,
    },
    /// The process turns into this program.
    Execute(File),
    /// `/` becomes another directory, or the mounts below it another's.
    ChangeRoot,
    /// A new process or thread, with the arguments of `clone3` there.
    Copy(Address),
    /// What becomes of capabilities (`prctl`).
    Privilege(Privilege),
    /// One id of the caller's.
    Id(Kind, Part),
    /// Real, effective and saved id, each to its address.
    AllIds(Kind, [Address; 3]),
    /// New ids.
    ChangeIds(Kind, Change),
    /// The further groups: room for how many, and where.
    Groups(i32, Address),
    /// New further groups: how many, and where they stand.
    ChangeGroups(i32, Address),
    /// The capability sets of a process: header and data.
    Capabilities(Address, Address),
    /// New capability sets of the caller: header and data.
    ChangeCapabilities(Address, Address),
    /// The limit that carries the mark ([`crate::caller::mark`]) is looked at, to be written there, or set.
    Limit {
        /// Where the old limit goes.
        into: Address,
        /// The bytes of one that nobody set.
        unlimited: &'static [u8],
    },
    /// Who is at the other end of a socket (`SO_PEERCRED`).
    Peer {
        /// Its descriptor.
        socket: i32,
        /// Where the credentials go.
        into: Address,
        /// Where their length stands: how much room there is, and how much was written.
        length: Address,
    },
    /// A signal, by its number; 0 only asks whether one could be sent.
    Signal {
        /// Who shall get it.
        to: Receiver,
        /// Which.
        number: i32,
    },
    /// A call about sockets (`socketcall` of 32-bit x86).
    Sockets(Sockets, Address),
    /// A form so old that nobody speaks it any more.
    Obsolete,
}

/// What `socketcall` does, with arguments that lie in memory, as 32 bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sockets {
    /// `bind`
    Bind,
    /// `getsockopt`
    Option,
}

/// Who shall get a signal, by the caller's numbers of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// A process or one of its threads.
    Process(i32),
    /// A group of processes; 0: the caller's own.
    Group(i32),
    /// Everybody but the first process and the caller.
    All,
    /// The process behind a descriptor.
    Descriptor(i32),
}

/// How a call names a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// Where a relative path starts.
    pub from: From,
    /// The path's address; 0: the file is what it starts from.
    pub path: Address,
    /// `AT_SYMLINK_NOFOLLOW`, `AT_EMPTY_PATH` and whatever else the caller gave.
    pub flags: u32,
}

/// Where a relative path starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The working directory.
    Here,
    /// A descriptor.
    Descriptor(i32),
}

/// As what attributes are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `struct stat`
    Stat,
    /// `struct statx`, with the mask of what is wanted.
    Statx(u32),
    /// One of 32-bit x86.
    X86(Layout),
}

/// What `prctl` is asked for about capabilities, each by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// Whether permitted ones survive a change of user.
    IsKept,
    /// They do (1) or not (0).
    Keep(u64),
    /// Whether it is in the bounding set.
    IsBounding(u64),
    /// It is taken out of the bounding set.
    Unbound(u64),
    /// The securebits.
    Secure,
    /// New securebits.
    SetSecure(u64),
    /// About the ambient set.
    Ambient(Ambient, u64),
    /// What is none of these, or has arguments where none belong.
    Malformed,
}

/// What is done to the ambient set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambient {
    /// It is looked at.
    Has,
    /// One more.
    Raise,
    /// One less.
    Lower,
    /// None any more.
    Clear,
}

/// How wide ids are in memory and in what is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 32 bits.
    Wide,
    /// 16 bits: the first calls of 32-bit x86.
    Narrow,
}

/// Users or groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Users.
    User,
    /// Groups.
    Group,
}

/// One of the ids that every process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Who started it.
    Real,
    /// In whose name it acts.
    Effective,
}

/// A change of ids; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// `setuid`: all of them, or the effective one.
    All(u32),
    /// `setreuid`
    RealEffective(Option<u32>, Option<u32>),
    /// `setresuid`
    Each([Option<u32>; 3]),
    /// `setfsuid`
    FileSystem(u32),
}

pub(super) const EMPTY: u32 = libc::AT_EMPTY_PATH.unsigned_abs();
pub(super) const NOFOLLOW: u32 = libc::AT_SYMLINK_NOFOLLOW.unsigned_abs();

impl File {
    pub(super) fn open(descriptor: u64) -> Self {
        Self { from: From::Descriptor(low(descriptor).cast_signed()), path: 0, flags: EMPTY }
    }

    pub(super) fn named(path: Address, flags: u32) -> Self {
        Self { from: From::Here, path, flags }
    }

    pub(super) fn at(from: u64, path: Address, flags: u32) -> Self {
        let from = match low(from).cast_signed() {
            libc::AT_FDCWD => From::Here,
            descriptor => From::Descriptor(descriptor),
        };
        Self { from, path, flags }
    }

    /// Whether a symlink at the end is meant itself.
    pub fn is_link_itself(&self) -> bool {
        self.flags & NOFOLLOW != 0
    }

    /// Whether an empty path means what it starts from.
    pub fn may_be_empty(&self) -> bool {
        self.flags & EMPTY != 0
    }
}

impl Receiver {
    /// The first argument of `kill`.
    pub(super) fn of_kill(number: i32) -> Self {
        match number {
            1.. => Self::Process(number),
            -1 => Self::All,
            // of the lowest number there is no opposite, and no group either
            _ => Self::Group(number.saturating_neg()),
        }
    }
}

impl Sockets {
    /// How many arguments it has.
    pub const fn arguments(self) -> usize {
        match self {
            Self::Bind => 3,
            Self::Option => 5,
        }
    }

    /// The call, by its arguments. `None`: nothing that was asked for.
    pub fn call(self, arguments: &[u32]) -> Option<Call> {
        let peer = [libc::SOL_SOCKET, libc::SO_PEERCRED].map(i32::cast_unsigned);
        match (self, arguments) {
            (Self::Bind, &[socket, address, size]) => {
                Some(Call::Bind { socket: socket.cast_signed(), address: address.into(), size })
            }
            (Self::Option, &[socket, level, option, into, length]) if [level, option] == peer => {
                Some(Call::Peer { socket: socket.cast_signed(), into: into.into(), length: length.into() })
            }
            _ => None,
        }
    }
}

impl Width {
    /// What stands for an id. An id that does not fit is `overflowuid`, as the kernel has it.
    #[must_use]
    pub fn shown(self, id: u32) -> u32 {
        const OVERFLOW: u32 = 65_534;
        if self == Self::Narrow && id > u16::MAX.into() { OVERFLOW } else { id }
    }

    /// The bytes of an id.
    pub fn encode(self, id: u32) -> Vec<u8> {
        let shown = self.shown(id);
        match (self, u16::try_from(shown)) {
            (Self::Narrow, Ok(narrow)) => narrow.to_ne_bytes().into(),
            _ => shown.to_ne_bytes().into(),
        }
    }

    /// The ids that stand in `bytes`.
    pub fn decode(self, bytes: &[u8]) -> Vec<u32> {
        match self {
            Self::Narrow => {
                bytes.chunks_exact(2).map(|id| u16::from_ne_bytes([id[0], id[1]]).into()).collect()
            }
            Self::Wide => {
                bytes.chunks_exact(4).map(|id| u32::from_ne_bytes([id[0], id[1], id[2], id[3]])).collect()
            }
        }
    }

    /// How many bytes an id takes.
    pub const fn size(self) -> usize {
        match self {
            Self::Narrow => 2,
            Self::Wide => 4,
        }
    }
}

/// What the kernel looks at of an argument of 32 bits.
pub(super) fn low(argument: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the kernel does not look at the upper half either")]
    let low = argument as u32;
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_do_not_fit_are_shown_as_overflow() {
        let rows = [
            (Width::Wide, 70_000, 70_000, vec![0x70, 0x11, 1, 0]),
            (Width::Narrow, 70_000, 65_534, vec![0xfe, 0xff]),
            (Width::Narrow, 33, 33, vec![33, 0]),
        ];
        for (width, id, shown, bytes) in rows {
            assert_eq!(width.shown(id), shown, "{width:?} {id}");
            if cfg!(target_endian = "little") {
                assert_eq!(width.encode(id), bytes, "{width:?} {id}");
            }
            assert_eq!(width.decode(&width.encode(id)), [shown], "{width:?} {id}");
        }
    }
}
