//! `run`: a command on the root of a container.

use super::{Error, Held, Means};
use crate::build::{Command, Context, Options};
use crate::runtime::{Confinement, Exit};

/// Runs `command` in a container and keeps what it changed, however it ends. A command that fails is no error: see what is
/// returned. `confinement` is what the container says of it, with what this command wants otherwise.
///
/// Errors leave the container as it was.
pub fn run(
    means: &Means<'_>,
    held: &mut Held,
    command: &Command,
    confinement: Confinement,
) -> Result<Exit, Error> {
    let options = Options { confinement, ..means.options() };
    let bench = means.bench(Context::empty("no context"), &options)?;
    bench.sweep()?;
    let mut state = held.container().state.clone();
    let exit = bench.run(&mut state.piece, command)?;
    bench.close()?;
    held.save(state)?;
    Ok(exit)
}
