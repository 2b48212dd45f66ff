//! How a verb ends badly: one line that says what, where and what to try next, and an exit code.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::build::chain;
use crate::dockerfile::Script;
use crate::runtime::Exit;
use crate::{build, container, git, oci, registry, runtime, store, transfer, web};

/// rbuild itself could not do it.
const GENERIC: u8 = 125;

/// The signal that asked the program to stop; 0 while none did.
static STOPPED_BY: AtomicI32 = AtomicI32::new(0);

/// Remembers the signal for the exit code.
pub(super) fn stopped_by(signal: i32) {
    STOPPED_BY.store(signal, Ordering::Relaxed);
}

/// Why a verb ends, and with which exit code.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    /// Lines of the Dockerfile, where one is to blame.
    excerpt: Option<String>,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    pub(super) fn new(message: impl Display) -> Self {
        Self { message: message.to_string(), excerpt: None, hint: None, code: GENERIC }
    }

    #[must_use]
    pub(super) fn hint(self, hint: impl Display) -> Self {
        Self { hint: Some(hint.to_string()), ..self }
    }

    #[must_use]
    pub(super) fn code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// What happened, without a hint.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// An answer that is told by the exit code alone.
    pub(super) fn answer(code: u8) -> Self {
        Self::new("").code(code)
    }

    /// A build's failure, with the lines of the Dockerfile it happened in.
    pub(super) fn of_build(error: &build::Error, dockerfile: &Script) -> Self {
        let excerpt = error.place().map(|place| dockerfile.excerpt(&place.span));
        let code = match error.failed_exit() {
            _ if error.is_cancelled() => 128 + STOPPED_BY.load(Ordering::Relaxed),
            Some(Exit::Code(code)) => code,
            Some(Exit::Signal(signal)) => 128 + signal,
            None => GENERIC.into(),
        };
        let hint = matches!(error, build::Error::Panic { .. }).then(|| {
            "this is a fault of rbuild's; a report of it helps with what RUST_BACKTRACE=1 prints above"
                .to_owned()
        });
        Self { excerpt, hint, code: u8::try_from(code).unwrap_or(GENERIC), ..Self::new(chain(error)) }
    }

    /// The failure of getting at a context or a Dockerfile.
    pub(super) fn of_context(error: &build::StepError) -> Self {
        let code = match error {
            build::StepError::Cancelled => 128 + STOPPED_BY.load(Ordering::Relaxed),
            _ => GENERIC.into(),
        };
        Self { code: u8::try_from(code).unwrap_or(GENERIC), ..Self::new(chain(error)) }
    }

    /// The failure of a verb on a working container.
    pub(super) fn of_container(error: &container::Error) -> Self {
        let code =
            if error.is_cancelled() { 128 + STOPPED_BY.load(Ordering::Relaxed) } else { GENERIC.into() };
        let failure = Self { code: u8::try_from(code).unwrap_or(GENERIC), ..Self::new(chain(error)) };
        match error {
            container::Error::NotKnown(_) => failure.hint("rbuild containers lists what is here"),
            _ => failure,
        }
    }

    /// The end of a command whose exit code becomes this program's. An end other than 0 is a failure.
    pub(super) fn of_exit(exit: Exit) -> Result<(), Self> {
        let (code, message) = match exit {
            Exit::Code(0) => return Ok(()),
            Exit::Code(code) => (code, format!("exit status {code}")),
            Exit::Signal(signal) => (128 + signal, format!("killed by signal {signal}")),
        };
        Err(Self::new(message).code(u8::try_from(code).unwrap_or(GENERIC)))
    }

    /// Prints it, unless it says nothing.
    pub(super) fn tell(&self) {
        if self.message.is_empty() {
            return;
        }
        // A message may be many lines of excerpts.
        let mut text = format!("Error: {}\n", self.message.trim_end());
        text.extend(self.excerpt.iter().flat_map(|excerpt| excerpt.split_inclusive('\n')).map(untold));
        text.extend(self.hint.iter().map(|hint| format!("hint: {hint}\n")));
        // A password that stands in the Dockerfile, or on the command line, goes into no log.
        let text: String = text.split_inclusive('\n').map(git::without_passwords).collect();
        // Where stderr is closed there is nobody left to tell.
        drop(std::io::stderr().write_all(text.as_bytes()));
    }

    /// The same, which has been printed and says nothing any more.
    #[must_use]
    pub(super) fn told(self) -> Self {
        Self { message: String::new(), ..self }
    }

    /// Prints it, if it has not been, and gives the exit code.
    pub(super) fn report(self) -> ExitCode {
        self.tell();
        ExitCode::from(self.code)
    }
}

/// A line of a Dockerfile without what its URLs should not have told it.
fn untold(line: &str) -> String {
    let word = |word: &str| {
        let is_url = ["http://", "https://"].iter().any(|scheme| word.starts_with(scheme));
        let (url, end) = word.split_at(word.trim_end().len());
        if is_url && git::Remote::parse(url).is_none() { web::redacted(url) + end } else { word.to_owned() }
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Prints what clap has to say. Help and version are no failures.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    // Where the terminal is gone there is nobody left to tell.
    drop(error.print());
    if error.use_stderr() { ExitCode::from(GENERIC) } else { ExitCode::SUCCESS }
}

macro_rules! generic {
    ($($error:ty),+) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(chain(&error))
            }
        }
    )+};
}

generic!(
    std::io::Error,
    oci::Error,
    store::Error,
    transfer::Error,
    registry::Error,
    runtime::Error,
    serde_json::Error
);
