//! What can go wrong in a build, and where.

use std::fmt;

use super::bench::Piece;
use crate::dockerfile::{Diagnostics, Script, Span};
use crate::oci::Platform;
use crate::runtime::Exit;

/// The message of an error with its sources. A transparent error and its source say the same; it is said once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        next = source.source();
    }
    text
}

/// A build that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Dockerfile's text is wrong.
    #[error("{}", .script.render(.diagnostics))]
    Dockerfile {
        /// Everything that is wrong with it.
        diagnostics: Diagnostics,
        /// Its text.
        script: Script,
    },
    /// Checks found something, and `error=true` makes that an error.
    #[error("lint violation found for rules: {0}")]
    Checks(String),
    /// The build argument with the options of the checks.
    #[error("{0}")]
    CheckArg(String),
    /// An instruction cannot be carried out.
    #[error("{place}: {source}")]
    Step {
        /// Which.
        place: Box<Place>,
        /// Why.
        source: Box<StepError>,
    },
    /// No stage has this name or index.
    #[error("target stage {0:?} could not be found")]
    NoTarget(String),
    /// The store cannot take the result, or is damaged.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// Layers cannot be made one, or given other times.
    #[error("write the layers of the image")]
    Layers(#[source] crate::rootfs::Error),
    /// A fault of this program, which ends the build.
    #[error("internal error in stage {stage}: {message}")]
    Panic {
        /// Counted from 1.
        stage: usize,
        /// What was said.
        message: String,
    },
    /// There is no thread to build a stage.
    #[error("start a thread for a stage (a smaller --jobs needs fewer): {0}")]
    Thread(std::io::Error),
    /// A list of images, or a name for one.
    #[error(transparent)]
    Transfer(Box<crate::transfer::Error>),
    /// A statement that nobody would take.
    #[error("the attestation {kind} has {size} bytes, more than the {limit} it may have")]
    Attestation {
        /// What it tells.
        kind: String,
        /// Its length, in bytes.
        size: usize,
        /// The bound, in bytes.
        limit: usize,
    },
    /// Leftovers of an earlier build cannot be removed.
    #[error(transparent)]
    Runtime(#[from] crate::runtime::Error),
    /// The image is built and has its names, and its cache is not where it was asked for.
    #[error("the image is built, but its cache cannot go to {place}")]
    CacheTo {
        /// Where.
        place: String,
        /// Why.
        source: Box<StepError>,
    },
}

/// The instruction an error belongs to.
#[derive(Clone, Debug)]
pub struct Place {
    /// The Dockerfile's name.
    pub file: String,
    /// Its first line there.
    pub line: usize,
    /// Where it is in the whole text.
    pub span: Span,
    /// The instruction, on one line.
    pub text: String,
}

/// What a command left that failed.
#[derive(Debug)]
pub struct FailedState {
    /// The image as it would have become, with what the command had changed as its last layer, where that could be written
    /// down.
    pub piece: Piece,
    /// The arguments that the command saw as variables.
    pub arguments: Vec<(String, String)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: building at STEP {:?}", self.file, self.line, self.text)
    }
}

/// Why an instruction cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The command of a RUN ended badly. The program's own exit code follows it.
    #[error("while running {:?}: {}{}{}", shortened(.command), describe(*.exit), memory(*.out_of_memory), emulator(.foreign.as_deref()))]
    Failed {
        /// The command; its first line stands for it in the message.
        command: String,
        /// How it ended.
        exit: Exit,
        /// The limit of memory, in bytes, that it went beyond.
        out_of_memory: Option<u64>,
        /// What the image is for, if that is another machine and this one could not start the command.
        foreign: Option<Box<Platform>>,
        /// What it left.
        left: Box<FailedState>,
    },
    /// What a traced step looked at cannot be read, or is not understood.
    #[error("trace of a RUN: {0}")]
    Trace(std::io::Error),
    /// A signal asked the build to stop.
    #[error("interrupted")]
    Cancelled,
    /// Understood, but not carried out by this version.
    #[error("{0} is not supported yet")]
    Unsupported(String),
    /// Asked for, and only done where the command line allows it.
    #[error(
        "RUN {flag} is not allowed: pass --allow {entitlement} if the Dockerfile is to be trusted with it"
    )]
    NotAllowed {
        /// What the instruction says.
        flag: &'static str,
        /// What would allow it.
        entitlement: &'static str,
    },
    /// A secret that a RUN cannot do without.
    #[error("secret {0:?}: not found; pass --secret id={0},src=FILE or --secret id={0},env=NAME")]
    NoSecret(String),
    /// An agent that a RUN cannot do without.
    #[error("no SSH key {0:?} forwarded from the client; pass --ssh {0}, --ssh {0}=SOCKET or --ssh {0}=KEY")]
    NoAgent(String),
    /// The agent of a RUN.
    #[error(transparent)]
    Agent(#[from] crate::agent::Error),
    /// A device that a RUN cannot do without.
    #[error(
        "RUN --device={0},required: devices by CDI name are not known here; name a node of /dev with rbuild bud --device"
    )]
    NoDevice(String),
    /// A variable cannot be expanded.
    #[error("{word:?}: {why}")]
    Expand {
        /// The word.
        word: String,
        /// Why not.
        why: String,
    },
    /// A value breaks the instruction's rules.
    #[error("{0}")]
    Invalid(String),
    /// A source of COPY or ADD does not exist.
    #[error("no items matching {}{pattern:?} in {tree}{}{close}", glob(.pattern),
        if *.ignored { " (the ignore file excludes it)" } else { "" })]
    NoSource {
        /// As written, expanded.
        pattern: String,
        /// `the build context`, `stage "x"`, …
        tree: String,
        /// Whether it would exist without the ignore file.
        ignored: bool,
        /// ` (did you mean …?)`, or nothing.
        close: String,
    },
    /// A part of the instruction is to blame. The build tells it by the [`Place`], and by what is wrong alone.
    #[error("{source}")]
    Word {
        /// The part, as it is written.
        word: String,
        /// What is wrong with it.
        source: Box<Self>,
    },
    /// A path of the image cannot become what the instruction needs.
    #[error("{path}: {why}")]
    InTheWay {
        /// Which.
        path: String,
        /// What is in the way.
        why: &'static str,
    },
    /// A file stands where a directory is needed, or the other way round.
    #[error("cannot copy {source_path:?} to {target:?}: {why}")]
    Conflict {
        /// What was to be copied.
        source_path: String,
        /// Where to.
        target: String,
        /// What is in the way.
        why: &'static str,
    },
    /// An archive cannot be unpacked.
    #[error("unpack {path:?}")]
    Archive {
        /// Which.
        path: String,
        /// What is wrong with it.
        source: crate::layer::Error,
    },
    /// A file of the web cannot be had.
    #[error(transparent)]
    Web(#[from] crate::web::Error),
    /// A repository cannot be had.
    #[error(transparent)]
    Git(#[from] crate::git::Error),
    /// The words that name a repository are wrong.
    #[error(transparent)]
    Remote(#[from] crate::git::InvalidRemote),
    /// A file of the web is not the one that was expected.
    #[error("{url}: digest mismatch: expected {expected}, found {found}")]
    Checksum {
        /// Which.
        url: String,
        /// What `--checksum` says, or what the server said was unchanged.
        expected: crate::oci::Digest,
        /// What came.
        found: crate::oci::Digest,
    },
    /// A user or group name is in neither the image's passwd nor its group file.
    #[error("unable to find {kind} {name}: no matching entries in {file} of the image")]
    NoSuchId {
        /// `user` or `group`.
        kind: &'static str,
        /// As given.
        name: String,
        /// `/etc/passwd` or `/etc/group`.
        file: &'static str,
    },
    /// A file of the context or of an image cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file was another one when it was written than when it was hashed.
    #[error(
        "{path} of {tree}: changed while it was copied, so nothing was made of it; build again when it is quiet"
    )]
    Changed {
        /// Which.
        path: String,
        /// Of what.
        tree: String,
    },
    /// An ONBUILD trigger of the base image is wrong.
    #[error("trigger of the base image: {0}")]
    Trigger(crate::dockerfile::Diagnostics),
    /// The layer cannot be written or read.
    #[error(transparent)]
    Layer(#[from] crate::layer::Error),
    /// The root file system cannot be read.
    #[error(transparent)]
    Rootfs(#[from] crate::rootfs::Error),
    /// The sandbox cannot run the command.
    #[error(transparent)]
    Runtime(crate::runtime::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// A base image cannot be obtained.
    #[error(transparent)]
    Transfer(#[from] Box<crate::transfer::Error>),
    /// A cache of another place is not what it seemed.
    #[error("the cache at {place} cannot be used")]
    Imported {
        /// Where.
        place: String,
        /// What is wrong with it.
        source: Box<crate::transfer::Error>,
    },
    /// A malformed name or platform.
    #[error(transparent)]
    Oci(#[from] crate::oci::Error),
    /// The words of a mount.
    #[error(transparent)]
    Mount(#[from] crate::dockerfile::MountSpecError),
    /// The build has failed elsewhere, and ends with the error of that place.
    #[error("the build has failed elsewhere")]
    Stopped,
}

fn glob(pattern: &str) -> &'static str {
    if crate::dockerfile::glob::has_meta(pattern) { "glob " } else { "" }
}

/// The first line of a command, with a mark where more follow.
fn shortened(command: &str) -> String {
    match command.trim_end().split_once('\n') {
        Some((first, _)) => format!("{first} …"),
        None => command.to_owned(),
    }
}

fn memory(limit: Option<u64>) -> String {
    limit.map_or_else(String::new, |bytes| {
        format!(" (the kernel ended a process of it: the limit of memory, {bytes} bytes, was reached; raise --memory)")
    })
}

fn emulator(platform: Option<&Platform>) -> String {
    platform.map_or_else(String::new, |platform| {
        format!(
            " (the image is for {platform}, and this is {}: RUN needs an emulator that the kernel knows, as Debian's packages \
             qemu-user-static and binfmt-support install it; a stage FROM --platform=$BUILDPLATFORM needs none)",
            Platform::host()
        )
    })
}

fn describe(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit status {code}"),
        Exit::Signal(signal) => format!("killed by signal {signal}"),
    }
}

impl From<crate::transfer::Error> for Error {
    fn from(error: crate::transfer::Error) -> Self {
        Self::Transfer(Box::new(error))
    }
}

impl StepError {
    /// Whether it is a wildcard that matches nothing.
    pub(super) fn is_unmatched_glob(&self) -> bool {
        match self {
            Self::Word { source, .. } => source.is_unmatched_glob(),
            Self::NoSource { pattern, .. } => crate::dockerfile::glob::has_meta(pattern),
            _ => false,
        }
    }
}

impl Error {
    /// How the command of a failing RUN ended, if that is what stopped the build.
    pub fn failed_exit(&self) -> Option<Exit> {
        match self.step()? {
            StepError::Failed { exit, .. } => Some(*exit),
            _ => None,
        }
    }

    /// The state in which the command of a RUN failed, if that is what failed.
    pub fn failed_state(&self) -> Option<&FailedState> {
        match self.step()? {
            StepError::Failed { left, .. } => Some(left),
            _ => None,
        }
    }

    /// Whether a signal stopped the build.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.step(), Some(StepError::Cancelled))
    }

    /// Whether it only tells that something else ended the build.
    pub(super) fn is_consequence(&self) -> bool {
        matches!(self.step(), Some(StepError::Cancelled | StepError::Stopped))
    }

    /// The instruction that stopped the build.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Step { place, .. } => Some(place),
            _ => None,
        }
    }

    pub(super) fn step(&self) -> Option<&StepError> {
        match self {
            Self::Step { source, .. } => Some(source),
            _ => None,
        }
    }
}
