//! The Dockerfile language: text in, values out. No file, no network, no clock, no environment.
//!
//! A Dockerfile passes four stations:
//!
//! ```text
//! text ──source──► logical lines ──line──► keyword, flags, arguments, heredocs ──instruction──► AST
//!                                                                                expand ◄── the build, later
//! ```
//!
//! - [`parse`] reads the whole file and reports *every* mistake it finds, each with its [`Span`]. It knows nothing of
//!   build arguments, stages that exist or files on disk: what needs those is judged by the build.
//! - Words keep their quotes, escapes and `$variables`. The build passes them to [`expand`] when it knows the
//!   environment. Only JSON forms are decoded here, because JSON has its own quoting.
//! - Parsing is linear in the length of the text. Where the language nests (`${a:-${b:-…}}`), the depth is bounded.
//!
//! The language is that of the Dockerfile reference 1.20. Where builders disagree, the doc of the item says which way
//! was taken.

mod ast;
mod chmod;
mod copy;
mod diagnostic;
mod directive;
mod dump;
mod duration;
mod expand;
mod flags;
mod from;
pub mod glob;
mod globals;
mod healthcheck;
mod heredoc;
mod ignore;
mod instruction;
mod line;
pub mod lint;
mod metadata;
mod mount;
mod onbuild;
pub mod outline;
mod parse;
mod pattern;
mod port;
#[cfg(any(test, fuzzing))]
pub mod property;
mod run;
mod script;
mod signal;
mod source;
mod span;
mod stages;
mod suggest;
mod words;
mod written;

pub use ast::{
    Arg, CacheMode, Command, Copy, Dockerfile, From, Healthcheck, Heredoc, Instruction, Run, Source, Stage,
    Step,
};
pub use chmod::{Chmod, InvalidChmod};
pub use diagnostic::{Diagnostic, Diagnostics, render_excerpt};
pub use directive::detect_syntax;
pub use dump::dump;
pub use duration::{DurationError, parse as duration};
pub use expand::{ExpandError, ExpandReason, expand, expand_heredoc, expand_words};
pub use glob::BadPattern;
pub use ignore::{IgnoreError, IgnoreFile, PathPattern, PatternError};
pub use mount::{BindSpec, CacheSpec, MountSpec, MountSpecError, SecretSpec, Sharing, SshSpec, TmpfsSpec};
pub use parse::{parse, parse_onbuild};
pub use port::{PortError, ports};
pub use script::Script;
pub use signal::{InvalidSignal, check_signal};
pub use span::{Span, Spanned};
pub use stages::{Needs, find_stage, named_stage, reachable_stages};
pub(crate) use suggest::did_you_mean;
pub use words::split_words;

#[cfg(test)]
mod tests;
