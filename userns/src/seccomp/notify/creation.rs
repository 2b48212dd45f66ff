//! The calls that make a new inode. Who keeps owners by inode has to see them where nobody else tells who made what.

use std::collections::BTreeMap;

use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

use super::call::{Address, Call, File, low};

/// A new inode, as its maker asks for it. Modes are as given: the umask is still to be taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum New {
    /// `open` with `O_CREAT` or `O_TMPFILE`, which may find the file there.
    File {
        /// `O_…`
        flags: u32,
        /// Permission bits.
        mode: u32,
    },
    /// `openat2`: how stands in a `struct open_how` of this address and size.
    FileAs(Address, u64),
    /// `mkdir`
    Directory {
        /// Permission bits.
        mode: u32,
    },
    /// `symlink`
    Symlink {
        /// The address of where it leads.
        target: Address,
    },
    /// `mknod` of what is no device.
    Node {
        /// Kind and permission bits.
        mode: u32,
    },
}

/// `struct open_how`, first version.
pub const OPEN_HOW: usize = 24;

const CREATE: u32 = libc::O_CREAT.unsigned_abs();
/// Without `O_DIRECTORY`, which goes with it.
const NAMELESS: u32 = libc::O_TMPFILE.unsigned_abs() & !libc::O_DIRECTORY.unsigned_abs();
const NOFOLLOW: u32 = libc::AT_SYMLINK_NOFOLLOW.unsigned_abs();

/// Handed over whatever their arguments.
const WHOLE: &[libc::c_long] = &[
    libc::SYS_openat2,
    libc::SYS_mkdirat,
    libc::SYS_symlinkat,
    libc::SYS_mknodat,
    libc::SYS_bind,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_creat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_symlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
];

/// Adds what makes inodes to what the filter hands over.
pub(super) fn add_rules(
    rules: &mut BTreeMap<i64, Vec<SeccompRule>>,
) -> Result<(), seccompiler::BackendError> {
    rules.extend(WHOLE.iter().map(|&number| (number, Vec::new())));
    let creating = |argument| {
        let with = |flag: u32| {
            let set = SeccompCmpOp::MaskedEq(flag.into());
            let set = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, set, flag.into())?;
            SeccompRule::new(vec![set])
        };
        Ok::<_, seccompiler::BackendError>(vec![with(CREATE)?, with(NAMELESS)?])
    };
    rules.insert(libc::SYS_openat, creating(2)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, creating(1)?);
    Ok(())
}

/// Reads a number and its arguments. `None`: a call that makes nothing.
pub(super) fn decode(number: libc::c_long, arguments: [u64; 6]) -> Option<Call> {
    let [first, second, third, fourth, ..] = arguments;
    let create = |file, new| Call::Create { file, new };
    let file = |flags, mode| New::File { flags: low(flags), mode: low(mode) };
    Some(match number {
        libc::SYS_openat => create(File::at(first, second, 0), file(third, fourth)),
        libc::SYS_openat2 => create(File::at(first, second, 0), New::FileAs(third, fourth)),
        libc::SYS_mkdirat => create(File::at(first, second, NOFOLLOW), New::Directory { mode: low(third) }),
        libc::SYS_symlinkat => create(File::at(second, third, NOFOLLOW), New::Symlink { target: first }),
        libc::SYS_bind => Call::Bind { socket: low(first).cast_signed(), address: second, size: low(third) },
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => create(File::named(first, 0), file(second, third)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_creat => {
            let truncating = CREATE | libc::O_TRUNC.unsigned_abs() | libc::O_WRONLY.unsigned_abs();
            create(File::named(first, 0), New::File { flags: truncating, mode: low(second) })
        }
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mkdir => create(File::named(first, NOFOLLOW), New::Directory { mode: low(second) }),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_symlink => create(File::named(second, NOFOLLOW), New::Symlink { target: first }),
        _ => return None,
    })
}

/// `mknod`: a device, or another node.
pub(super) fn node(file: File, mode: u32, device: u32) -> Call {
    match mode & libc::S_IFMT {
        libc::S_IFCHR | libc::S_IFBLK => Call::MakeDevice { file, mode, device },
        _ => Call::Create { file, new: New::Node { mode } },
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::From;
    use super::*;

    #[test]
    fn whatever_makes_an_inode_is_understood() {
        let mut rules = BTreeMap::new();
        add_rules(&mut rules).unwrap();
        for number in rules.into_keys() {
            let number = i32::try_from(number).unwrap();
            assert!(Call::decode(number, [0; 6]).is_some(), "system call {number}");
        }
    }

    #[test]
    fn arguments_mean_what_the_manual_says() {
        let at = |path, flags| File { from: From::Descriptor(7), path, flags };
        let rows = [
            (
                libc::SYS_openat,
                [7, 0x10, u64::from(CREATE), 0o640, 0, 0],
                Call::Create { file: at(0x10, 0), new: New::File { flags: CREATE, mode: 0o640 } },
            ),
            (
                libc::SYS_symlinkat,
                [0x20, 7, 0x10, 0, 0, 0],
                Call::Create { file: at(0x10, NOFOLLOW), new: New::Symlink { target: 0x20 } },
            ),
            (
                libc::SYS_mknodat,
                [7, 0x10, 0o10_644, 0, 0, 0],
                Call::Create { file: at(0x10, NOFOLLOW), new: New::Node { mode: 0o10_644 } },
            ),
            (
                libc::SYS_openat2,
                [7, 0x10, 0x20, 24, 0, 0],
                Call::Create { file: at(0x10, 0), new: New::FileAs(0x20, 24) },
            ),
            (libc::SYS_bind, [3, 0x10, 110, 0, 0, 0], Call::Bind { socket: 3, address: 0x10, size: 110 }),
        ];
        for (number, arguments, want) in rows {
            assert_eq!(Call::decode(i32::try_from(number).unwrap(), arguments), Some(want));
        }
    }
}
