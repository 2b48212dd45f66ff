//! The `fuser` crate's words for ours, and back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, INodeNo, Request, TimeOrNow};

use super::Errno;
use super::attributes::{Attributes, FileType, now};
use super::create::Owner;
use super::directory::Taken;
use crate::layer::Timestamp;

/// What a negative look-up answers with.
pub const ABSENT: Attributes = Attributes {
    id: 0,
    kind: FileType::File,
    mode: 0,
    uid: 0,
    gid: 0,
    nlink: 0,
    device: 0,
    size: 0,
    atime: Timestamp { secs: 0, nanos: 0 },
    mtime: Timestamp { secs: 0, nanos: 0 },
    ctime: Timestamp { secs: 0, nanos: 0 },
};

pub fn code(error: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(error.raw_os_error())
}

pub fn owner(request: &Request) -> Owner {
    Owner { uid: request.uid(), gid: request.gid() }
}

pub fn taken(full: bool) -> Taken {
    if full { Taken::Full } else { Taken::Yes }
}

pub fn file_type(kind: FileType) -> fuser::FileType {
    match kind {
        FileType::File => fuser::FileType::RegularFile,
        FileType::Directory => fuser::FileType::Directory,
        FileType::Symlink => fuser::FileType::Symlink,
        FileType::Char => fuser::FileType::CharDevice,
        FileType::Block => fuser::FileType::BlockDevice,
        FileType::Fifo => fuser::FileType::NamedPipe,
        FileType::Socket => fuser::FileType::Socket,
    }
}

pub fn attr(of: &Attributes) -> FileAttr {
    FileAttr {
        ino: INodeNo(of.id),
        size: of.size,
        blocks: of.size.div_ceil(512),
        atime: system_time(of.atime),
        mtime: system_time(of.mtime),
        ctime: system_time(of.ctime),
        crtime: UNIX_EPOCH,
        kind: file_type(of.kind),
        perm: u16::try_from(of.mode & 0o7777).unwrap_or(0),
        nlink: of.nlink,
        uid: of.uid,
        gid: of.gid,
        rdev: of.device,
        blksize: 4096,
        flags: 0,
    }
}

/// A time beyond what the host's clock type holds (a layer may say anything) shows as 1970.
pub fn system_time(time: Timestamp) -> SystemTime {
    let seconds = Duration::from_secs(time.secs.unsigned_abs());
    let whole = if time.secs < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
    whole.and_then(|whole| whole.checked_add(Duration::from_nanos(time.nanos.into()))).unwrap_or(UNIX_EPOCH)
}

/// `fuser` 0.18 hands over a time before 1970 as "seconds back, and the nanoseconds back too", although the wire's
/// nanoseconds count forward: undone here.
pub fn timestamp(time: TimeOrNow) -> Timestamp {
    let TimeOrNow::SpecificTime(time) = time else { return now() };
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp {
            secs: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanos: since.subsec_nanos(),
        },
        Err(error) => Timestamp {
            secs: i64::try_from(error.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
            nanos: error.duration().subsec_nanos(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_crate_in_both_directions() {
        // (on the wire and in a layer, as the crate hands it over)
        for (time, handed) in [
            (Timestamp { secs: 0, nanos: 0 }, UNIX_EPOCH),
            (Timestamp { secs: 7, nanos: 5 }, UNIX_EPOCH + Duration::new(7, 5)),
            (Timestamp { secs: -3, nanos: 7 }, UNIX_EPOCH - Duration::new(3, 7)),
        ] {
            assert_eq!(timestamp(TimeOrNow::SpecificTime(handed)), time, "{time:?}");
        }
        let before = Timestamp { secs: -3, nanos: 7 };
        assert_eq!(system_time(before), UNIX_EPOCH - Duration::new(2, 999_999_993));
        assert_eq!(
            system_time(Timestamp { secs: i64::MAX, nanos: 999_999_999 })
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .subsec_nanos(),
            999_999_999
        );
        assert!(system_time(Timestamp { secs: i64::MIN, nanos: 0 }) <= UNIX_EPOCH);
    }
}
