//! What happens, as people and programs see it.
//!
//! ```text
//! lines      STEP lines on stdout, as buildah's                plain, quiet
//! live       a thread that draws on stderr                     tty
//!   view       events → the lines that are to be seen            transfers, tail
//!   painted    lines → coloured text that fits                   text
//!   screen     text → the bytes that change a terminal
//! raw_json   one SolveStatus of BuildKit a line on stderr      rawjson
//! ```

mod lines;
mod live;
mod painted;
mod raw_json;
mod screen;
mod tail;
#[cfg(test)]
mod tests;
mod text;
mod transfers;
mod view;

use std::env;
use std::io::{self, IsTerminal as _};

use super::environment;
use super::failure::Failure;
use crate::progress::{Event, Sink};
use lines::Lines;
use live::Live;
pub(super) use live::restore;
use painted::Colours;
use raw_json::RawJson;
pub(super) use text::harmless;
pub(super) use view::seconds;

/// `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Mode {
    /// tty where standard output and standard error are a terminal, else plain
    #[default]
    Auto,
    /// Lines: STEP and what commands print
    Plain,
    /// A live view of the stages at work
    Tty,
    /// JSON in `BuildKit`'s form, a line for each event
    #[value(name = "rawjson")]
    RawJson,
    /// As --quiet
    Quiet,
}

/// Where that goes which belongs on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Talk {
    /// There.
    Stdout,
    /// To standard error: standard output is data alone.
    Stderr,
}

/// Where a docker build is told its `--progress`.
const VARIABLE: &str = "BUILDKIT_PROGRESS";

impl Mode {
    /// What the options of a build say, and where they say nothing the environment.
    pub(super) fn of(given: Option<Self>, quiet: bool) -> Result<Self, Failure> {
        match (given, quiet) {
            (None | Some(Self::Auto | Self::Quiet), true) => Ok(Self::Quiet),
            (Some(_), true) => Err(Failure::new("--quiet and --progress contradict each other")),
            (Some(mode), false) => Ok(mode),
            (None, false) => match environment::variable(VARIABLE)?.unwrap_or_default().as_str() {
                "" => Ok(Self::Auto),
                text => <Self as clap::ValueEnum>::from_str(text, false).map_err(|_| {
                    Failure::new(format!("{VARIABLE}={text}: expected auto, plain, tty, rawjson or quiet"))
                }),
            },
        }
    }
}

/// A sink that shows.
pub(super) struct Progress(Shown);

enum Shown {
    Lines(Lines),
    Live(Live),
    RawJson(RawJson),
}

impl Progress {
    /// For work that only moves blobs.
    pub(super) fn of_transfers(quiet: bool) -> Result<Self, Failure> {
        Self::start(if quiet { Mode::Quiet } else { Mode::Auto }, Talk::Stderr)
    }

    /// Begins to show in the way of `mode`.
    pub(super) fn start(mode: Mode, talk: Talk) -> Result<Self, Failure> {
        let term = environment::variable("TERM")?.unwrap_or_default();
        let moves = !term.is_empty() && term != "dumb";
        let is_terminal = io::stderr().is_terminal();
        let shown = match mode {
            Mode::Quiet => Shown::Lines(Lines::new(true, talk)),
            Mode::RawJson => Shown::RawJson(RawJson::default()),
            Mode::Tty if !is_terminal => {
                return Err(
                    Failure::new("--progress=tty: standard error is not a terminal").hint("--progress=plain")
                );
            }
            Mode::Tty if !moves => {
                return Err(Failure::new(format!(
                    "--progress=tty: a terminal of the kind TERM={term:?} moves no cursor"
                ))
                .hint("--progress=plain"));
            }
            Mode::Auto if !is_terminal || !moves || !(talk == Talk::Stderr || io::stdout().is_terminal()) => {
                Shown::Lines(Lines::new(false, talk))
            }
            Mode::Plain => Shown::Lines(Lines::new(false, talk)),
            Mode::Auto | Mode::Tty => Shown::Live(Live::start(colours())?),
        };
        Ok(Self(shown))
    }

    /// Ends what shows work that succeeded. Where this is not called, dropping it leaves the terminal as it was.
    pub(super) fn finish(&self) {
        match &self.0 {
            Shown::Lines(lines) => lines.finish(),
            Shown::Live(live) => live.finish(),
            Shown::RawJson(_) => {}
        }
    }

    /// Ends what shows work that failed: the next line is the error's.
    pub(super) fn give_up(self) {
        if let Shown::Lines(lines) = &self.0 {
            lines.finish();
        }
    }
}

impl Sink for Progress {
    fn event(&self, event: Event) {
        match &self.0 {
            Shown::Lines(lines) => lines.event(event),
            Shown::Live(live) => live.event(event),
            Shown::RawJson(json) => json.event(event),
        }
    }
}

/// <https://no-color.org>: any value but none at all.
fn colours() -> Colours {
    if env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        Colours::None
    } else {
        Colours::Shown
    }
}
