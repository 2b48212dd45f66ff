//! The plain copy: what the oracle of a row knows of its tree beyond its inodes.
//!
//! A plain directory in a user namespace cannot hold a device node, so there a fifo stands in for one and is called by
//! the device's name: to names, links, owners and times the two are alike, and neither is ever opened.
//!
//! The kernel's overlay is not quite a file system (Linux, Documentation/filesystems/overlayfs.rst, "Non-standard
//! behavior"), and no option that a user namespace may give changes that. Where a driver stands on it, the plain copy
//! behaves the same, and nothing else is let pass:
//! - a directory that a layer has is not renamed: EXDEV (`redirect_dir` excludes `userxattr`);
//! - the names of a layer's file part when one is written through: each gets its own file (`index=on` wants
//!   `CAP_DAC_READ_SEARCH` over the machine), and those that stay go on counting all of them;
//! - a name that is linked to a layer's file has a number of its own until the next step: looked up, it does not lead to
//!   where it came from (that, too, wants `CAP_DAC_READ_SEARCH` over the machine);
//! - a layer's device is not changed, renamed or linked to: EPERM, because it would first have to be made anew;
//! - `copy_file_range(2)` from a layer's file is EXDEV, upon which every program copies: it lies on another file system;
//! - an access list that a layer's file does not have cannot be removed from it: ENODATA (`compare`).
//!
//! Nor can the directory of the `plain` driver hold a device node there: it shows an empty file, and the layer says device.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::copy;
use super::tree::{Made, TIME, What};

/// What a device's node is made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Devices {
    /// mknod(2), which may be refused.
    Nodes,
    /// A fifo that stands in for it: what mknod(2) does where the sandbox records devices.
    StandIns,
}

/// Whose peculiarities the plain copy shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Like {
    /// A file system.
    Itself,
    /// overlayfs in a user namespace.
    Overlayfs,
    /// A directory that holds what the stack has, in a user namespace.
    Directory,
}

/// What is known of an inode.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// `char` or `block`, and its numbers.
    pub device: Option<(&'static str, u32, u32)>,
    /// What it always says of the number of its names.
    pub names: Option<u64>,
    /// It was there before the step.
    below: bool,
    /// And was changed since.
    copied_up: bool,
}

/// What is known of a plain copy.
pub struct Standing {
    like: Like,
    devices: Devices,
    known: HashMap<u64, Known>,
    /// Keeps the numbers of the inodes above from being given again.
    kept: Vec<OwnedFd>,
}

impl Standing {
    /// Lays the layers out, bottom first, in the working directory.
    pub fn of_layers(layers: &[Vec<Made>], like: Like, devices: Devices) -> io::Result<Self> {
        let mut standing = Self { like, devices, known: HashMap::new(), kept: Vec::new() };
        for made in layers.iter().flatten() {
            standing.lay_out(made)?;
        }
        standing.settle(".")?;
        Ok(standing)
    }

    fn lay_out(&mut self, made: &Made) -> io::Result<()> {
        let path = Path::new(&made.path);
        match (&made.what, fs::symlink_metadata(path)) {
            (What::Whiteout, _) => return remove(path),
            (What::Opaque, _) => {
                return fs::read_dir(path)?.try_for_each(|entry| remove(&entry?.path()));
            }
            (What::Dir, Ok(there)) if there.is_dir() => return super::make::attributes(made),
            (_, Ok(_)) => remove(path)?,
            (_, Err(_)) => {}
        }
        match super::make::make(made, None) {
            Err(error) if is_refused_device(made, &error) => self.stand_in(made),
            made => made,
        }
    }

    /// A fifo in place of a device.
    pub fn stand_in(&mut self, made: &Made) -> io::Result<()> {
        let device = match made.what {
            What::Char(major, minor) => ("char", major, minor),
            What::Block(major, minor) => ("block", major, minor),
            _ => return Err(Errno::INVAL.into()),
        };
        let what = if self.shows_stand_ins() { What::File("") } else { What::Fifo };
        super::make::make(&Made { what, ..made.clone() }, None)?;
        self.know(&made.path, Known { device: Some(device), ..Known::default() })
    }

    /// Gives everything below `dir` its time, and notes that it was there before the step.
    fn settle(&mut self, dir: &str) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let path = path.to_str().expect("names of the table are UTF-8");
            if fs::symlink_metadata(path)?.is_dir() {
                self.settle(path)?;
            } else {
                self.note(path)?;
            }
        }
        self.note(dir)
    }

    fn note(&mut self, path: &str) -> io::Result<()> {
        copy::set_time(path.as_ref(), TIME)?;
        let stat = fs::symlink_metadata(path)?;
        let several = !stat.is_dir() && stat.nlink() > 1 && self.like == Like::Overlayfs;
        let known = self.of(stat.ino()).unwrap_or_default();
        self.know(path, Known { names: several.then_some(stat.nlink()), below: true, ..known })
    }

    fn know(&mut self, path: &str, known: Known) -> io::Result<()> {
        self.known.insert(fs::symlink_metadata(path)?.ino(), known);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.kept.push(rustix::fs::open(path, flags, Mode::empty())?);
        Ok(())
    }

    pub fn of(&self, inode: u64) -> Option<Known> {
        self.known.get(&inode).copied()
    }

    /// Whether a process sees what stands in for a device.
    pub fn shows_stand_ins(&self) -> bool {
        self.like == Like::Directory && self.devices == Devices::Nodes
    }

    /// Whether a device is made as something that stands in for it.
    pub fn devices(&self) -> Devices {
        self.devices
    }

    /// The device that `path` is or stands for: opened, it is refused as on any mount with `nodev`.
    pub fn is_device(&self, path: &str) -> bool {
        use std::os::unix::fs::FileTypeExt as _;
        fs::metadata(path).is_ok_and(|stat| {
            let kind = stat.file_type();
            let stands_in =
                !self.shows_stand_ins() && self.of(stat.ino()).is_some_and(|known| known.device.is_some());
            kind.is_char_device() || kind.is_block_device() || stands_in
        })
    }

    /// Whether this is a layer's file that the step has linked to.
    pub fn is_apart(&self, stat: &fs::Metadata) -> bool {
        let known = self.of(stat.ino()).filter(|known| known.below && known.names.is_none());
        self.like == Like::Overlayfs && !stat.is_dir() && stat.nlink() > 1 && known.is_some()
    }

    /// What `copy_file_range(2)` from this file ends in, where that is not what any file system does.
    pub fn refuses_to_copy(&self, from: &Path) -> Option<Errno> {
        let known = fs::metadata(from).ok().and_then(|stat| self.of(stat.ino()))?;
        (self.like == Like::Overlayfs && known.below && !known.copied_up).then_some(Errno::XDEV)
    }

    /// A file is about to be changed through this name.
    pub fn part(&mut self, path: &Path) -> io::Result<()> {
        let Ok(stat) = fs::symlink_metadata(path) else { return Ok(()) };
        if let Some(known) = self.known.get_mut(&stat.ino()) {
            if self.like == Like::Overlayfs && known.below && known.device.is_some() {
                return Err(Errno::PERM.into());
            }
            known.copied_up = true;
        }
        if self.of(stat.ino()).is_none_or(|known| known.names.is_none()) {
            return Ok(());
        }
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let times = fs::symlink_metadata(dir)?;
        let own = dir.join(".own");
        copy::file(path, &own)?;
        // the other way round: renamed over a name of its own file, nothing would happen
        fs::remove_file(path)?;
        fs::rename(&own, path)?;
        copy::set_time(dir, copy::time(&times))
    }

    /// What overlayfs answers to a rename, where that is not what any file system does. Everything that the kernel
    /// finds wrong before it asks the file system is left to the plain one.
    pub fn refuses(&self, from: &Path, to: &Path, flags: RenameFlags) -> Option<Errno> {
        let stat = |path: &Path| fs::symlink_metadata(path).ok();
        let is_fixed =
            |stat: &fs::Metadata| stat.is_dir() && self.of(stat.ino()).is_some_and(|known| known.below);
        if self.like != Like::Overlayfs {
            return None;
        }
        let (source, target) = (stat(from)?, stat(to));
        let exchanged = flags.contains(RenameFlags::EXCHANGE);
        let checked = match &target {
            Some(_) if flags.contains(RenameFlags::NOREPLACE) => false,
            Some(target) => exchanged || source.is_dir() == target.is_dir(),
            None => !exchanged && to.parent().is_none_or(|dir| dir.as_os_str().is_empty() || dir.is_dir()),
        };
        let same = target.as_ref().is_some_and(|target| target.ino() == source.ino());
        if !checked || same || to.starts_with(from) || from.starts_with(to) {
            return None;
        }
        let fixed = is_fixed(&source) || exchanged && target.as_ref().is_some_and(is_fixed);
        fixed.then_some(Errno::XDEV)
    }
}

fn is_refused_device(made: &Made, error: &io::Error) -> bool {
    matches!(made.what, What::Char(..) | What::Block(..)) && error.kind() == io::ErrorKind::PermissionDenied
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// Moves the caller into `dir`, which is made.
pub fn enter(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    rustix::fs::chmodat(CWD, dir, Mode::from_raw_mode(0o755), rustix::fs::AtFlags::empty())?;
    std::env::set_current_dir(dir)
}
