//! CONTEXT: what a build stands on.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::Context as Program;
use super::super::failure::Failure;
use super::{Args, unreadable};
use crate::build::{Access, Context, KEEP_GIT_ARG, Opened, Origin};
use crate::dockerfile::Script;
use crate::progress::Sink;
use crate::runtime::{Cancel, Secret};
use crate::web;

/// What it takes to get at what is elsewhere.
pub(super) struct Reach<'a> {
    pub program: &'a Program,
    pub web: &'a web::Options,
    pub secrets: &'a BTreeMap<String, Secret>,
    pub sink: &'a dyn Sink,
}

impl Reach<'_> {
    /// Has `work` done with a store to receive what comes.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Access<'_>) -> Result<T, crate::build::StepError>,
    ) -> Result<T, Failure> {
        let store = self.program.store()?;
        let access = Access {
            store: &store,
            web: self.web,
            secrets: self.secrets,
            cancel: self.program.cancel.clone(),
            sink: self.sink,
        };
        work(&access).map_err(|error| Failure::of_context(&error))
    }
}

/// The main context.
pub(super) struct Ground {
    pub context: Context,
    /// Where it is, if it is a directory.
    pub directory: Option<PathBuf>,
    /// The Dockerfile, if that is what was named.
    pub dockerfile: Option<Named>,
}

/// A Dockerfile in the place of a context.
pub(super) enum Named {
    /// A file of this machine.
    File(PathBuf),
    /// One that came from elsewhere.
    Text(Script),
}

impl Ground {
    /// Opens the context. `--call` does without its files, so a missing directory is no error there.
    pub(super) fn open(args: &Args, reach: &Reach<'_>, is_call: bool) -> Result<Self, Failure> {
        let text = args.context.to_str();
        let origin = match text.map_or_else(|| Ok(Origin::Path(args.context.clone())), Origin::parse) {
            Ok(origin) => origin,
            Err(why) => return Err(Failure::new(format!("build context {why}"))),
        };
        let is_stdin = |file: &PathBuf| file.as_os_str() == "-";
        if origin == Origin::Stdin && args.files.iter().any(is_stdin) {
            return Err(Failure::new("-f - and the context - both read standard input"));
        }
        let ground = match origin {
            Origin::Path(path) => Self::of_path(&path, is_call)?,
            Origin::Stdin => {
                let stdin = Box::new(Stdin { cancel: reach.program.cancel.clone() });
                Self::of_opened(
                    reach.with(|access| Context::of_stream(access, stdin, "standard input"))?,
                    "stdin",
                )
            }
            Origin::Url(url) => {
                let shown = web::redacted(&url);
                let opened = reach.with(|access| Context::of_url(access, &url, &shown))?;
                Self::of_opened(opened, &shown)
            }
            Origin::Git(mut remote) => {
                remote.keep = remote.keep.or(keep_git(args)?);
                let opened = reach.with(|access| Context::of_repository(access, &remote, Context::MAIN))?;
                Self { context: opened, directory: None, dockerfile: None }
            }
        };
        if ground.dockerfile.is_some() && !args.files.is_empty() {
            let (context, file) = (args.context.display(), args.files[0].display());
            let context = web::redacted(&context.to_string());
            return Err(Failure::new(format!(
                "the context {context} is a Dockerfile, and -f {file} names another"
            ))
            .hint("give a directory or an archive as the context"));
        }
        Ok(ground)
    }

    fn of_path(path: &Path, is_call: bool) -> Result<Self, Failure> {
        let metadata = fs::metadata(path);
        if is_call && !metadata.as_ref().is_ok_and(fs::Metadata::is_file) {
            let (context, directory) = (Context::empty(Context::MAIN), Some(path.to_owned()));
            return Ok(Self { context, directory, dockerfile: None });
        }
        let metadata = metadata.map_err(|why| unreadable("build context", path, &why))?;
        let (directory, dockerfile) = if metadata.is_dir() {
            (path, None)
        } else if metadata.is_file() {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            (parent.unwrap_or(Path::new(".")), Some(Named::File(path.to_owned())))
        } else {
            return Err(Failure::new(format!(
                "build context {}: neither a directory nor a file",
                path.display()
            )));
        };
        let context = Context::of_directory(directory, Context::MAIN);
        let context = context.map_err(|why| unreadable("build context", directory, &why))?;
        Ok(Self { context, directory: Some(directory.to_owned()), dockerfile })
    }

    /// `name`: what messages call it if it is a Dockerfile.
    fn of_opened(opened: Opened, name: &str) -> Self {
        match opened {
            Opened::Context(context) => Self { context, directory: None, dockerfile: None },
            Opened::Dockerfile(text) => {
                let dockerfile = Some(Named::Text(Script::new(name, &text)));
                Self { context: Context::empty(Context::MAIN), directory: None, dockerfile }
            }
        }
    }
}

/// What `--build-arg BUILDKIT_CONTEXT_KEEP_GIT_DIR=…` says, if it is given.
fn keep_git(args: &Args) -> Result<Option<bool>, Failure> {
    let Some((name, value)) = args.build_args()?.remove_entry(KEEP_GIT_ARG) else { return Ok(None) };
    match value.as_str() {
        "1" | "true" => Ok(Some(true)),
        "" | "0" | "false" => Ok(Some(false)),
        _ => Err(Failure::new(format!("--build-arg {name}={value}: expected 1 or 0"))),
    }
}

/// Standard input, until somebody cancels.
pub(super) struct Stdin {
    pub cancel: Cancel,
}

impl Read for Stdin {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        /// How often it is looked whether somebody has.
        const TICK: Duration = Duration::from_millis(100);
        let tick = Timespec::try_from(TICK).expect("it is short");
        let stdin = io::stdin();
        loop {
            if self.cancel.is_cancelled() {
                return Err(io::Error::other("interrupted"));
            }
            match poll(&mut [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)], Some(&tick)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return stdin.lock().read(buf),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
