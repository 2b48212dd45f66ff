//! `rbuild run`.

use std::io::{self, Write};

use super::container::Workplace;
use super::failure::Failure;
use super::{Context, environment, registry, step};
use crate::build::Command;
use crate::container;
use crate::progress::{Event, Sink, Stream};

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
    /// The container: a name or an id
    container: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
    #[command(flatten)]
    step: step::Args,
}

pub(super) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let workplace = Workplace::open(context, &registry::Args::default())?;
    let confinement = args.step.confinement()?;
    let command = Command {
        args: args.command,
        user: args.user,
        cwd: args.workingdir,
        env: args.env.iter().filter_map(|text| environment::assignment(text)).collect(),
        mounts: Vec::new(),
    };
    let exit = workplace.with_sink(context, &PassedOn, |means| {
        let mut held = means.hold(&args.container)?;
        container::run(means, &mut held, &command, confinement)
    })?;
    Failure::of_exit(exit)
}

/// Passes on what the command writes, byte for byte.
struct PassedOn;

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
