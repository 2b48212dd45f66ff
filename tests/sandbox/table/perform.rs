//! The performer: this program once more, inside a step or on a plain copy, doing what the rows say.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FileType, Mode, OFlags, RenameFlags, StatxFlags, Timespec, Timestamps,
    UTIME_NOW, XattrFlags,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};

use super::copy;
use super::line::content;
use super::look::{list_xattrs, xattr};
use super::make::make;
use super::plain::Standing;
use super::tree::{CAPABILITY, Made, What, tree};

/// What a word came to.
type Saw = io::Result<String>;

/// The words that change a file, also one that a symlink leads to.
const FOLLOWING: [&str; 15] = [
    "append",
    "write",
    "overwrite",
    "map-write",
    "truncate",
    "fill",
    "allocate",
    "chmod",
    "touch",
    "setxattr",
    "setxattr-new",
    "setxattr-old",
    "capability",
    "access-list",
    "default-list",
];

/// Does what the words of one row say, in the working directory.
#[derive(Default)]
pub struct Performer {
    /// What is known of the plain copy, if this is one.
    pub plain: Option<Standing>,
    /// The file that words beginning with `held-` mean.
    held: Option<File>,
    reader: Option<File>,
    number: Option<u64>,
}

impl Performer {
    /// On a plain copy, of which this is known.
    pub fn on_plain_copy(plain: Standing) -> Self {
        Self { plain: Some(plain), ..Self::default() }
    }

    /// Does one thing after the other, and returns what each came to.
    pub fn perform(&mut self, words: &str) -> Vec<String> {
        let one = |words: &str| match self.word(words) {
            Ok(saw) => format!("{words}: {saw}"),
            Err(error) => format!("{words}: {error}"),
        };
        words.split(';').map(str::trim).filter(|words| !words.is_empty()).map(one).collect()
    }

    fn word(&mut self, words: &str) -> Saw {
        let words: Vec<String> = words.split_whitespace().map(expand).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            [verb, ..] if verb.starts_with("held-") || verb == "hold" => self.held(&words),
            ["as", user, ..] => self.as_user(user, &words[2..].join(" ")),
            ["reader", path] => {
                self.reader = Some(File::open(path)?);
                done(Ok(()))
            }
            ["reader-read"] => whole(self.reader.as_ref()),
            ["number", path] => {
                self.number = Some(fs::symlink_metadata(path)?.ino());
                done(Ok(()))
            }
            ["same-number", path] => Ok((self.number == Some(fs::symlink_metadata(path)?.ino())).to_string()),
            ["rename", from, to] => self.rename(from, to, RenameFlags::empty()),
            ["rename-free", from, to] => self.rename(from, to, RenameFlags::NOREPLACE),
            ["exchange", from, to] => self.rename(from, to, RenameFlags::EXCHANGE),
            ["mv", from, to] => self.mv(from, to),
            ["make", at] => self.make_all(&tree(at)),
            ["make-in", at] => self.make_all(&tree(at)[1..]),
            ["mkchar", path, mode, number] => self.device(path, mode, number, What::Char),
            ["mkblock", path, mode, number] => self.device(path, mode, number, What::Block),
            ["open", path, ..] | ["read", path]
                if self.plain.as_ref().is_some_and(|plain| plain.is_device(path)) =>
            {
                Err(Errno::ACCESS.into())
            }
            [verb, path, ..] if FOLLOWING.contains(&verb) => {
                self.part_followed(path)?;
                change(&words)
            }
            ["chown" | "utimes", path, ..] => {
                self.part(path)?;
                change(&words)
            }
            ["copy-range", from, path, ..] => {
                self.part_followed(path)?;
                match self.plain.as_ref().and_then(|plain| plain.refuses_to_copy(from.as_ref())) {
                    Some(errno) => Err(errno.into()),
                    None => change(&words),
                }
            }
            ["link", from, to] => {
                if fs::symlink_metadata(to).is_err() && Path::new(to).parent().is_some_and(Path::is_dir) {
                    self.part(from)?;
                }
                done(fs::hard_link(from, to))
            }
            _ => look_or_name(&words),
        }
    }

    /// Does one thing as `UID:GID`, without privileges.
    fn as_user(&mut self, user: &str, words: &str) -> Saw {
        let (uid, gid) = owners(user);
        let become_user = |uid, gid| -> io::Result<()> {
            set_thread_res_gid(None, Some(Gid::from_raw(gid)), None)?;
            Ok(set_thread_res_uid(None, Some(Uid::from_raw(uid)), None)?)
        };
        become_user(uid.expect("UID:GID"), gid.expect("UID:GID"))?;
        let saw = self.word(words);
        set_thread_res_uid(None, Some(Uid::ROOT), None)?;
        set_thread_res_gid(None, Some(Gid::ROOT), None)?;
        saw
    }

    /// On a plain copy that is like overlayfs: a file is about to be changed by this name.
    fn part(&mut self, path: &str) -> io::Result<()> {
        self.plain.as_mut().map_or(Ok(()), |plain| plain.part(path.as_ref()))
    }

    fn part_followed(&mut self, path: &str) -> io::Result<()> {
        match fs::canonicalize(path) {
            Ok(real) => self.plain.as_mut().map_or(Ok(()), |plain| plain.part(&real)),
            Err(_) => Ok(()),
        }
    }

    fn rename(&mut self, from: &str, to: &str, flags: RenameFlags) -> Saw {
        if let Some(plain) = &mut self.plain {
            if let Some(errno) = plain.refuses(from.as_ref(), to.as_ref(), flags) {
                return Err(errno.into());
            }
            let replaces = |path: &str| fs::symlink_metadata(path).is_ok_and(|stat| !stat.is_dir());
            let exchanged = flags.contains(RenameFlags::EXCHANGE);
            let free = fs::symlink_metadata(to).is_err() && Path::new(to).parent().is_some_and(Path::is_dir);
            if replaces(from)
                && from != to
                && (free && !exchanged || replaces(to) && flags != RenameFlags::NOREPLACE)
            {
                plain.part(from.as_ref())?;
            }
            if exchanged && from != to && fs::symlink_metadata(from).is_ok() {
                plain.part(to.as_ref())?;
            }
        }
        done(rustix::fs::renameat_with(CWD, from, CWD, to, flags).map_err(Into::into))
    }

    /// mv(1), of which nobody should have to know how it does it.
    fn mv(&mut self, from: &str, to: &str) -> Saw {
        match self.rename(from, to, RenameFlags::empty()) {
            Err(error) if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => {}
            other => return other,
        }
        if fs::symlink_metadata(to).is_ok() {
            fs::remove_dir(to)?;
        }
        let mut copy = copy::Tree::new(self.plain.as_mut());
        copy.copy(from.as_ref(), to.as_ref())?;
        fs::remove_dir_all(from)?;
        match copy.left_out {
            0 => done(Ok(())),
            devices => Ok(format!("without {devices} devices")),
        }
    }

    fn make_all(&mut self, all: &[Made]) -> Saw {
        let mut refused = 0;
        for made in all {
            match make(made, self.plain.as_mut()) {
                Err(error)
                    if matches!(made.what, What::Char(..) | What::Block(..))
                        && error.kind() == io::ErrorKind::PermissionDenied =>
                {
                    refused += 1;
                }
                made => made?,
            }
        }
        Ok(format!("{refused} refused"))
    }

    fn device(&mut self, path: &str, mode: &str, number: &str, what: fn(u32, u32) -> What) -> Saw {
        let (major, minor) = number.split_once(':').expect("MAJOR:MINOR");
        let what = what(major.parse().unwrap(), minor.parse().unwrap());
        let made = Made { path: path.to_owned(), what, mode: octal(mode), owner: (0, 0), xattrs: &[] };
        done(make(&made, self.plain.as_mut()))
    }

    fn held(&mut self, words: &[&str]) -> Saw {
        if let ["hold", path] = words {
            self.part_followed(path)?;
            self.held = Some(OpenOptions::new().read(true).write(true).open(path)?);
            return done(Ok(()));
        }
        let Some(file) = &self.held else { return Ok("nothing is held".to_owned()) };
        match words {
            ["held-write", offset, text] => done(file.write_all_at(text.as_bytes(), offset.parse().unwrap())),
            ["held-read"] => whole(Some(file)),
            ["held-truncate", len] => done(file.set_len(len.parse().unwrap())),
            ["held-chmod", mode] => done(file.set_permissions(fs::Permissions::from_mode(octal(mode)))),
            ["held-chown", owner] => {
                let (uid, gid) = owners(owner);
                done(fchown(file, uid, gid))
            }
            ["held-names"] => Ok(file.metadata()?.nlink().to_string()),
            other => panic!("{other:?}"),
        }
    }
}

/// Words that change a file's bytes or attributes.
fn change(words: &[&str]) -> Saw {
    match *words {
        ["write", path, text] => done(fs::write(path, text)),
        ["append", path] => done(OpenOptions::new().append(true).open(path).map(drop)),
        ["append", path, text] => {
            done(OpenOptions::new().append(true).open(path)?.write_all(text.as_bytes()))
        }
        ["overwrite", path, offset, text] => {
            let file = OpenOptions::new().write(true).open(path)?;
            done(file.write_all_at(text.as_bytes(), offset.parse().unwrap()))
        }
        ["map-write", path] => {
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            done(rbuild_userns::map::touch_first_byte(&file))
        }
        ["truncate", path, len] => {
            done(OpenOptions::new().write(true).open(path)?.set_len(len.parse().unwrap()))
        }
        ["fill", path, len] => done(fs::write(path, vec![b'm'; len.parse().unwrap()])),
        ["allocate", path, way, offset, len] => {
            let flags = match way {
                "keep" => FallocateFlags::KEEP_SIZE,
                "grow" => FallocateFlags::empty(),
                "punch" => FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
                other => panic!("{other}"),
            };
            let file = OpenOptions::new().write(true).open(path)?;
            done(Ok(rustix::fs::fallocate(file, flags, offset.parse().unwrap(), len.parse().unwrap())?))
        }
        ["copy-range", from, to, offset, len] => {
            let (from, to) = (File::open(from)?, OpenOptions::new().write(true).open(to)?);
            let len = len.parse().unwrap();
            let copied =
                rustix::fs::copy_file_range(from, Some(&mut offset.parse().unwrap()), to, None, len)?;
            Ok(copied.to_string())
        }
        ["chmod", path, mode] => done(fs::set_permissions(path, fs::Permissions::from_mode(octal(mode)))),
        ["chown", path, owner] => {
            let (uid, gid) = owners(owner);
            done(lchown(path, uid, gid))
        }
        ["utimes", path, time] => {
            let (secs, nanos) = time.split_once('.').expect("SECONDS.NANOSECONDS");
            done(copy::set_time(path.as_ref(), (secs.parse().unwrap(), nanos.parse().unwrap())))
        }
        ["touch", path] => {
            let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
            let times = Timestamps { last_access: now, last_modification: now };
            done(rustix::fs::utimensat(CWD, path, &times, AtFlags::empty()).map_err(Into::into))
        }
        [verb @ ("setxattr" | "setxattr-new" | "setxattr-old"), path, name, ..] => {
            let value = words.get(3).unwrap_or(&"").as_bytes();
            let flags = match verb {
                "setxattr" => XattrFlags::empty(),
                "setxattr-new" => XattrFlags::CREATE,
                _ => XattrFlags::REPLACE,
            };
            done(Ok(rustix::fs::setxattr(path, name, value, flags)?))
        }
        ["capability", path] => {
            done(Ok(rustix::fs::setxattr(path, "security.capability", CAPABILITY, XattrFlags::empty())?))
        }
        [verb @ ("access-list" | "default-list"), path, entries] => {
            let name =
                if verb == "access-list" { "system.posix_acl_access" } else { "system.posix_acl_default" };
            done(Ok(rustix::fs::setxattr(path, name, &access_list(entries), XattrFlags::empty())?))
        }
        ref other => panic!("{other:?}"),
    }
}

/// Words that only look, make names or take them away.
fn look_or_name(words: &[&str]) -> Saw {
    match *words {
        ["read", path] => {
            let options = OFlags::NONBLOCK.bits().cast_signed();
            let mut bytes = Vec::new();
            OpenOptions::new().read(true).custom_flags(options).open(path)?.read_to_end(&mut bytes)?;
            Ok(shown(&bytes))
        }
        ["mode", path] => {
            // nothing beside it is asked for: what the kernel remembers must be right
            let stat = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::MODE)?;
            let capable = xattr(path.as_ref(), b"security.capability").is_ok();
            Ok(format!("{:04o}{}", stat.stx_mode & 0o7777, if capable { " capable" } else { "" }))
        }
        ["list", path] => list(path),
        ["readlink", path] => Ok(fs::read_link(path)?.display().to_string()),
        ["open", path, flags] => open(path, flags),
        ["getxattr", path, name] => Ok(xattr(path.as_ref(), name.as_bytes())?.escape_ascii().to_string()),
        ["listxattr", path] => {
            let names = list_xattrs(path.as_ref())?;
            Ok(names.iter().map(|name| name.escape_ascii().to_string()).collect::<Vec<_>>().join(" "))
        }
        ["removexattr", path, name] => done(Ok(rustix::fs::removexattr(path, name)?)),
        ["create", path] => done(File::create_new(path).map(drop)),
        ["create", path, text] => done(File::create_new(path)?.write_all(text.as_bytes())),
        ["create-mode", path, mode, text] => {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(octal(mode)).open(path)?;
            done(file.write_all(text.as_bytes()))
        }
        ["nameless", dir, text] => {
            let mut file = nameless(dir)?;
            file.write_all(text.as_bytes())?;
            Ok(format!("{} {}", whole(Some(&file))?, file.metadata()?.nlink()))
        }
        ["nameless-linked", dir, path, text] => {
            let mut file = nameless(dir)?;
            file.write_all(text.as_bytes())?;
            let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
            done(Ok(rustix::fs::linkat(CWD, itself, CWD, path, AtFlags::SYMLINK_FOLLOW)?))
        }
        ["unlink", path] => done(fs::remove_file(path)),
        ["rmdir", path] => done(fs::remove_dir(path)),
        ["rmtree", path] => done(fs::remove_dir_all(path)),
        ["mkdir", path, mode] => done(Ok(rustix::fs::mkdir(path, Mode::from_raw_mode(octal(mode)))?)),
        ["symlink", target, path] => done(symlink(target, path)),
        ["mkfifo", path, mode] => node(path, FileType::Fifo, mode),
        ["mksocket", path, mode] => node(path, FileType::Socket, mode),
        ["talk-fifo", path] => {
            let options = OFlags::NONBLOCK.bits().cast_signed();
            let mut file = OpenOptions::new().read(true).write(true).custom_flags(options).open(path)?;
            file.write_all(b"heard")?;
            let mut heard = [0; 5];
            file.read_exact(&mut heard)?;
            Ok(shown(&heard))
        }
        ["talk-socket", path] => {
            let listener = UnixListener::bind(path)?;
            UnixStream::connect(path)?.write_all(b"heard")?;
            let mut heard = String::new();
            listener.accept()?.0.read_to_string(&mut heard)?;
            drop(listener);
            Ok(format!("{heard}, then {}", UnixStream::connect(path).unwrap_err()))
        }
        ["many", dir, count] => {
            done(numbered(dir, count).try_for_each(|path| File::create_new(path).map(drop)))
        }
        ["fewer", dir, count] => done(numbered(dir, count).try_for_each(fs::remove_file)),
        ["remove-listed", dir] => {
            let mut removed = 0;
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                if !entry.file_type()?.is_dir() {
                    fs::remove_file(entry.path())?;
                    removed += 1;
                }
            }
            Ok(removed.to_string())
        }
        ["deep", dir, count] => {
            let path: PathBuf =
                std::iter::once(dir).chain(std::iter::repeat_n("n", count.parse().unwrap())).collect();
            fs::create_dir_all(&path)?;
            done(fs::write(path.join("f"), "deep"))
        }
        ref other => panic!("{other:?}"),
    }
}

/// A POSIX access control list (`linux/posix_acl_xattr.h`) from entries like `u::rw-`, `g:7:r--`, `m::r--`.
fn access_list(entries: &str) -> Vec<u8> {
    let bytes = |entry: &str| {
        let [who, id, rights] = entry.split(':').collect::<Vec<_>>()[..] else { panic!("{entry}") };
        let tag: u16 = match (who, id) {
            ("u", "") => 1,
            ("u", _) => 2,
            ("g", "") => 4,
            ("g", _) => 8,
            ("m", _) => 16,
            ("o", _) => 32,
            other => panic!("{other:?}"),
        };
        let rights = rights.bytes().fold(0_u16, |rights, right| rights << 1 | u16::from(right != b'-'));
        let id: u32 = if id.is_empty() { u32::MAX } else { id.parse().expect("an id") };
        [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    std::iter::once(2_u32.to_le_bytes().to_vec()).chain(entries.split(',').map(bytes)).flatten().collect()
}

fn done(result: io::Result<()>) -> Saw {
    result.map(|()| "done".to_owned())
}

/// `=N` between slashes is a name of N bytes.
fn expand(word: &str) -> String {
    let name = |name: &str| match name.strip_prefix('=') {
        Some(len) => "n".repeat(len.parse().expect("=LENGTH")),
        None => name.to_owned(),
    };
    word.split('/').map(name).collect::<Vec<_>>().join("/")
}

fn octal(mode: &str) -> u32 {
    u32::from_str_radix(mode, 8).expect("an octal mode")
}

/// `UID:GID`, `-` for one that stays.
fn owners(owner: &str) -> (Option<u32>, Option<u32>) {
    let (uid, gid) = owner.split_once(':').expect("UID:GID");
    (uid.parse().ok(), gid.parse().ok())
}

fn shown(bytes: &[u8]) -> String {
    if bytes.len() > 100 { content(bytes) } else { bytes.escape_ascii().to_string() }
}

fn whole(file: Option<&File>) -> Saw {
    let Some(mut file) = file else { return Ok("nothing is open".to_owned()) };
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(shown(&bytes))
}

fn list(path: &str) -> Saw {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        names.push(format!("{} {:?}", entry.file_name().display(), entry.file_type()?));
    }
    names.sort();
    Ok(if names.len() > 20 {
        format!("{} names, {}", names.len(), content(names.join(" ").as_bytes()))
    } else {
        names.join(" ")
    })
}

fn open(path: &str, flags: &str) -> Saw {
    let flags = flags.split('+').map(|flag| match flag {
        "r" => OFlags::RDONLY,
        "w" => OFlags::WRONLY,
        "rw" => OFlags::RDWR,
        "trunc" => OFlags::TRUNC,
        "create" => OFlags::CREATE,
        "excl" => OFlags::EXCL,
        "directory" => OFlags::DIRECTORY,
        "nofollow" => OFlags::NOFOLLOW,
        "nonblock" => OFlags::NONBLOCK,
        other => panic!("{other}"),
    });
    done(Ok(rustix::fs::open(path, flags.collect::<OFlags>() | OFlags::CLOEXEC, Mode::from_raw_mode(0o644))
        .map(drop)?))
}

fn node(path: &str, kind: FileType, mode: &str) -> Saw {
    done(Ok(rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(octal(mode)), 0)?))
}

fn nameless(dir: &str) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(dir, flags, Mode::from_raw_mode(0o640))?))
}

fn numbered(dir: &str, count: &str) -> impl Iterator<Item = PathBuf> {
    let dir = PathBuf::from(dir);
    (0..count.parse::<u32>().unwrap()).map(move |number| dir.join(format!("n{number:04}")))
}
