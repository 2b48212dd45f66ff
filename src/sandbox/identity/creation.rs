//! Calls that make an inode, where the kernel makes it and tells nobody whose it is ([`Files::Registered`]).
//!
//! Root's new files are what they seem, and the kernel makes them. What anybody else makes, and what takes the group of
//! its directory, is made by the clerk in the caller's stead: with the caller's umask, where the caller's path leads, and
//! only if it was not there before; a file that was there is the kernel's to open. The clerk answers one call after the
//! other and notes the owner before it answers, so nobody who asks afterwards, the caller or another, sees root's.
//!
//! A file is noted by the descriptor that made it. A directory, link or node has none: it is looked up by its name right
//! after, and only a process that renames it in this very moment would leave it root's.

use std::ffi::CString;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rbuild_userns::peer::borrow;
use rbuild_userns::seccomp::notify::call::{Address, File, From};
use rbuild_userns::seccomp::notify::creation::{New, OPEN_HOW};
use rbuild_userns::seccomp::notify::{Answer, AtExec};
use rbuild_userns::status::{Status, Wanted};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::net::SocketAddrUnix;

use super::caller::Caller;
use super::clerk::{Desk, locked};
use super::view::Place;
use super::{Errno, errno};
use crate::rootfs::{Device, Files, Inode, Owner};

const ROOT: Owner = Owner { uid: 0, gid: 0 };
const SET_GROUP: u32 = 0o2000;
/// `AT_EMPTY_PATH`
const EMPTY: u32 = 0x1000;
/// As many symlinks on the way as the kernel follows.
const MOST_LINKS: usize = 40;
const PATH: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// Without `O_DIRECTORY`, which goes with it.
const NAMELESS: OFlags = OFlags::TMPFILE.difference(OFlags::DIRECTORY);

/// A directory and a name in it.
pub(super) struct Spot {
    pub directory: Place,
    pub name: CString,
}

impl Spot {
    /// Where `place` is in its directory. `None`: there can be nothing new of that name.
    pub fn of(place: &Place) -> Option<Self> {
        let path = place.path.to_bytes();
        let split = path.iter().rposition(|&byte| byte == b'/')?;
        let name = &path[split + 1..];
        if matches!(name, b"" | b"." | b"..") {
            return None;
        }
        let directory = if split == 0 { &b"/"[..] } else { &path[..split] };
        let directory = Place { path: CString::new(directory).ok()?, flags: 0 };
        Some(Self { directory, name: CString::new(name).ok()? })
    }

    /// The same of a directory, whose name may end in slashes.
    pub fn of_directory(place: &Place) -> Option<Self> {
        let mut path = place.path.to_bytes().to_vec();
        while path.last() == Some(&b'/') {
            path.pop();
        }
        Self::of(&Place { path: CString::new(path).ok()?, flags: place.flags })
    }
}

/// How a file is to be opened.
#[derive(Clone, Copy, Debug)]
struct How {
    flags: OFlags,
    mode: Mode,
    resolve: ResolveFlags,
}

/// The place of something new, found.
struct Found {
    directory: OwnedFd,
    owner: Owner,
}

impl Desk<'_> {
    pub(super) fn create(&mut self, caller: &Caller<'_>, file: File, new: New) -> Result<Answer, Errno> {
        let place = self.view.place(caller, file);
        let (Some(place), Files::Registered(_)) = (place, self.books.files()) else {
            return Ok(Answer::Go);
        };
        match new {
            New::File { flags, mode } => {
                let (flags, mode) = (OFlags::from_bits_retain(flags), Mode::from_raw_mode(mode));
                let how = How { flags, mode, resolve: ResolveFlags::empty() };
                self.open(caller, &place, how)
            }
            New::FileAs(how, size) => match read_how(caller, how, size) {
                Some(how) => self.open(caller, &place, how),
                None => Ok(Answer::Go),
            },
            New::Directory { mode } => {
                let Some(spot) = Spot::of_directory(&place) else { return Ok(Answer::Go) };
                let mode = Mode::from_raw_mode(mode);
                self.make(caller, &spot, None, |at, name| rustix::fs::mkdirat(at, name, mode))
            }
            New::Symlink { target } => {
                let Some(spot) = Spot::of(&place) else { return Ok(Answer::Go) };
                let leads_to = caller.read_path(target)?;
                self.make(caller, &spot, None, |at, name| rustix::fs::symlinkat(&leads_to[..], at, name))
            }
            New::Node { mode } => {
                let Some(spot) = Spot::of(&place) else { return Ok(Answer::Go) };
                let kind = match FileType::from_raw_mode(mode) {
                    // mknod(2): no kind is a file
                    FileType::Unknown if mode & 0o170_000 == 0 => FileType::RegularFile,
                    kind @ (FileType::RegularFile | FileType::Fifo | FileType::Socket) => kind,
                    _ => return Ok(Answer::Go),
                };
                let mode = Mode::from_raw_mode(mode);
                self.make(caller, &spot, None, |at, name| rustix::fs::mknodat(at, name, kind, mode, 0))
            }
        }
    }

    /// A device: what the kernel lets anybody make stands in for it.
    pub(super) fn stand_in(
        &mut self,
        caller: &Caller<'_>,
        spot: &Spot,
        mode: Mode,
        device: Device,
    ) -> Result<Answer, Errno> {
        self.make(caller, spot, Some(device), |at, name| {
            match rustix::fs::mknodat(at, name, FileType::CharacterDevice, mode, 0) {
                // overlayfs keeps that for itself
                Err(Errno::PERM) => rustix::fs::mknodat(at, name, FileType::RegularFile, mode, 0),
                made => made,
            }
        })
    }

    /// A name for a socket.
    pub(super) fn bind(
        &mut self,
        caller: &Caller<'_>,
        socket: i32,
        address: Address,
        size: u32,
    ) -> Result<Answer, Errno> {
        let Some(path) = socket_path(caller, address, size) else { return Ok(Answer::Go) };
        let named = |desk: &mut Self, path: Vec<u8>| desk.view.lead(caller.thread, From::Here, path, 0);
        let Some(spot) = named(self, path.clone()).and_then(|place| Spot::of(&place)) else {
            return Ok(Answer::Go);
        };
        let Some(here) = named(self, b".".to_vec()) else { return Ok(Answer::Go) };
        let process = self.view.process(caller.thread);
        let socket = borrow(caller.thread, process, socket).map_err(|error| errno(&error))?;
        let here = openat(self.view.from(), &here.path, PATH | OFlags::DIRECTORY, Mode::empty())?;
        self.make(caller, &spot, None, |_, _| {
            // by the caller's words, which getsockname(2) repeats
            rustix::process::fchdir(&here)?;
            let bound = rustix::net::bind(&socket, &SocketAddrUnix::new(&path[..])?);
            rustix::process::chdir("/")?;
            bound
        })
    }

    /// What has no descriptor.
    fn make(
        &mut self,
        caller: &Caller<'_>,
        spot: &Spot,
        device: Option<Device>,
        make: impl FnOnce(BorrowedFd<'_>, &CString) -> Result<(), Errno>,
    ) -> Result<Answer, Errno> {
        let Some(owner) = self.owner_of_new(caller.thread, &spot.directory) else { return Ok(Answer::Go) };
        if device.is_none() && self.is_as_it_seems(owner) {
            return Ok(Answer::Go);
        }
        let directory =
            openat(self.view.from(), &spot.directory.path, PATH | OFlags::DIRECTORY, Mode::empty())?;
        let umask = self.umask(caller.thread).ok_or(Errno::SRCH)?;
        caller.still_waits()?;
        let books = self.books;
        let _making = locked(&books.making);
        under(umask, || make(directory.as_fd(), &spot.name))?;
        match openat(&directory, &spot.name, PATH | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(made) => self.note(made.as_fd(), owner, device),
            // renamed away already
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        }?;
        Ok(Answer::Value(0))
    }

    fn open(&mut self, caller: &Caller<'_>, place: &Place, how: How) -> Result<Answer, Errno> {
        let is_nameless = how.flags.contains(NAMELESS);
        let makes = how.flags.contains(OFlags::CREATE) || is_nameless;
        // with O_DIRECTORY nothing is made, with O_PATH the rest is not looked at
        let is_odd =
            how.flags.contains(OFlags::PATH) || (how.flags.contains(OFlags::DIRECTORY) && !is_nameless);
        if !makes || is_odd {
            return Ok(Answer::Go);
        }
        if is_nameless {
            let Some(owner) = self.owner_of_new(caller.thread, place) else { return Ok(Answer::Go) };
            if self.is_as_it_seems(owner) {
                return Ok(Answer::Go);
            }
            let directory = openat(self.view.from(), &place.path, PATH | OFlags::DIRECTORY, Mode::empty())?;
            let open = || openat(&directory, c".", how.flags | OFlags::CLOEXEC, how.mode);
            let file = self.make_file(caller, owner, open)?;
            return caller.hand(file, at_exec(how.flags));
        }
        let Some(spot) = Spot::of(place) else { return Ok(Answer::Go) };
        let Some(owner) = self.owner_of_new(caller.thread, &spot.directory) else { return Ok(Answer::Go) };
        if self.is_as_it_seems(owner) {
            return Ok(Answer::Go);
        }
        let directory = self.enter(&spot.directory, how.resolve)?;
        self.open_new(caller, Found { directory, owner }, spot.name, how)
    }

    /// Makes the file, if need be where a symlink leads.
    fn open_new(
        &mut self,
        caller: &Caller<'_>,
        mut found: Found,
        mut name: CString,
        how: How,
    ) -> Result<Answer, Errno> {
        // no symlink is followed then
        let flags = how.flags | OFlags::EXCL | OFlags::CLOEXEC;
        let follows = !how.flags.intersects(OFlags::EXCL | OFlags::NOFOLLOW) && how.resolve.is_empty();
        for _ in 0..MOST_LINKS {
            let opened = self.make_file(caller, found.owner, || {
                if how.resolve.is_empty() {
                    openat(&found.directory, &name, flags, how.mode)
                } else {
                    openat2(&found.directory, &name, flags, how.mode, how.resolve)
                }
            });
            match opened {
                Ok(file) => {
                    let handed = caller.hand(file, at_exec(how.flags));
                    if handed.is_err() {
                        rustix::fs::unlinkat(&found.directory, &name, AtFlags::empty())?;
                    }
                    return handed;
                }
                Err(Errno::EXIST) if follows => {}
                // it was there: nothing is made
                Err(Errno::EXIST) => return Ok(Answer::Go),
                Err(errno) => return Err(errno),
            }
            match self.follow(caller.thread, &found.directory, &name) {
                Some((next, last)) => (found, name) = (next, last),
                None => return Ok(Answer::Go),
            }
        }
        Err(Errno::LOOP)
    }

    /// Where a symlink leads that leads to nothing yet. `None`: it is none, or leads to something.
    fn follow(&mut self, thread: i32, directory: &OwnedFd, name: &CString) -> Option<(Found, CString)> {
        let target = rustix::fs::readlinkat(directory, name, Vec::new()).ok()?;
        if rustix::fs::statat(directory, name, AtFlags::empty()).is_ok() {
            return None;
        }
        let target = target.into_bytes();
        let place = match target.first() {
            Some(b'/') => self.view.lead(thread, From::Here, target, 0)?,
            _ => Place {
                path: CString::new(
                    [format!("thread-self/fd/{}/", directory.as_raw_fd()).into_bytes(), target].concat(),
                )
                .ok()?,
                flags: 0,
            },
        };
        let spot = Spot::of(&place)?;
        let owner = self.owner_of_new(thread, &spot.directory)?;
        let directory = self.enter(&spot.directory, ResolveFlags::empty()).ok()?;
        Some((Found { directory, owner }, spot.name))
    }

    /// Whose something new in a directory is: the caller's, or in part the directory's. `None` if it is not the root's.
    fn owner_of_new(&self, thread: i32, directory: &Place) -> Option<Owner> {
        let status = self.view.status(directory, self.wanted())?;
        self.books.root(status.device())?;
        let identity = self.books.people.of(thread);
        let owner = Owner { uid: identity.user.file_system, gid: identity.group.file_system };
        if status.mode() & SET_GROUP == 0 {
            return Some(owner);
        }
        Some(Owner { gid: self.owner(directory, &status)?.gid, ..owner })
    }

    /// Whether the kernel may make it and nobody need note it.
    fn is_as_it_seems(&self, owner: Owner) -> bool {
        match self.books.files() {
            Files::Registered(register) => owner == ROOT && register.knows_births(),
            Files::Served(_) => true,
        }
    }

    fn enter(&self, directory: &Place, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        let flags = PATH | OFlags::DIRECTORY;
        if resolve.is_empty() {
            return openat(self.view.from(), &directory.path, flags, Mode::empty());
        }
        // `42/cwd` and `42/fd/7` are the start, which is no part of what the caller restricts
        let path = directory.path.to_bytes();
        let starts_at = |count: usize| path.iter().enumerate().filter(|(_, byte)| **byte == b'/').nth(count);
        let fd = path.split(|&byte| byte == b'/').nth(1) == Some(b"fd");
        let end = starts_at(if fd { 2 } else { 1 }).map_or(path.len(), |(at, _)| at);
        let start = openat(self.view.from(), &path[..end], flags, Mode::empty())?;
        match path.get(end + 1..) {
            None | Some([]) => Ok(start),
            Some(rest) => openat2(start, rest, flags, Mode::empty(), resolve),
        }
    }

    /// Makes a file and notes whose it is.
    fn make_file(
        &mut self,
        caller: &Caller<'_>,
        owner: Owner,
        open: impl FnOnce() -> Result<OwnedFd, Errno>,
    ) -> Result<OwnedFd, Errno> {
        let umask = self.umask(caller.thread).ok_or(Errno::SRCH)?;
        caller.still_waits()?;
        let books = self.books;
        let _making = locked(&books.making);
        let file = under(umask, open)?;
        self.note(file.as_fd(), owner, None)?;
        Ok(file)
    }

    /// Notes whose something new is.
    fn note(&mut self, made: BorrowedFd<'_>, owner: Owner, device: Option<Device>) -> Result<(), Errno> {
        let status = Status::of(made, c"", EMPTY, Wanted::BORN).map_err(|error| errno(&error))?;
        let inode = Inode { device: status.device(), number: status.number(), born: status.born() };
        if let Files::Registered(register) = self.books.files() {
            register.begin(&inode, owner, device);
        }
        // not the open file itself: a program that is still open for writing cannot be executed
        let itself = format!("thread-self/fd/{}", made.as_raw_fd());
        self.young.keep(inode.born, || openat(self.view.from(), itself, PATH, Mode::empty()))
    }
}

fn at_exec(flags: OFlags) -> AtExec {
    if flags.contains(OFlags::CLOEXEC) { AtExec::Closes } else { AtExec::Stays }
}

/// Does it with this umask: the clerk's is its own, and otherwise of no matter.
fn under<T>(umask: u32, work: impl FnOnce() -> T) -> T {
    let before = rustix::process::umask(Mode::from_raw_mode(umask));
    let done = work();
    rustix::process::umask(before);
    done
}

/// `struct open_how`. `None`: the kernel shall say what is wrong with it.
fn read_how(caller: &Caller<'_>, from: Address, size: u64) -> Option<How> {
    if size < OPEN_HOW as u64 {
        return None;
    }
    let bytes = caller.read(from, OPEN_HOW).ok()?;
    let mut words = bytes.chunks_exact(8).map(|word| word.try_into().map(u64::from_ne_bytes));
    let mut word = || words.next()?.ok();
    let (flags, mode, resolve) = (word()?, word()?, word()?);
    let flags = OFlags::from_bits_retain(u32::try_from(flags).ok()?);
    let mode = Mode::from_bits(u32::try_from(mode).ok()?)?;
    Some(How { flags, mode, resolve: ResolveFlags::from_bits_retain(resolve) })
}

/// The path that a socket's address names, if it is one of the file system.
fn socket_path(caller: &Caller<'_>, address: Address, size: u32) -> Option<Vec<u8>> {
    /// `struct sockaddr_un`
    const MOST: usize = 110;
    const FAMILY: usize = 2;
    let size = usize::try_from(size).ok().filter(|size| (FAMILY + 1..=MOST).contains(size))?;
    let bytes = caller.read(address, size).ok()?;
    let family = u16::from_ne_bytes([bytes[0], bytes[1]]);
    let path = bytes[FAMILY..].split(|&byte| byte == 0).next()?;
    (family == rustix::net::AddressFamily::UNIX.as_raw() && !path.is_empty()).then(|| path.to_vec())
}
