//! The text of the Dockerfile and of its ignore file, wherever they are.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::ground::{Ground, Named, Reach, Stdin};
use super::{Args, preprocess, unreadable};
use crate::build::{Context, Origin, TEXT_LIMIT};
use crate::cli::failure::Failure;
use crate::dockerfile::Script;
use crate::web;

/// Where a Dockerfile was found, and so where its ignore file may be.
pub(super) enum Place {
    /// At this path.
    Host(PathBuf),
    /// In a context that is no directory of this machine.
    Context(String),
    /// Beside nothing.
    Elsewhere,
}

/// The names of a Dockerfile in a context.
const NAMES: [&str; 2] = ["Containerfile", "Dockerfile"];

/// The text of the Dockerfile, several joined, and where the first was found.
pub(super) fn dockerfile(
    args: &Args,
    ground: &Ground,
    reach: &Reach<'_>,
) -> Result<(Script, Place), Failure> {
    match &ground.dockerfile {
        Some(Named::Text(script)) => return Ok((script.clone(), Place::Elsewhere)),
        Some(Named::File(path)) => {
            let text = read(path).map_err(|why| unreadable("Dockerfile", path, &why))?;
            return made((shown(path), text, Place::Host(path.clone())), args, ground, reach);
        }
        None => {}
    }
    let Some((first, others)) = args.files.split_first() else {
        let found = usual(ground)?;
        return made(found, args, ground, reach);
    };
    if args.files.iter().filter(|file| file.as_os_str() == "-").count() > 1 {
        return Err(Failure::new("-f - is given twice, and standard input can be read once"));
    }
    let (mut script, place) = made(named(first, ground, reach)?, args, ground, reach)?;
    for file in others {
        let (other, _) = made(named(file, ground, reach)?, args, ground, reach)?;
        script.join(&other);
    }
    Ok((script, place))
}

/// Name, text and place of a file.
type Found = (String, String, Place);

/// A file called `*.in` goes through cpp.
fn made(
    (name, text, place): Found,
    args: &Args,
    ground: &Ground,
    reach: &Reach<'_>,
) -> Result<(Script, Place), Failure> {
    if Path::new(&name).extension().is_none_or(|extension| extension != "in") {
        return Ok((Script::new(&name, &text), place));
    }
    let script = preprocess::run(&name, &text, &args.cpp_flag, ground, reach)?;
    Ok((script, place))
}

/// What `-f FILE` names: standard input, a file of the web, or a path: as it stands, else below the context.
fn named(file: &Path, ground: &Ground, reach: &Reach<'_>) -> Result<Found, Failure> {
    if file.as_os_str() == "-" {
        let stdin = Stdin { cancel: reach.program.cancel.clone() };
        let text = text_of(stdin).map_err(|why| unreadable("Dockerfile", file, &why))?;
        return Ok(("stdin".to_owned(), text, Place::Elsewhere));
    }
    match file.to_str().map(Origin::parse) {
        Some(Ok(Origin::Url(url))) => {
            let options = web::Options { limit: TEXT_LIMIT, ..reach.web.clone() };
            let reach = Reach { web: &options, ..*reach };
            let text = reach.with(|access| access.text(&url))?;
            return Ok((web::redacted(&url), text, Place::Elsewhere));
        }
        Some(Ok(Origin::Git(remote))) => {
            return Err(Failure::new(format!("-f {}: a repository is no Dockerfile", remote.shown()))
                .hint("give the repository as the context, and the path in it with -f"));
        }
        Some(Err(why)) => return Err(Failure::new(format!("-f {why}"))),
        Some(Ok(Origin::Path(_) | Origin::Stdin)) | None => {}
    }
    if let Some(text) = if_present(read(file)).map_err(|why| unreadable("Dockerfile", file, &why))? {
        return Ok((shown(file), text, Place::Host(file.to_owned())));
    }
    let path = file.to_string_lossy();
    in_context(ground, &path)?.ok_or_else(|| {
        let places = match &ground.directory {
            Some(directory) => format!("{} nor {}", file.display(), directory.join(file).display()),
            None => format!("{} nor {path} of the context", file.display()),
        };
        Failure::new(format!("no Dockerfile: neither {places} exists"))
    })
}

/// The Dockerfile of a context that has one of the usual names.
fn usual(ground: &Ground) -> Result<Found, Failure> {
    for name in NAMES {
        if let Some(found) = in_context(ground, name)? {
            return Ok(found);
        }
    }
    let [first, second] = match &ground.directory {
        Some(directory) => NAMES.map(|name| directory.join(name).display().to_string()),
        None => NAMES.map(|name| format!("{name} of the context")),
    };
    Err(Failure::new(format!("no Dockerfile: neither {first} nor {second} exists"))
        .hint("name one with -f FILE"))
}

/// The file `path` of the context.
fn in_context(ground: &Ground, path: &str) -> Result<Option<Found>, Failure> {
    if let Some(directory) = &ground.directory {
        let place = directory.join(path);
        let text = if_present(read(&place)).map_err(|why| unreadable("Dockerfile", &place, &why))?;
        return Ok(text.map(|text| (shown(&place), text, Place::Host(place))));
    }
    let text = ground.context.text(path).map_err(|why| Failure::of_context(&why))?;
    Ok(text.map(|text| (path.to_owned(), text, Place::Context(path.to_owned()))))
}

/// The ignore file's text: one beside the Dockerfile and named after it wins over the context's own.
pub(super) fn ignore(args: &Args, ground: &Ground, dockerfile: &Place) -> Result<Option<String>, Failure> {
    if let Some(file) = &args.ignorefile {
        return read(file).map(Some).map_err(|why| unreadable("ignore file", file, &why));
    }
    for suffix in [".dockerignore", ".containerignore"] {
        let found = match dockerfile {
            Place::Host(path) => {
                let mut name = path.as_os_str().to_owned();
                name.push(suffix);
                text_at(Path::new(&name))?
            }
            Place::Context(path) => text_in(&ground.context, &format!("{path}{suffix}"))?,
            Place::Elsewhere => None,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    for name in [".containerignore", ".dockerignore"] {
        let found = match &ground.directory {
            Some(directory) => text_at(&directory.join(name))?,
            None => text_in(&ground.context, name)?,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn text_at(path: &Path) -> Result<Option<String>, Failure> {
    if_present(read(path)).map_err(|why| unreadable("ignore file", path, &why))
}

fn text_in(context: &Context, path: &str) -> Result<Option<String>, Failure> {
    context.text(path).map_err(|why| Failure::of_context(&why))
}

fn if_present(read: io::Result<String>) -> io::Result<Option<String>> {
    match read {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        read => read.map(Some),
    }
}

/// The text of a file that a context may have put there: one that has no end, or that nobody ever writes to, is not
/// waited for. A pipe is read where the user named it (`-f /dev/stdin`, `-f <(…)`).
fn read(path: &Path) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let is_pipe = path.starts_with("/dev") || path.starts_with("/proc/self/fd");
    if !file.metadata()?.is_file() && !is_pipe {
        return Err(io::Error::other("not a regular file"));
    }
    rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
    text_of(file)
}

fn text_of(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    if source.take(TEXT_LIMIT + 1).read_to_string(&mut text)? as u64 > TEXT_LIMIT {
        return Err(io::Error::other(format!("longer than {TEXT_LIMIT} bytes")));
    }
    Ok(text)
}

fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}
