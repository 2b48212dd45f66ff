//! Answers, byte by byte.

use crate::fuse::answer::{Answered, answer};
use crate::fuse::body::{Body, Lines, Listing, Taken};
use crate::fuse::device::answer_head;
use crate::fuse::filesystem::Caller;
use crate::fuse::input::Input;
use crate::fuse::request::{HEADER, Header, Operation};
use crate::fuse::{
    Attributes, Changes, Errno, Features, FileType, Filesystem, Opened, Origin, Place, Privileges,
    Statistics, Time, opcode,
};

const FOUND: Attributes = Attributes {
    id: 5,
    kind: FileType::File,
    mode: 0o4755,
    uid: 11,
    gid: 12,
    nlink: 2,
    device: 0,
    size: 700,
    blocks: 2,
    atime: Time { secs: 1, nanos: 4 },
    mtime: Time { secs: -2, nanos: 5 },
    ctime: Time { secs: 3, nanos: 6 },
};

/// A file system with one answer of each kind. What is not here is refused by the default.
struct One;

impl Filesystem for One {
    fn init(&mut self, offered: Features) -> Features {
        offered
    }

    fn lookup(&self, at: Place<'_>) -> Result<Option<Attributes>, Errno> {
        match at.name {
            b"there" => Ok(Some(FOUND)),
            b"absent" => Ok(None),
            _ => Err(Errno::NAMETOOLONG),
        }
    }

    fn attributes(&self, _: u64) -> Result<Attributes, Errno> {
        Ok(FOUND)
    }

    fn set_attributes(&self, _: Caller, _: u64, _: &Changes) -> Result<Attributes, Errno> {
        Ok(FOUND)
    }

    fn read_link(&self, _: u64) -> Result<Vec<u8>, Errno> {
        Ok(b"target".to_vec())
    }

    fn temporary(&self, _: Caller, _: u64, _: u32, _: u32, _: u32) -> Result<(Attributes, Opened), Errno> {
        Ok((FOUND, Opened::KEEP_CACHE))
    }

    fn read(&self, _: u64, _: u64, into: &mut [u8]) -> Result<usize, Errno> {
        into[..3].copy_from_slice(b"abc");
        Ok(3)
    }

    fn write(&self, _: u64, _: u64, bytes: &[u8], _: Origin, _: Privileges) -> Result<usize, Errno> {
        Ok(bytes.len())
    }

    fn read_directory(&self, _: u64, after: u64, _: Listing, lines: &mut Lines<'_, '_>) -> Result<(), Errno> {
        for (name, position) in [(&b"."[..], 1), (b"a name", 2)] {
            if position > after && lines.add(name, position, &FOUND) == Taken::Full {
                break;
            }
        }
        Ok(())
    }

    fn statistics(&self) -> Result<Statistics, Errno> {
        Ok(Statistics {
            blocks: 1,
            free: 2,
            available: 3,
            files: 4,
            files_free: 5,
            block_size: 6,
            fragment_size: 7,
        })
    }

    fn xattr(&self, _: u64, _: &[u8]) -> Result<Vec<u8>, Errno> {
        Ok(b"value".to_vec())
    }

    fn copy_range(&self, _: (u64, u64), _: (u64, u64), count: u64) -> Result<u64, Errno> {
        Ok(count)
    }

    fn seek(&self, _: u64, offset: u64, _: u32) -> Result<u64, Errno> {
        Ok(offset + 1)
    }

    fn unlink(&self, _: Place<'_>) -> Result<(), Errno> {
        Ok(())
    }
}

/// `None`: nothing is said.
type Said = Option<Result<Vec<u8>, Errno>>;

/// What a request of these bytes is answered with by [`One`], in a place of `room` bytes.
fn answered(opcode: u32, request: &[u8], room: usize) -> Said {
    let length = u32::try_from(HEADER + request.len()).unwrap();
    let header = Header { length, opcode, unique: 7, id: 5, caller: Caller::default() };
    let operation = Operation::decode(&header, Input::whole(request), Features::NONE).unwrap();
    let mut place = vec![0xee; room];
    let mut body = Body::new(&mut place);
    match answer(&One, &header, operation, &mut body) {
        Ok(Answered::Never) => None,
        Ok(Answered::Yes) => Some(body.finish().map(|length| place[..length].to_vec())),
        Err(errno) => Some(Err(errno)),
    }
}

fn numbers(parts: &[(u64, usize)]) -> Vec<u8> {
    parts.iter().flat_map(|(number, width)| number.to_ne_bytes()[..*width].to_vec()).collect()
}

/// `struct fuse_attr` of [`FOUND`].
fn attr() -> Vec<u8> {
    numbers(&[
        (5, 8),
        (700, 8),
        (2, 8),
        (1, 8),
        (u64::MAX - 1, 8),
        (3, 8),
        (4, 4),
        (5, 4),
        (6, 4),
        (0o104_755, 4),
        (2, 4),
        (11, 4),
        (12, 4),
        (0, 4),
        (4096, 4),
        (0, 4),
    ])
}

const DAY: u64 = 86_400;

/// `struct fuse_entry_out` of [`FOUND`].
fn entry() -> Vec<u8> {
    [numbers(&[(5, 8), (0, 8), (DAY, 8), (DAY, 8), (0, 8)]), attr()].concat()
}

/// A request of so many zero bytes with one number among them.
fn with(length: usize, at: usize, number: u32) -> Vec<u8> {
    let mut request = vec![0; length];
    request[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    request
}

#[test]
#[rustfmt::skip]
fn an_answer_is_what_the_protocol_says() {
    let absent = [numbers(&[(0, 8), (0, 8), (DAY, 8), (DAY, 8), (0, 8)]), vec![0; 88]].concat();
    let attributes = [numbers(&[(DAY, 8), (0, 8)]), attr()].concat();
    let dot = [numbers(&[(5, 8), (1, 8), (1, 4), (8, 4)]), b".\0\0\0\0\0\0\0".to_vec()].concat();
    let named = [numbers(&[(5, 8), (2, 8), (6, 4), (8, 4)]), b"a name\0\0".to_vec()].concat();
    let name = |structure: Vec<u8>, name: &[u8]| [structure, name.to_vec()].concat();
    let rows: Vec<(u32, Vec<u8>, Said)> = vec![
        (opcode::LOOKUP, b"there\0".to_vec(), Some(Ok(entry()))),
        (opcode::LOOKUP, b"absent\0".to_vec(), Some(Ok(absent))),
        (opcode::LOOKUP, b"else\0".to_vec(), Some(Err(Errno::NAMETOOLONG))),
        (opcode::FORGET, vec![0; 8], None),
        (opcode::BATCH_FORGET, [with(8, 0, 1), vec![0; 16]].concat(), None),
        (opcode::GETATTR, vec![0; 16], Some(Ok(attributes.clone()))),
        (opcode::SETATTR, vec![0; 88], Some(Ok(attributes))),
        (opcode::READLINK, vec![], Some(Ok(b"target".to_vec()))),
        (opcode::TMPFILE, vec![0; 16], Some(Ok([entry(), numbers(&[(0, 8), (2, 4), (0, 4)])].concat()))),
        (opcode::CREATE, name(vec![0; 16], b"n\0"), Some(Err(Errno::NOSYS))),
        (opcode::MKNOD, name(vec![0; 16], b"n\0"), Some(Err(Errno::INVAL))),
        (opcode::MKNOD, name(with(16, 0, 0o100_644), b"n\0"), Some(Err(Errno::NOSYS))),
        (opcode::OPEN, vec![0; 8], Some(Err(Errno::NOSYS))),
        (opcode::RELEASE, vec![0; 24], Some(Ok(vec![]))),
        (opcode::UNLINK, b"n\0".to_vec(), Some(Ok(vec![]))),
        (opcode::READ, with(40, 16, 3), Some(Ok(b"abc".to_vec()))),
        (opcode::READ, with(40, 16, 4096), Some(Ok(b"abc".to_vec()))),
        (opcode::WRITE, name(with(40, 16, 4), b"four"), Some(Ok(numbers(&[(4, 4), (0, 4)])))),
        (opcode::READDIR, with(40, 16, 63), Some(Ok(dot.clone()))),
        (opcode::READDIR, with(40, 16, 64), Some(Ok([dot.clone(), named.clone()].concat()))),
        (opcode::READDIR, with(40, 16, 31), Some(Ok(vec![]))),
        (opcode::READDIRPLUS, with(40, 16, 512), Some(Ok([entry(), dot, entry(), named].concat()))),
        (opcode::STATFS, vec![], Some(Ok(numbers(
            &[(1, 8), (2, 8), (3, 8), (4, 8), (5, 8), (6, 4), (255, 4), (7, 4), (0, 8), (0, 8), (0, 8), (0, 4)])))),
        (opcode::GETXATTR, name(with(8, 0, 0), b"n\0"), Some(Ok(numbers(&[(5, 4), (0, 4)])))),
        (opcode::GETXATTR, name(with(8, 0, 4), b"n\0"), Some(Err(Errno::RANGE))),
        (opcode::GETXATTR, name(with(8, 0, 5), b"n\0"), Some(Ok(b"value".to_vec()))),
        (opcode::LISTXATTR, with(8, 0, 5), Some(Err(Errno::NOSYS))),
        (opcode::LSEEK, with(24, 8, 9), Some(Ok(numbers(&[(10, 8)])))),
        (opcode::COPY_FILE_RANGE, with(56, 40, 9), Some(Ok(numbers(&[(9, 4), (0, 4)])))),
        (opcode::COPY_FILE_RANGE_64, with(56, 40, 9), Some(Ok(numbers(&[(9, 8)])))),
        (opcode::INTERRUPT, vec![0; 8], Some(Err(Errno::NOSYS))),
        (9999, vec![], Some(Err(Errno::NOSYS))),
    ];
    for (opcode, request, wanted) in rows {
        let length = request.len();
        assert_eq!(answered(opcode, &request, 1 << 16), wanted, "operation {opcode} of {length} bytes");
    }
}

#[test]
fn an_answer_without_room_is_an_error_and_never_half_of_it() {
    for (opcode, request) in [
        (opcode::LOOKUP, b"there\0".to_vec()),
        (opcode::GETATTR, vec![0; 16]),
        (opcode::STATFS, vec![]),
        (opcode::READLINK, vec![]),
    ] {
        let whole = answered(opcode, &request, 4096).unwrap().unwrap();
        for room in 0..whole.len() {
            assert_eq!(answered(opcode, &request, room), Some(Err(Errno::IO)), "operation {opcode}, {room}");
        }
        assert_eq!(answered(opcode, &request, whole.len()), Some(Ok(whole)), "operation {opcode}");
    }
}

#[test]
fn an_answer_begins_with_its_length_its_error_and_whose_it_is() {
    let header = Header { length: 40, opcode: 1, unique: 99, id: 1, caller: Caller::default() };
    assert_eq!(answer_head(&header, 0, 128).to_vec(), numbers(&[(144, 4), (0, 4), (99, 8)]));
    let error = u64::from((-2_i32).cast_unsigned());
    assert_eq!(answer_head(&header, 2, 0).to_vec(), numbers(&[(16, 4), (error, 4), (99, 8)]));
}
