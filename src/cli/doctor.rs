//! `rbuild doctor`.

use super::Context;
use super::failure::Failure;
use super::output;
use crate::runtime::{Capability, Examination};

/// What works on this machine, what the rest costs, and what mends it
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, context: &Context) -> Result<(), Failure> {
    let found = examine(context)?;
    for capability in &found.capabilities {
        output::line(line(capability))?;
    }
    output::line("")?;
    let Some(taken) = &found.taken else {
        let why = found.drivers.as_ref().err().or(found.plan.as_ref().err());
        output::line("RUN does not work here; FROM, COPY, ADD, pull and push do, which need no privilege.")?;
        lift(&found, "To have it")?;
        let why = why.map_or("no driver mounts a root file system", String::as_str);
        return Err(Failure::new(format!("RUN does not work here: {why}")).code(NO_RUN));
    };
    let driver = super::info::name(taken.driver);
    output::line(format_args!("RUN works: ids by {}, its root file system by {driver}.", taken.mode))?;
    lift(&found, "To lift it")
}

/// The exit code where a build with RUN fails.
const NO_RUN: u8 = 1;

/// Everything is tried, in a scratch directory of the store.
pub(super) fn examine(context: &Context) -> Result<Examination, Failure> {
    let live = context.store()?.lease_live()?;
    let found = Examination::of(&context.sandbox(), context.global.rootfs, live.path(), &context.cancel)?;
    live.close()?;
    Ok(found)
}

fn line(capability: &Capability) -> String {
    let Capability { name, costs, missing } = capability;
    let Some(missing) = missing else { return format!("ok       {name}") };
    let remedy = missing.remedy.iter().map(|remedy| format!("\n         {:18} mend: {remedy}", ""));
    format!(
        "missing  {name:18} {}\n         {:18} costs: {costs}{}",
        missing.why,
        "",
        remedy.collect::<String>()
    )
}

fn lift(found: &Examination, purpose: &str) -> Result<(), Failure> {
    let remedy = found.lift().and_then(|one| Some((one.name, one.missing.as_ref()?.remedy.as_ref()?)));
    match remedy {
        Some((name, remedy)) => output::line(format_args!("{purpose} ({name}): {remedy}")),
        None if found.taken.is_some() => output::line("Nothing that is missing would lift it."),
        None => Ok(()),
    }
}
