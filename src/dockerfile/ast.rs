//! The tree that a Dockerfile becomes.
//!
//! Strings are as written (quotes, escapes and `$variables` intact) unless their doc says otherwise: see
//! [`expand`](super::expand()).

use super::{Diagnostic, Span, Spanned};

/// A parsed Dockerfile: at least one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// The escape character: `\`, or `` ` `` by the directive `# escape=`.
    pub escape: char,
    /// The value of the directive `# syntax=`, whole.
    pub syntax: Option<String>,
    /// The value of the directive `# check=`, whole.
    pub check: Option<String>,
    /// The ARG instructions before the first FROM.
    pub global_args: Vec<Step>,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// What is allowed but likely a mistake (an empty line inside a continued instruction).
    pub warnings: Vec<Diagnostic>,
}

/// A FROM and the instructions up to the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What the stage starts from.
    pub from: Spanned<From>,
    /// The FROM on one line, as written.
    pub text: String,
    /// The instructions, in order.
    pub steps: Vec<Step>,
}

impl Stage {
    /// Has it start from this image or stage, whatever its FROM says.
    pub fn stand_on(&mut self, base: &str) {
        let From { image, name, platform } = &mut self.from.value;
        base.clone_into(image);
        let platform = platform.iter().map(|platform| format!("--platform={platform} "));
        let name = name.iter().map(|name| format!(" AS {name}"));
        self.text =
            std::iter::once("FROM ".to_owned()).chain(platform).chain([image.clone()]).chain(name).collect();
    }
}

/// `FROM [--platform=P] image [AS name]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    /// The image or stage, unexpanded.
    pub image: String,
    /// The stage's name, lower-cased.
    pub name: Option<String>,
    /// The value of `--platform`, unexpanded.
    pub platform: Option<String>,
}

/// One instruction and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub instruction: Instruction,
    /// The whole instruction, heredoc bodies included.
    pub span: Span,
    /// The instruction on one line: continuations joined, comments removed. A RUN that is one heredoc shows the
    /// beginning of its body: `RUN <<EOF (set -e...)`.
    pub text: String,
}

/// Every instruction but FROM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// `ARG name[=default]…`
    Arg(Vec<Arg>),
    /// `ENV key=value…`; keys and values unexpanded.
    Env(Vec<(String, String)>),
    /// `RUN`
    Run(Run),
    /// `COPY`
    Copy(Copy),
    /// `ADD`
    Add(Copy),
    /// `WORKDIR path`
    Workdir(String),
    /// `USER user[:group]`
    User(String),
    /// `LABEL key=value…`; keys and values unexpanded.
    Label(Vec<(String, String)>),
    /// `EXPOSE port[-port][/protocol]…`; one word may expand to several, see [`expand_words`](super::expand_words).
    Expose(Vec<String>),
    /// `VOLUME path…`
    Volume(Vec<String>),
    /// `CMD`; `CMD []` is an empty [`Command::Exec`].
    Cmd(Command),
    /// `ENTRYPOINT`
    Entrypoint(Command),
    /// `SHELL ["program", "argument"…]`, decoded and never expanded.
    Shell(Vec<String>),
    /// `STOPSIGNAL signal`
    Stopsignal(String),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `ONBUILD instruction`: the trigger as the image config stores it; see [`parse_onbuild`](super::parse_onbuild).
    Onbuild(String),
    /// `MAINTAINER name`, never expanded.
    Maintainer(String),
}

/// One argument of an ARG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// The name, unexpanded.
    pub name: String,
    /// The default, unexpanded; `ARG x=` has an empty one.
    pub value: Option<String>,
}

/// A command line in one of its two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Text for the shell (see SHELL), verbatim.
    Shell(String),
    /// An argument vector, decoded from JSON.
    Exec(Vec<String>),
}

/// `RUN [--mount=…] [--network=…] [--security=…] [--device=…] [--cache=…] command`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The command. If it consists of exactly one heredoc this is an empty [`Command::Shell`] and the body is what to
    /// run; otherwise the shell text holds the heredocs with their bodies, verbatim.
    pub command: Command,
    /// The heredocs, in order.
    pub heredocs: Vec<Heredoc>,
    /// The values of `--mount`, unexpanded, each with its place.
    pub mounts: Vec<Spanned<String>>,
    /// `--network`: `default`, `none` or `host`.
    pub network: Option<String>,
    /// `--security`: `sandbox` or `insecure`.
    pub security: Option<String>,
    /// The values of `--device`.
    pub devices: Vec<String>,
    /// `--cache`.
    pub cache: Option<CacheMode>,
}

/// When the result of an earlier RUN is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// On the same parent.
    #[default]
    Exact,
    /// Also on another one, where all that the command looked at is the same.
    Traced,
}

impl std::str::FromStr for CacheMode {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "exact" => Ok(Self::Exact),
            "traced" => Ok(Self::Traced),
            _ => Err("expected exact or traced".to_owned()),
        }
    }
}

/// The arguments and flags of COPY and ADD. A flag that the instruction does not have is `None`, `false` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    /// What to copy, in order; at least one.
    pub sources: Vec<Source>,
    /// Where to, unexpanded.
    pub dest: String,
    /// `--from` (COPY): stage, stage index, context or image, unexpanded.
    pub from: Option<String>,
    /// `--chown`, unexpanded.
    pub chown: Option<String>,
    /// `--chmod`, unexpanded.
    pub chmod: Option<String>,
    /// `--link`
    pub link: bool,
    /// `--parents` (COPY)
    pub parents: bool,
    /// The values of `--exclude`, unexpanded.
    pub exclude: Vec<String>,
    /// `--checksum` (ADD), unexpanded.
    pub checksum: Option<String>,
    /// `--keep-git-dir` (ADD)
    pub keep_git_dir: Option<bool>,
    /// `--unpack` (ADD)
    pub unpack: Option<bool>,
}

/// One source of a COPY or ADD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A path, wildcard or URL, unexpanded.
    Path(String),
    /// A file written in the Dockerfile itself.
    Heredoc(Heredoc),
}

/// An inline document: `<<NAME`, its lines, `NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    /// The delimiter without its quotes; the name of the file for COPY and ADD, unexpanded.
    pub name: String,
    /// The lines up to the delimiter, line ends as in the source; `<<-` has removed leading tabs.
    pub body: String,
    /// Whether COPY and ADD expand the body: no part of the delimiter was quoted.
    pub expand: bool,
}

/// `HEALTHCHECK`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`: no check, not even the base image's.
    None,
    /// `HEALTHCHECK [options] CMD command`. Zero means "the runtime's default".
    Check {
        /// What to run.
        command: Command,
        /// `--interval`, in nanoseconds.
        interval: i64,
        /// `--timeout`, in nanoseconds.
        timeout: i64,
        /// `--start-period`, in nanoseconds.
        start_period: i64,
        /// `--start-interval`, in nanoseconds.
        start_interval: i64,
        /// `--retries`
        retries: i64,
    },
}
