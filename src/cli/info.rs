//! `rbuild info`.

use serde_json::{Value, json};

use super::Context;
use super::failure::Failure;
use super::output;
use crate::oci::Platform;
use crate::runtime::{Probed, RootfsChoice, Sandbox};
use crate::store::Store;

/// How RUN works on this machine, and why not otherwise, as JSON
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
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
        "sandbox": sandbox(context, &store),
        "network": { "default": "host", "available": ["host", "none"] },
    });
    output::line(serde_json::to_string_pretty(&info)?)
}

/// What a sandbox here can do: really started, really tried.
fn sandbox(context: &Context, store: &Store) -> Value {
    let plan = match rbuild_userns::idmap::plan(context.global.idmap) {
        Ok(plan) => plan,
        Err(why) => return json!({ "idmap": { "mode": null, "why": why.to_string() } }),
    };
    let idmaps = plan.passed_over.iter().map(|(mode, why)| passed_over(&mode.to_string(), why));
    json!({
        "idmap": {
            "mode": plan.mode.to_string(),
            "uids": plan.uids.to_string(),
            "gids": plan.gids.to_string(),
            "passedOver": idmaps.collect::<Vec<_>>(),
        },
        "rootfs": match probe(context, store) {
            Ok(drivers) => rootfs(context.global.rootfs, &drivers),
            Err(why) => json!({ "driver": null, "why": why }),
        },
    })
}

fn passed_over(name: &str, why: &str) -> Value {
    json!({ "name": name, "why": why })
}

/// Which driver RUN gets, and why not another that would be faster or was tried. `drivers` stand in the order in which
/// they are preferred here.
fn rootfs(wanted: RootfsChoice, drivers: &[Probed]) -> Value {
    let fits = |driver| wanted == RootfsChoice::Auto || wanted == driver;
    let taken =
        drivers.iter().find(|(driver, works)| fits(*driver) && works.is_ok()).map(|(driver, _)| *driver);
    let rows = drivers.iter().filter_map(|(driver, works)| match works {
        Err(why) => Some(passed_over(name(*driver), why)),
        Ok(()) if !fits(*driver) => Some(passed_over(name(*driver), "another was asked for with --rootfs")),
        Ok(()) if taken == Some(RootfsChoice::Fuse) && *driver == RootfsChoice::Kernel => Some(passed_over(
            name(*driver),
            "one id is mapped, and a file of its overlay could have no other owner",
        )),
        Ok(()) => None,
    });
    json!({ "driver": taken.map(name), "passedOver": rows.collect::<Vec<_>>() })
}

fn probe(context: &Context, store: &Store) -> Result<Vec<Probed>, String> {
    let live = store.lease_live().map_err(|why| why.to_string())?;
    let sandbox =
        Sandbox::start(&context.sandbox(), context.cancel.clone()).map_err(|why| why.to_string())?;
    let drivers = sandbox.probe(live.path()).map_err(|why| why.to_string())?;
    sandbox.close().map_err(|why| why.to_string())?;
    Ok(drivers)
}

fn name(driver: RootfsChoice) -> &'static str {
    match driver {
        RootfsChoice::Auto => "auto",
        RootfsChoice::Kernel => "kernel",
        RootfsChoice::Fuse => "fuse",
        RootfsChoice::Plain => "plain",
    }
}
