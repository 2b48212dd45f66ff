//! `rbuild run`.

use std::io::{self, Write};
use std::os::fd::AsFd as _;

use super::container::Workplace;
use super::failure::Failure;
use super::foreign::{Given, Row, Table};
use super::terminal::{self, Raw};
use super::{Context, environment, registry, secrets, ssh, step};
use crate::build::Command;
use crate::container::{self, Run};
use crate::progress::{Event, Sink, Stream};
use crate::runtime::{Exit, Input};

/// Run a command in a working container
#[derive(clap::Args)]
pub(super) struct Args {
    /// Who runs it: user[:group], names of the container or numbers [default: the container's]
    #[arg(long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// A variable for this command alone; without a value it comes from the environment
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Where it starts [default: the container's]
    #[arg(long = "workingdir", alias = "cwd", value_name = "DIR")]
    workingdir: Option<String>,
    /// Give it a terminal of its own [default: if standard input is one]
    #[arg(short, long, visible_alias = "tty", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
          require_equals = true)]
    terminal: Option<bool>,
    /// A secret for --mount=type=secret; may be given several times
    #[arg(long = "secret", value_name = "id=ID[,src=FILE|env=NAME]", value_parser = secrets::wanted)]
    secrets: Vec<secrets::Wanted>,
    /// An ssh agent or keys for --mount=type=ssh; may be given several times
    #[arg(long = "ssh", value_name = "default|ID[=SOCKET|KEY,…]", value_parser = ssh::wanted)]
    ssh: Vec<ssh::Wanted>,
    /// Have the history of an image tell of it [default: `$BUILDAH_HISTORY`, else false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    add_history: Option<bool>,
    /// Exit codes of the command that mean success besides 0
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    valid_exit_codes: Vec<i32>,
    /// The container: a name or an id
    container: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
    #[command(flatten)]
    step: step::Args,
    #[command(flatten)]
    foreign: Given<Foreign>,
}

/// Options of buildah's about the program that runs commands.
struct Foreign;

impl Table for Foreign {
    const ROWS: &'static [Row] = &[
        Row::not_done("runtime", "rbuild runs commands by itself: leave it out"),
        Row::not_done("runtime-flag", "rbuild runs commands by itself: leave it out"),
        Row::idle("no-pivot", "the root of a command is entered in rbuild's own way, on any file system"),
        Row::not_done("cdi-config-dir", "name the device itself: --device"),
    ];
}

pub(super) fn run(mut args: Args, context: &Context) -> Result<(), Failure> {
    args.foreign.answer(context)?;
    let mut workplace = Workplace::open(context, &registry::Args::default())?;
    workplace.sandbox.groups = args.step.groups()?;
    workplace.sandbox.maps = args.step.maps(context.sandbox().maps)?;
    let has_terminal = args.terminal.unwrap_or_else(terminal::is_there);
    let term = if has_terminal { environment::assignment("TERM")? } else { None };
    let command = Command {
        args: args.command,
        user: args.user,
        cwd: args.workingdir,
        env: environment::assignments(&args.env)?,
        fallback_env: term.into_iter().collect(),
        mounts: args.step.take_mounts(),
    };
    let stdin = io::stdin();
    let wanted = Run {
        command,
        input: if has_terminal {
            Input::Terminal { from: stdin.as_fd(), size: &terminal::size }
        } else {
            Input::Pipe(stdin.as_fd())
        },
        secrets: secrets::read(&args.secrets)?,
        agents: ssh::backends(&args.ssh)?,
        network: args.step.network(),
        capabilities: args.step.capability_change()?,
        further_groups: args.step.further_groups(),
        proxies: args.step.proxies()?,
        record: environment::record(args.add_history)?,
        confinement: args.step.confinement()?,
    };
    let exit = workplace.with_sink(context, &PassedOn, |means| {
        let mut held = means.hold(&args.container)?;
        let _raw = has_terminal.then(Raw::begin).transpose().map_err(container::Error::Terminal)?;
        container::run(means, &mut held, wanted)
    })?;
    match exit {
        Exit::Code(code) if args.valid_exit_codes.contains(&code) => Ok(()),
        exit => Failure::of_exit(exit),
    }
}

/// Passes on what the command writes, byte for byte.
pub(super) struct PassedOn;

impl Sink for PassedOn {
    fn event(&self, event: Event) {
        let (mut to, bytes): (Box<dyn Write>, Vec<u8>) = match event {
            Event::Output { stream: Stream::Stdout, bytes, .. } => (Box::new(io::stdout().lock()), bytes),
            Event::Output { stream: Stream::Stderr, bytes, .. } => (Box::new(io::stderr().lock()), bytes),
            Event::Warning(text) => {
                (Box::new(io::stderr().lock()), format!("[Warning] {text}\n").into_bytes())
            }
            _ => return,
        };
        // A reader that closed the pipe wants no more; the command goes on.
        drop(to.write_all(&bytes).and_then(|()| to.flush()));
    }
}
