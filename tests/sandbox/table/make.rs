//! One entry of a tree, made by a process.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, makedev, mknodat};

use super::plain::{Devices, Standing};
use super::tree::{Made, What};

/// Makes it, relative to the working directory. `plain`: on a plain copy, how devices are made.
pub fn make(made: &Made, plain: Option<&mut Standing>) -> io::Result<()> {
    if let Some(plain) = plain.filter(|plain| plain.devices() == Devices::StandIns)
        && matches!(made.what, What::Char(..) | What::Block(..))
    {
        return plain.stand_in(made);
    }
    let path = &made.path;
    let node = |kind, device| mknodat(CWD, path, kind, Mode::from_raw_mode(made.mode), device);
    match &made.what {
        What::Dir => fs::create_dir(path)?,
        What::File(text) => {
            fs::File::create_new(path)?;
            fs::write(path, text)?;
        }
        What::Link(target) => return fs::hard_link(target, path),
        What::Symlink(target) => symlink(target, path)?,
        What::Fifo => node(FileType::Fifo, 0)?,
        What::Char(major, minor) => node(FileType::CharacterDevice, makedev(*major, *minor))?,
        What::Block(major, minor) => node(FileType::BlockDevice, makedev(*major, *minor))?,
        What::Whiteout | What::Opaque => panic!("{path}: only in layers"),
    }
    attributes(made)
}

/// Gives it its attributes: the owner first, because that takes setuid bits and capabilities away.
pub fn attributes(made: &Made) -> io::Result<()> {
    lchown(&made.path, Some(made.owner.0), Some(made.owner.1))?;
    if !matches!(made.what, What::Symlink(_)) {
        fs::set_permissions(&made.path, fs::Permissions::from_mode(made.mode))?;
    }
    for (name, value) in made.xattrs {
        rustix::fs::lsetxattr(&made.path, *name, value, XattrFlags::empty())?;
    }
    Ok(())
}
