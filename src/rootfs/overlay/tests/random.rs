//! Any operations in any order, step after step, against the same on a plain copy. What a table's author does not think
//! of is found here: renamed directories of the stack within exchanged ones, links out of them, names that come back.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, OFlags, RenameFlags, Timespec, Timestamps, XattrFlags};

use super::dump::Row;
use super::namespace::{Half, enter};
use super::{Scratch, dump, oracle};
use crate::rootfs::Stack;

const LAYERS: [&str; 3] = [
    "dir a\nfile a/a 1\nlink a/b a/a\ndir a/c\nfile a/c/a 2\nlink b a/a\ndir a/c/b\nfile a/c/b/c 3\ndir c\nfile c/a 4\ndir d",
    "wh a/b\nfile a/d 5\ndir c\nopaque c\nfile c/b 6\nlink c/c a/c/a\nsymlink d/a ../a",
    "file d/b 7\nlink d/c d/b\nwh a/c/b",
];

/// Numbers from a seed: xorshift64*, S. Vigna, "An experimental exploration of Marsaglia's xorshift generators".
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    /// One of few paths, so that they meet.
    fn path(&mut self) -> String {
        let depth = 1 + self.below(3);
        let names: Vec<_> =
            (0..depth).map(|_| ["a", "b", "c", "d"][usize::try_from(self.below(4)).unwrap()]).collect();
        names.join("/")
    }
}

#[derive(Debug)]
enum Operation {
    Write(String, u64),
    Append(String),
    WriteAt(String, u64),
    Truncate(String, u64),
    MakeDirectory(String),
    Unlink(String),
    RemoveDirectory(String),
    RemoveTree(String),
    Rename(String, String),
    KeepingRename(String, String),
    Exchange(String, String),
    Link(String, String),
    Symlink(String),
    Fifo(String),
    Chmod(String, u32),
    Touch(String),
    Attribute(String, u64),
    NoAttribute(String),
    List(String),
}

impl Operation {
    fn random(numbers: &mut Numbers) -> Self {
        let (path, other) = (numbers.path(), numbers.path());
        match numbers.below(28) {
            0..3 => Self::Write(path, numbers.below(200_000)),
            3 => Self::Append(path),
            4 => Self::WriteAt(path, numbers.below(100_000)),
            5 => Self::Truncate(path, numbers.below(100_000)),
            6..8 => Self::MakeDirectory(path),
            8 => Self::Unlink(path),
            9 => Self::RemoveDirectory(path),
            10 => Self::RemoveTree(path),
            11..15 => Self::Rename(path, other),
            15 => Self::KeepingRename(path, other),
            16..19 => Self::Exchange(path, other),
            19..21 => Self::Link(path, other),
            21 => Self::Symlink(path),
            22 => Self::Fifo(path),
            23 => Self::Chmod(path, [0o700, 0o644, 0o4755][usize::try_from(numbers.below(3)).unwrap()]),
            24 => Self::Touch(path),
            25 => Self::Attribute(path, numbers.below(3)),
            26 => Self::NoAttribute(path),
            _ => Self::List(path),
        }
    }

    fn run(&self, root: &Path) -> io::Result<String> {
        let at = |path: &str| root.join(path);
        let rename =
            |from: &str, to: &str, flags| rustix::fs::renameat_with(CWD, at(from), CWD, at(to), flags);
        // A fifo is not waited for.
        let open = || {
            let mut options = OpenOptions::new();
            options.write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
            options
        };
        match self {
            Self::Write(path, length) => {
                let bytes = vec![b'w'; usize::try_from(*length).unwrap()];
                open().create(true).truncate(true).open(at(path))?.write_all(&bytes)?;
            }
            Self::Append(path) => open().append(true).open(at(path))?.write_all(b"more")?,
            Self::WriteAt(path, offset) => open().open(at(path))?.write_all_at(b"at", *offset)?,
            Self::Truncate(path, length) => open().open(at(path))?.set_len(*length)?,
            Self::MakeDirectory(path) => fs::create_dir(at(path))?,
            Self::Unlink(path) => fs::remove_file(at(path))?,
            Self::RemoveDirectory(path) => fs::remove_dir(at(path))?,
            Self::RemoveTree(path) => fs::remove_dir_all(at(path))?,
            Self::Rename(from, to) => rename(from, to, RenameFlags::empty())?,
            Self::KeepingRename(from, to) => rename(from, to, RenameFlags::NOREPLACE)?,
            Self::Exchange(one, other) => rename(one, other, RenameFlags::EXCHANGE)?,
            Self::Link(from, to) => fs::hard_link(at(from), at(to))?,
            Self::Symlink(path) => symlink("a", at(path))?,
            Self::Fifo(path) => rustix::fs::mknodat(CWD, at(path), FileType::Fifo, 0o600.into(), 0)?,
            Self::Chmod(path, mode) => fs::set_permissions(at(path), Permissions::from_mode(*mode))?,
            Self::Touch(path) => {
                let time = Timespec { tv_sec: 5, tv_nsec: 6 };
                let times = Timestamps { last_access: time, last_modification: time };
                rustix::fs::utimensat(CWD, at(path), &times, AtFlags::SYMLINK_NOFOLLOW)?;
            }
            Self::Attribute(path, value) => {
                rustix::fs::setxattr(at(path), "user.a", &value.to_le_bytes(), XattrFlags::empty())?;
            }
            Self::NoAttribute(path) => rustix::fs::removexattr(at(path), "user.a")?,
            Self::List(path) => {
                let mut names: Vec<_> =
                    fs::read_dir(at(path))?.map(|entry| entry.unwrap().file_name()).collect();
                names.sort();
                return Ok(format!("{names:?}"));
            }
        }
        Ok(String::new())
    }
}

/// A run of steps from one seed. Errors with what differs first.
fn steps(seed: u64) -> Result<(), String> {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let scratch = Scratch::new();
    let mut stack = scratch.stack(&LAYERS);
    let plain: PathBuf = scratch.make("plain");
    oracle::materialise(&dump::stack(&stack), &plain);
    for step in 0..3 {
        let root = scratch.mount(&stack);
        for number in 0..40 {
            let operation = Operation::random(&mut numbers);
            let [saw, expected] =
                [root.path(), &plain].map(|root| operation.run(root).map_err(|error| error.raw_os_error()));
            if saw != expected {
                return Err(format!(
                    "step {step}, {number}: {operation:?} saw {saw:?}, expected {expected:?}"
                ));
            }
        }
        let expected = dump::directory(&plain);
        compare(&format!("step {step}, live"), &dump::directory(root.path()), &expected)?;
        let layer = scratch.freeze(root, &[]);
        stack = Stack::new(stack.layers().iter().cloned().chain([layer]).collect());
        compare(&format!("step {step}, frozen"), &dump::stack(&stack), &expected)?;
    }
    Ok(())
}

fn compare(what: &str, tree: &[Row], expected: &[Row]) -> Result<(), String> {
    let without_root =
        |rows: &[Row]| rows.iter().filter(|row| !row.path.is_empty()).cloned().collect::<Vec<_>>();
    let (tree, expected) = (without_root(tree), without_root(expected));
    let more: Vec<_> = tree.iter().filter(|row| !expected.contains(row)).collect();
    let less: Vec<_> = expected.iter().filter(|row| !tree.contains(row)).collect();
    if more.is_empty() && less.is_empty() {
        return Ok(());
    }
    Err(format!("{what}\n    has {more:?}\n    not {less:?}"))
}

/// `RBUILD_TEST_SEEDS=FIRST-LAST` runs others.
#[test]
fn any_operations_leave_what_they_leave_on_a_plain_copy() {
    if enter("rootfs::overlay::tests::random::any_operations_leave_what_they_leave_on_a_plain_copy")
        == Half::Outer
    {
        return;
    }
    rustix::process::umask(0o022.into());
    let seeds = std::env::var("RBUILD_TEST_SEEDS").unwrap_or_else(|_| "1-12".into());
    let (first, last) = seeds.split_once('-').expect("FIRST-LAST");
    for seed in first.parse().unwrap()..=last.parse().unwrap() {
        if let Err(difference) = steps(seed) {
            panic!("seed {seed}: {difference}");
        }
    }
}
