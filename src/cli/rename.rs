//! `rbuild rename`.

use super::container::Workplace;
use super::failure::Failure;
use super::{Context, registry};
use crate::container;

/// Give a working container another name
#[derive(clap::Args)]
pub(super) struct Args {
    /// The container: a name or an id
    container: String,
    /// Its new name
    name: String,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let workplace = Workplace::open(context, &registry::Args::default())?;
    workplace
        .with(context, true, |means| container::rename(&mut means.hold_record(&args.container)?, &args.name))
}
