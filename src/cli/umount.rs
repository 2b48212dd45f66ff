//! `rbuild umount`.

use super::Context;
use super::container::Chosen;
use super::failure::Failure;
use crate::container;

/// Unmount working containers, keep what was written there, and print their ids
///
/// One that is not mounted has nothing printed.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    chosen: Chosen,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    args.chosen.each(context, |means, name| {
        let mut held = means.hold(name)?;
        let id = held.container().id.clone();
        Ok(container::unmount(&mut held)?.then_some(id))
    })
}
