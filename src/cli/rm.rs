//! `rbuild rm`.

use super::Context;
use super::container::Chosen;
use super::failure::Failure;

/// Remove working containers and print their ids
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    chosen: Chosen,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    args.chosen.each(context, |means, name| {
        let held = means.hold_record(name)?;
        let id = held.container().id.clone();
        held.remove()?;
        Ok(Some(id))
    })
}
