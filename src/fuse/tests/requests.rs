//! Requests made by hand, what they mean, and what becomes of them when they are cut short.

use proptest::prelude::*;

use crate::fuse::attributes::{Changes, Privileges, SetTime, Time};
use crate::fuse::filesystem::{Caller, Origin};
use crate::fuse::input::Input;
use crate::fuse::request::{HEADER, Header, Init, Operation, Width, pairs};
use crate::fuse::{Features, opcode};

/// Numbers of 4 and 8 bytes, names and data, one after the other.
enum Field {
    Half(u32),
    Whole(u64),
    Name(&'static [u8]),
    Data(&'static [u8]),
}

use Field::{Data, Half, Name, Whole};

fn bytes(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        match field {
            Half(number) => bytes.extend_from_slice(&number.to_ne_bytes()),
            Whole(number) => bytes.extend_from_slice(&number.to_ne_bytes()),
            Name(name) => bytes.extend(name.iter().copied().chain([0])),
            Data(data) => bytes.extend_from_slice(data),
        }
    }
    bytes
}

fn header(opcode: u32, body: usize) -> Header {
    let length = u32::try_from(HEADER + body).unwrap();
    Header { length, opcode, unique: 7, id: 1, caller: Caller::default() }
}

const CHANGED: Changes = Changes {
    mode: Some(0o4755),
    uid: Some(21),
    gid: Some(22),
    size: Some(99),
    atime: Some(SetTime::Now),
    mtime: Some(SetTime::At(Time { secs: -2, nanos: 5 })),
    ctime: Some(Time { secs: 3, nanos: 6 }),
    privileges: Privileges::Clear,
};

/// (operation, its bytes, how many of the last of them may be missing, what it means)
#[rustfmt::skip]
fn rows() -> Vec<(u32, Vec<Field>, usize, Operation<'static>)> {
    use Operation as Op;
    let read = || vec![Whole(9), Whole(4096), Half(512), Half(0), Whole(0), Half(0), Half(0)];
    let copy = || vec![Whole(9), Whole(1), Whole(33), Whole(9), Whole(2), Whole(3), Whole(0)];
    vec![
        (opcode::LOOKUP, vec![Name(b"a b")], 0, Op::Lookup { name: b"a b" }),
        (opcode::LOOKUP, vec![Name(b"")], 0, Op::Lookup { name: b"" }),
        (opcode::FORGET, vec![Whole(3)], 0, Op::Forget { count: 3 }),
        (opcode::BATCH_FORGET, vec![Half(1), Half(0), Data(&[5; 16])], 0, Op::BatchForget { pairs: &[5; 16] }),
        (opcode::GETATTR, vec![Half(0), Half(0), Whole(0)], 16, Op::GetAttr),
        (opcode::SETATTR, vec![Half(0xcbf), Half(0), Whole(0), Whole(99), Whole(0), Whole(1), Whole(u64::MAX - 1),
            Whole(3), Half(4), Half(5), Half(6), Half(0o104_755), Half(0), Half(21), Half(22), Half(0)], 0, Op::SetAttr(CHANGED)),
        (opcode::READLINK, vec![], 0, Op::ReadLink),
        (opcode::SYMLINK, vec![Name(b"n"), Name(b"to")], 0, Op::Symlink { name: b"n", target: b"to" }),
        (opcode::MKNOD, vec![Half(0o100_644), Half(0x103), Half(0o22), Half(0), Name(b"n")], 0,
            Op::MkNod { name: b"n", mode: 0o100_644, umask: 0o22, device: 0x103 }),
        (opcode::MKDIR, vec![Half(0o755), Half(0o22), Name(b"n")], 0, Op::MkDir { name: b"n", mode: 0o755, umask: 0o22 }),
        (opcode::UNLINK, vec![Name(b"n")], 0, Op::Unlink { name: b"n" }),
        (opcode::RMDIR, vec![Name(b"n")], 0, Op::RmDir { name: b"n" }),
        (opcode::RENAME, vec![Whole(5), Name(b"n"), Name(b"m")], 0, Op::Rename { name: b"n", to: 5, to_name: b"m", flags: 0 }),
        (opcode::RENAME2, vec![Whole(5), Half(2), Half(0), Name(b"n"), Name(b"m")], 0,
            Op::Rename { name: b"n", to: 5, to_name: b"m", flags: 2 }),
        (opcode::LINK, vec![Whole(5), Name(b"n")], 0, Op::Link { id: 5, name: b"n" }),
        (opcode::OPEN, vec![Half(0o1002), Half(1)], 0, Op::Open { flags: 0o1002, privileges: Privileges::Clear }),
        (opcode::OPENDIR, vec![Half(0), Half(0)], 8, Op::OpenDir),
        (opcode::READ, read(), 0, Op::Read { offset: 4096, size: 512 }),
        (opcode::WRITE, vec![Whole(9), Whole(4096), Half(3), Half(0), Whole(0), Half(0), Half(0), Data(b"abc")], 0,
            Op::Write { offset: 4096, bytes: b"abc", origin: Origin::Caller, privileges: Privileges::Keep }),
        (opcode::WRITE, vec![Whole(9), Whole(0), Half(3), Half(5), Whole(0), Half(0), Half(0), Data(b"abc")], 0,
            Op::Write { offset: 0, bytes: b"abc", origin: Origin::PageCache, privileges: Privileges::Clear }),
        (opcode::STATFS, vec![], 0, Op::StatFs),
        (opcode::RELEASE, vec![Whole(0), Half(0), Half(0), Whole(0)], 24, Op::Release),
        (opcode::RELEASEDIR, vec![Whole(0), Half(0), Half(0), Whole(0)], 24, Op::Release),
        (opcode::FSYNC, vec![Whole(0), Half(0), Half(0)], 16, Op::Fsync),
        (opcode::SETXATTR, vec![Half(2), Half(1), Half(1), Half(0), Name(b"user.a"), Data(b"xy")], 0,
            Op::SetXattr { name: b"user.a", value: b"xy", flags: 1, privileges: Privileges::Clear }),
        (opcode::GETXATTR, vec![Half(64), Half(0), Name(b"user.a")], 0, Op::GetXattr { name: b"user.a", size: 64 }),
        (opcode::LISTXATTR, vec![Half(64), Half(0)], 0, Op::ListXattr { size: 64 }),
        (opcode::REMOVEXATTR, vec![Name(b"user.a")], 0, Op::RemoveXattr { name: b"user.a" }),
        (opcode::FLUSH, vec![Whole(0), Half(0), Half(0), Whole(0)], 24, Op::Flush),
        (opcode::INIT, vec![Half(7), Half(45), Half(1 << 17), Half(1 << 30), Half(1 << 9), Data(&[0; 44])], 44,
            Op::Init(Init { major: 7, minor: 45, max_readahead: 1 << 17, offered: Features::from_words(1 << 30, 1 << 9) })),
        (opcode::INIT, vec![Half(7), Half(31), Half(1 << 17), Half(1)], 0,
            Op::Init(Init { major: 7, minor: 31, max_readahead: 1 << 17, offered: Features::from_words(1, 0) })),
        (opcode::READDIR, read(), 0, Op::ReadDir { after: 4096, size: 512 }),
        (opcode::READDIRPLUS, read(), 0, Op::ReadDirPlus { after: 4096, size: 512 }),
        (opcode::FSYNCDIR, vec![Whole(0), Half(0), Half(0)], 16, Op::FsyncDir),
        (opcode::CREATE, vec![Half(0o102), Half(0o100_600), Half(0o77), Half(0), Name(b"n")], 0,
            Op::Create { name: b"n", flags: 0o102, mode: 0o100_600, umask: 0o77 }),
        (opcode::TMPFILE, vec![Half(0o2), Half(0o100_600), Half(0o77), Half(0), Name(b"/")], 2,
            Op::TmpFile { flags: 0o2, mode: 0o100_600, umask: 0o77 }),
        (opcode::INTERRUPT, vec![Whole(6)], 8, Op::Interrupt),
        (opcode::DESTROY, vec![], 0, Op::Destroy),
        (opcode::FALLOCATE, vec![Whole(9), Whole(1), Whole(2), Half(3), Half(0)], 0,
            Op::Allocate { offset: 1, length: 2, mode: 3 }),
        (opcode::LSEEK, vec![Whole(9), Whole(1), Half(3), Half(0)], 0, Op::Seek { offset: 1, whence: 3 }),
        (opcode::COPY_FILE_RANGE, copy(), 0,
            Op::CopyRange { offset: 1, to: 33, to_offset: 2, count: 3, wide: Width::U32 }),
        (opcode::COPY_FILE_RANGE_64, copy(), 0,
            Op::CopyRange { offset: 1, to: 33, to_offset: 2, count: 3, wide: Width::U64 }),
        (opcode::SYNCFS, vec![Whole(0)], 8, Op::SyncFs),
        (39, vec![Data(b"an ioctl")], 8, Op::Other),
    ]
}

#[test]
fn a_request_means_what_the_protocol_says_and_nothing_when_cut_short() {
    for (opcode, fields, spare, meant) in rows() {
        let bytes = bytes(&fields);
        let header = header(opcode, bytes.len());
        let decode = |bytes| Operation::decode(&header, Input::whole(bytes), Features::SETXATTR_EXT);
        assert_eq!(decode(&bytes).unwrap(), meant, "operation {opcode}");
        for length in 0..bytes.len() {
            let cut = decode(&bytes[..length]);
            assert_eq!(
                cut.is_ok(),
                length + spare >= bytes.len(),
                "operation {opcode}, {length} bytes: {cut:?}"
            );
        }
    }
}

#[test]
fn an_attribute_is_set_in_the_short_form_too() {
    let bytes = bytes(&[Half(2), Half(1), Name(b"user.a"), Data(b"xy")]);
    let header = header(opcode::SETXATTR, bytes.len());
    let Ok(Operation::SetXattr { name, value, flags, privileges }) =
        Operation::decode(&header, Input::whole(&bytes), Features::NONE)
    else {
        panic!("no SETXATTR");
    };
    assert_eq!((name, value, flags, privileges), (&b"user.a"[..], &b"xy"[..], 1, Privileges::Keep));
}

#[test]
fn what_is_not_asked_for_stays() {
    let bytes = [0; 88];
    let decoded = Operation::decode(&header(opcode::SETATTR, 88), Input::whole(&bytes), Features::NONE);
    assert_eq!(decoded.unwrap(), Operation::SetAttr(Changes::default()));
}

#[test]
fn asking_for_nothing_takes_privileges_away_where_so_agreed() {
    let lock_owner_and_ctime = [0, 1 << 9, 1 << 10, 1 << 6];
    for (valid, agreed, privileges) in lock_owner_and_ctime
        .map(|valid| (valid, Features::HANDLE_KILLPRIV_V2, Privileges::Clear))
        .into_iter()
        .chain([
            (0, Features::NONE, Privileges::Keep),
            (1, Features::HANDLE_KILLPRIV_V2, Privileges::Keep),
            (1 << 3, Features::HANDLE_KILLPRIV_V2, Privileges::Keep),
            (1 << 5 | 1 << 8, Features::HANDLE_KILLPRIV_V2, Privileges::Keep),
            (1 << 3 | 1 << 11, Features::HANDLE_KILLPRIV_V2, Privileges::Clear),
        ])
    {
        let mut bytes = [0; 88];
        bytes[..4].copy_from_slice(&u32::to_ne_bytes(valid));
        match Operation::decode(&header(opcode::SETATTR, 88), Input::whole(&bytes), agreed).unwrap() {
            Operation::SetAttr(changes) => {
                assert_eq!(changes.privileges, privileges, "{valid:#x} {agreed:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_header_is_forty_bytes() {
    let mut message = bytes(&[Half(40), Half(1), Whole(2), Whole(3), Half(4), Half(5), Half(6), Half(0)]);
    let caller = Caller { uid: 4, gid: 5, pid: 6 };
    assert_eq!(Header::decode(&message).unwrap(), Header { length: 40, opcode: 1, unique: 2, id: 3, caller });
    while message.pop().is_some() {
        assert!(Header::decode(&message).is_err(), "{} bytes", message.len());
    }
}

#[test]
fn references_come_in_pairs() {
    let bytes = bytes(&[Whole(1), Whole(2), Whole(3), Whole(4)]);
    assert_eq!(pairs(&bytes).collect::<Vec<_>>(), [(1, 2), (3, 4)]);
}

proptest! {
    #[test]
    fn garbage_never_panics(opcode in 0_u32..60, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let header = header(opcode, bytes.len());
        for agreed in [Features::NONE, Features::SETXATTR_EXT] {
            drop(Operation::decode(&header, Input::whole(&bytes), agreed));
        }
        drop(Header::decode(&bytes));
    }
}
