//! `--on-failure=shell`: a shell in the state in which a RUN failed, on the user's terminal.
//!
//! It is a command by hand on what the RUN left, in a sandbox of its own; what it changes goes with it.

use std::io;
use std::os::fd::AsFd as _;

use super::super::Context as Program;
use super::super::environment::assignment;
use super::super::failure::Failure;
use super::super::run::PassedOn;
use super::super::terminal::{self, Raw};
use crate::build::{Bench, Command, Context, FailedState, Options, chain};
use crate::registry::Client;
use crate::runtime::{Exit, Input};
use crate::store::Store;

/// `--on-failure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OnFailure {
    /// The build ends.
    #[default]
    Exit,
    /// A shell opens before it ends.
    Shell,
}

impl OnFailure {
    /// Errors, before anything is built, where no shell could be opened.
    pub(super) fn check(self) -> Result<(), Failure> {
        if self == Self::Shell && !terminal::is_there() {
            return Err(Failure::new("--on-failure=shell: standard input is not a terminal")
                .hint("after a build that failed, rbuild from --failed last makes a working container of what it left"));
        }
        Ok(())
    }
}

/// Opens the shell that the image has, as its user and where it works, and waits for its end. `options` are those of the
/// build. What goes wrong is told; the build has failed anyway.
pub(super) fn open(
    state: &FailedState,
    options: &Options,
    (store, client): (&Store, &Client),
    program: &Program,
) {
    eprintln!("a shell where the command failed: what it changes is lost, and its end is the build's");
    match run(state, options, (store, client), program) {
        Ok(Exit::Code(127)) => eprintln!("the image has no shell that could be opened"),
        Ok(_) => {}
        Err(why) => eprintln!("the shell: {why}"),
    }
}

fn run(
    state: &FailedState,
    options: &Options,
    (store, client): (&Store, &Client),
    program: &Program,
) -> Result<Exit, String> {
    let by_hand = Options {
        confinement: options.confinement.clone(),
        proxies: options.proxies.clone(),
        further_groups: options.further_groups.clone(),
        ..Options::by_hand(options.web.clone(), options.sandbox.clone(), options.rootfs)
    };
    let mut piece = state.piece.clone();
    let mut args = piece.image.config.shell.clone().unwrap_or_else(|| vec!["/bin/sh".to_owned()]);
    // SHELL names what a command is given to; without one it is a shell to type at
    args.pop_if(|last| last == "-c");
    let command = Command {
        args,
        env: state.arguments.clone(),
        fallback_env: assignment("TERM")
            .map_err(|failure| failure.message().to_owned())?
            .into_iter()
            .collect(),
        ..Command::default()
    };
    let nothing = Context::empty("no context");
    let bench = Bench::new(store, client, nothing, &by_hand, &program.cancel, &PassedOn);
    let bench = bench.map_err(|error| chain(&error))?;
    let stdin = io::stdin();
    let raw = Raw::begin().map_err(|error| error.to_string())?;
    let exit =
        bench.run(&mut piece, &command, Input::Terminal { from: stdin.as_fd(), size: &terminal::size });
    drop(raw);
    bench.close().map_err(|error| chain(&error))?;
    exit.map_err(|error| chain(&error))
}
