//! `rbuild umount`.

use super::container::Workplace;
use super::failure::Failure;
use super::{Context, output, registry};
use crate::container;

/// Unmount working containers, keep what was written there, and print their ids
#[derive(clap::Args)]
pub(super) struct Args {
    /// All that are mounted
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
        all.into_iter()
            .filter(|container| container.state.mount.is_some())
            .map(|container| container.id)
            .collect()
    } else {
        args.containers.clone()
    };
    let mut refused = None;
    for name in &wanted {
        let unmounted = workplace.with(context, true, |means| {
            let mut held = means.hold(name)?;
            let id = held.container().id.clone();
            Ok(container::unmount(&mut held)?.then_some(id))
        });
        // the others go all the same
        match unmounted {
            Ok(Some(id)) => output::line(id)?,
            Ok(None) => {}
            Err(failure) => drop(refused.get_or_insert(failure)),
        }
    }
    refused.map_or(Ok(()), Err)
}
