//! `rbuild rm`.

use super::container::Workplace;
use super::failure::Failure;
use super::{Context, output, registry};
use crate::container;

/// Remove working containers and print their ids
#[derive(clap::Args)]
pub(super) struct Args {
    /// All of them
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,
    /// Names or ids
    #[arg(required_unless_present = "all", value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let workplace = Workplace::open(context, &registry::Args::default())?;
    let wanted = if args.all {
        let all = container::list(&workplace.store).map_err(|error| Failure::of_container(&error))?;
        all.into_iter().map(|container| container.id).collect()
    } else {
        args.containers.clone()
    };
    let mut refused = None;
    for name in &wanted {
        let removed = workplace.with(context, true, |means| {
            let held = means.hold_record(name)?;
            let id = held.container().id.clone();
            held.remove()?;
            Ok(id)
        });
        // the others go all the same
        match removed {
            Ok(id) => output::line(id)?,
            Err(failure) => drop(refused.get_or_insert(failure)),
        }
    }
    refused.map_or(Ok(()), Err)
}
