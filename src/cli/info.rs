//! `rbuild info`.

use serde_json::{Value, json};

use super::failure::Failure;
use super::step::network::search_path;
use super::{Context, doctor, output};
use crate::fuse::Transport;
use crate::oci::Platform;
use crate::runtime::{self, Capability, Examination, Network, Private, Probed, RootfsChoice, Sandbox, Taken};

/// How RUN works on this machine, and why not otherwise, as JSON
#[derive(clap::Args)]
pub(super) struct Args {
    /// How to print it: json
    #[arg(long, value_name = "FORMAT", default_value = "json", value_parser = ["json"])]
    format: String,
}

pub(super) fn run(_: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    let found = doctor::examine(context)?;
    let info = json!({
        "host": {
            "os": std::env::consts::OS,
            "arch": Platform::host().architecture,
            "cpus": std::thread::available_parallelism()?.get(),
            "kernel": rustix::system::uname().release().to_string_lossy(),
            "rootless": !rustix::process::geteuid().is_root(),
        },
        "store": {
            "root": store.root(),
            "images": store.images()?.len(),
        },
        "sandbox": {
            "idmap": idmap(&found),
            "rootfs": match &found.drivers {
                Ok(drivers) => rootfs(context.global.rootfs, drivers, found.transport),
                Err(why) => json!({ "driver": null, "why": why }),
            },
            "owners": found.taken.as_ref().map(Taken::owners),
        },
        "capabilities": found.capabilities.iter().map(capability).collect::<Vec<_>>(),
        "lift": found.lift().map(|one| one.name),
        "network": network(context),
    });
    output::line(serde_json::to_string_pretty(&info)?)
}

fn capability(one: &Capability) -> Value {
    let (why, remedy) = match &one.missing {
        Some(missing) => (Some(&missing.why), missing.remedy.as_ref()),
        None => (None, None),
    };
    json!({ "name": one.name, "works": one.missing.is_none(), "why": why, "costs": one.costs, "remedy": remedy })
}

fn idmap(found: &Examination) -> Value {
    let plan = match &found.plan {
        Ok(plan) => plan,
        Err(why) => return json!({ "mode": null, "why": why }),
    };
    let idmaps = plan.passed_over.iter().map(|(mode, why)| passed_over(&mode.to_string(), why));
    json!({
        "mode": plan.mode.to_string(),
        "uids": plan.uids.to_string(),
        "gids": plan.gids.to_string(),
        "passedOver": idmaps.collect::<Vec<_>>(),
    })
}

/// What RUN has if nothing else is said, and what a private network stands on: really brought up.
fn network(context: &Context) -> Value {
    let private = Network::Private(Private { carrier: None, path: search_path() });
    let probe = || {
        let sandbox = Sandbox::start(&context.sandbox(), context.cancel.clone())?;
        let program = sandbox.probe_network(&private)?;
        sandbox.close()?;
        Ok::<_, runtime::Error>(program)
    };
    match probe() {
        Ok(program) => {
            json!({ "default": "host", "available": ["host", "none", "private", "ns:PATH"], "private": program })
        }
        Err(why) => {
            json!({ "default": "host", "available": ["host", "none", "ns:PATH"], "private": null, "why": why.to_string() })
        }
    }
}

fn passed_over(name: &str, why: &str) -> Value {
    json!({ "name": name, "why": why })
}

/// Which driver RUN gets, and why not another that would be faster or was tried. `drivers` stand in the order in which
/// they are preferred here.
fn rootfs(wanted: RootfsChoice, drivers: &[Probed], transport: Option<Transport>) -> Value {
    let fits = |driver| wanted == RootfsChoice::Auto || wanted == driver;
    let taken =
        drivers.iter().find(|(driver, works)| fits(*driver) && works.is_ok()).map(|(driver, _)| *driver);
    let rows = drivers.iter().filter_map(|(driver, works)| match works {
        Err(why) => Some(passed_over(name(*driver), why)),
        Ok(()) if !fits(*driver) => Some(passed_over(name(*driver), "another was asked for with --rootfs")),
        Ok(()) => None,
    });
    json!({ "driver": taken.map(name), "transport": transport, "passedOver": rows.collect::<Vec<_>>() })
}

pub(super) fn name(driver: RootfsChoice) -> &'static str {
    match driver {
        RootfsChoice::Auto => "auto",
        RootfsChoice::Kernel => "kernel",
        RootfsChoice::Fuse => "fuse",
        RootfsChoice::Plain => "plain",
    }
}
