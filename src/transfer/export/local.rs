//! The tree of an image as files in a directory.
//!
//! Everything is made in a directory of its own within the destination, which nobody else may enter, and moved into place
//! at the end. So a path of the image leads nowhere else, and what fails before (a full disk, say) leaves the destination as
//! it was. What is there already stays; a file takes the place of a file, never of a directory, and the other way round.
//!
//! Root gets the owners that the image names. Nobody else may give files away: they are the caller's then, without the
//! setuid and setgid bits, which would lend the caller's name to whoever comes along; devices are left out.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, UTIME_OMIT, XattrFlags};
use rustix::io::Errno;

use super::{Error, Tree, disjoint, time};
use crate::layer::{Ino, Inode, Kind, Timestamp};
use crate::progress::{Event, Sink};
use crate::rootfs::{Node, Stack};

/// Writes `trees` into the directory `to`, which is made if it is not there. With `epoch`, in seconds since 1970, everything
/// is as old. What this user cannot make is told to `sink`.
pub fn local(trees: &[Tree], to: &Path, epoch: Option<i64>, sink: &dyn Sink) -> Result<(), Error> {
    disjoint(trees)?;
    let made = make_directories(to)?;
    let done = fill(trees, to, epoch, sink);
    if done.is_err() {
        for directory in made.iter().rev() {
            // What somebody else has put there meanwhile stays, and so does the directory.
            if fs::remove_dir(directory).is_err() {
                break;
            }
        }
    }
    done
}

/// Makes `to` and what is missing above it; returns what was made.
fn make_directories(to: &Path) -> Result<Vec<PathBuf>, Error> {
    let missing: Vec<&Path> =
        to.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    let mut made = Vec::new();
    for directory in missing.into_iter().rev() {
        fs::create_dir(directory).map_err(Error::file(directory))?;
        made.push(directory.to_owned());
    }
    Ok(made)
}

fn fill(trees: &[Tree], to: &Path, epoch: Option<i64>, sink: &dyn Sink) -> Result<(), Error> {
    let staging = tempfile::Builder::new()
        .prefix(".rbuild-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(to)
        .map_err(Error::file(to))?;
    let time = time(epoch);
    let mut directories = Vec::new();
    let mut left_out = Vec::new();
    let is_root = rustix::process::geteuid().is_root();
    for tree in trees {
        let place = PathBuf::from(tree.place.as_deref().unwrap_or_default());
        if tree.place.is_some() {
            make_directory(&staging.path().join(&place))?;
        }
        let mut files = Files {
            stack: &tree.stack,
            staging: staging.path(),
            is_root,
            time: &time,
            names: HashMap::new(),
            directories: Vec::new(),
            left_out: Vec::new(),
        };
        files.directory(&tree.stack.root(), &place)?;
        directories.extend(files.directories);
        left_out.extend(files.left_out);
    }
    each_entry(staging.path(), to, &mut |from, to| fits(from, to), &mut |_| Ok(()))?;
    let mut opened = Vec::new();
    let moved = each_entry(
        staging.path(),
        to,
        &mut |from, to| fs::rename(from, to).map_err(Error::file(to)),
        &mut |directory| open_up(directory, &mut opened),
    );
    if moved.is_err() {
        for (directory, mode) in opened {
            fs::set_permissions(&directory, Permissions::from_mode(mode)).map_err(Error::file(directory))?;
        }
        return moved;
    }
    // A directory that may not be written to could not have been filled, or moved.
    for (path, look) in directories.iter().rev() {
        look.give_to(&to.join(path), is_root)?;
    }
    if !left_out.is_empty() {
        let named: Vec<String> = left_out.iter().take(3).map(|path| path.display().to_string()).collect();
        let more = if left_out.len() > named.len() { ", …" } else { "" };
        let text = format!(
            "{}: {} devices or attributes that only root can make are left out ({}{more}); a tar has them",
            to.display(),
            left_out.len(),
            named.join(", ")
        );
        sink.event(Event::Warning(text));
    }
    Ok(())
}

/// Lets the caller write to a directory that was there; it gets the look that the image gives it afterwards.
fn open_up(directory: &Path, opened: &mut Vec<(PathBuf, u32)>) -> Result<(), Error> {
    let mode = fs::symlink_metadata(directory).map_err(Error::file(directory))?.permissions().mode();
    if mode & 0o300 != 0o300 {
        fs::set_permissions(directory, Permissions::from_mode(mode | 0o700))
            .map_err(Error::file(directory))?;
        opened.push((directory.to_owned(), mode));
    }
    Ok(())
}

/// Calls `act` with what is in `from` and where it goes in `to`. Where both have a directory it calls `enter` with the
/// latter and goes down.
fn each_entry(
    from: &Path,
    to: &Path,
    act: &mut dyn FnMut(&Path, &Path) -> Result<(), Error>,
    enter: &mut dyn FnMut(&Path) -> Result<(), Error>,
) -> Result<(), Error> {
    let entries = fs::read_dir(from).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    for entry in entries.map_err(Error::file(from))? {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let is_directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
        if is_directory(&from) && is_directory(&to) {
            enter(&to)?;
            each_entry(&from, &to, act, enter)?;
        } else {
            act(&from, &to)?;
        }
    }
    Ok(())
}

/// Whether what is at `to` may be replaced.
fn fits(from: &Path, to: &Path) -> Result<(), Error> {
    let is_directory = fs::symlink_metadata(from).map_err(Error::file(from))?.is_dir();
    match fs::symlink_metadata(to) {
        Ok(there) if is_directory || there.is_dir() => {
            let (new, old) =
                if is_directory { ("a directory", "no directory") } else { ("no directory", "a directory") };
            Err(Error::InTheWay { path: to.to_owned(), new, old })
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::file(to)(error)),
    }
}

fn make_directory(path: &Path) -> Result<(), Error> {
    DirBuilder::new().mode(0o700).create(path).map_err(Error::file(path))
}

/// The files of one tree on their way into the staging directory.
struct Files<'a> {
    stack: &'a Stack,
    staging: &'a Path,
    is_root: bool,
    time: &'a dyn Fn(Timestamp) -> Timestamp,
    /// Files that have a name already.
    names: HashMap<(usize, Ino), PathBuf>,
    /// Directories, parents first, with what they are to look like.
    directories: Vec<(PathBuf, Look)>,
    /// What this user cannot make.
    left_out: Vec<PathBuf>,
}

impl Files<'_> {
    /// All that is in the directory `node`, which is at `path`.
    fn directory(&mut self, node: &Node, path: &Path) -> Result<(), Error> {
        for (name, child) in self.stack.read_dir(node) {
            let path = path.join(OsStr::from_bytes(&name));
            if self.stack.is_dir(&child) {
                let to = self.staging.join(&path);
                // Another platform may have made it; what it is to look like, the first one says.
                if !fs::symlink_metadata(&to).is_ok_and(|there| there.is_dir()) {
                    make_directory(&to)?;
                }
                let look = self.look(&child, &path);
                self.directories.push((path.clone(), look));
                self.directory(&child, &path)?;
            } else {
                self.file(&child, path)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, node: &Node, path: PathBuf) -> Result<(), Error> {
        let to = self.staging.join(&path);
        let id = self.stack.file_id(node);
        if let Some(first) = self.names.get(&id) {
            return fs::hard_link(self.staging.join(first), &to).map_err(Error::file(to));
        }
        let inode = self.stack.inode(node);
        let made = match inode.kind {
            Kind::File => self.regular(node, &to),
            Kind::Symlink(target) => std::os::unix::fs::symlink(OsStr::from_bytes(target), &to),
            Kind::Fifo => special(&to, FileType::Fifo, 0),
            Kind::Char { .. } | Kind::Block { .. } if !self.is_root => {
                self.left_out.push(path);
                return Ok(());
            }
            Kind::Char { major, minor } => {
                special(&to, FileType::CharacterDevice, rustix::fs::makedev(major, minor))
            }
            Kind::Block { major, minor } => {
                special(&to, FileType::BlockDevice, rustix::fs::makedev(major, minor))
            }
            Kind::Directory | Kind::LinkBelow(_) => unreachable!("a stack shows neither as a file"),
        };
        made.map_err(Error::file(&to))?;
        self.look(node, &path).give_to(&to, self.is_root)?;
        self.names.insert(id, path);
        Ok(())
    }

    fn regular(&self, node: &Node, to: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
        io::copy(&mut self.stack.open(node), &mut file).map(drop)
    }

    fn look(&mut self, node: &Node, path: &Path) -> Look {
        let inode = self.stack.inode(node);
        let mut xattrs = Vec::new();
        for (name, value) in self.stack.xattrs(node) {
            if self.is_root || name.starts_with(b"user.") {
                xattrs.push((name, value));
            } else {
                self.left_out.push(path.to_owned());
            }
        }
        Look::new(&inode, (self.time)(inode.mtime), xattrs)
    }
}

fn special(to: &Path, kind: FileType, device: u64) -> io::Result<()> {
    Ok(rustix::fs::mknodat(CWD, to, kind, Mode::RUSR | Mode::WUSR, device)?)
}

/// What a file or directory is to look like.
struct Look {
    is_symlink: bool,
    mode: u32,
    owner: (u32, u32),
    mtime: Timestamp,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Look {
    fn new(inode: &Inode<'_>, mtime: Timestamp, xattrs: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        let is_symlink = matches!(inode.kind, Kind::Symlink(_));
        Self { is_symlink, mode: inode.mode, owner: (inode.uid, inode.gid), mtime, xattrs }
    }

    /// chown(2) clears setuid bits and capabilities, and a file that may not be written to takes no attributes: so owner,
    /// attributes, mode, time.
    fn give_to(&self, path: &Path, is_root: bool) -> Result<(), Error> {
        let at = |error: Errno| Error::file(path)(error.into());
        if is_root {
            std::os::unix::fs::lchown(path, Some(self.owner.0), Some(self.owner.1))
                .map_err(Error::file(path))?;
        }
        for (name, value) in &self.xattrs {
            let name = OsStr::from_bytes(name);
            rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).map_err(at)?;
        }
        if !self.is_symlink {
            let kept = if is_root { 0o7777 } else { 0o1777 };
            fs::set_permissions(path, Permissions::from_mode(self.mode & kept)).map_err(Error::file(path))?;
        }
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: self.mtime.secs, tv_nsec: self.mtime.nanos.into() },
        };
        rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(at)
    }
}
