//! `rbuild info`.

mod host;

use serde_json::{Value, json};

use super::failure::Failure;
use super::step::network::search_path;
use super::template::{self, Template};
use super::{Context, doctor, output};
use crate::container;
use crate::fuse::Transport;
use crate::runtime::{self, Capability, Examination, Network, Private, Probed, RootfsChoice, Sandbox, Taken};
use crate::store::Store;

/// How RUN works on this machine, and why not otherwise, as JSON
#[derive(clap::Args)]
pub(super) struct Args {
    /// How to print it: json, or a Go template
    #[arg(long, value_name = "TEMPLATE", default_value = "json", value_parser = format)]
    format: Format,
    /// More of it, which there is not
    #[arg(short, long, hide = true)]
    debug: bool,
}

/// `--format`.
#[derive(Clone)]
enum Format {
    Json,
    Template(Template),
}

fn format(text: &str) -> Result<Format, template::Error> {
    if text == "json" { Ok(Format::Json) } else { text.parse().map(Format::Template) }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    let found = doctor::examine(context)?;
    let info = json!({
        "host": host::describe()?,
        "store": stored(&store, context)?,
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
    match &args.format {
        Format::Json => output::pretty(&info),
        Format::Template(template) => output::rendered(&template.render(&info).map_err(Failure::new)?),
    }
}

/// The store, under buildah's keys and two of our own.
fn stored(store: &Store, context: &Context) -> Result<Value, Failure> {
    let images = store.images()?.len();
    let containers = container::list(store).map_err(|error| Failure::of_container(&error))?.len();
    Ok(json!({
        "root": store.root(),
        "images": images,
        "ContainerStore": { "number": containers },
        "GraphDriverName": if context.global.rootfs == RootfsChoice::Plain { "vfs" } else { "overlay" },
        "GraphImageStore": "",
        "GraphOptions": [],
        "GraphRoot": store.root(),
        "GraphStatus": {},
        "GraphTransientStore": false,
        "ImageStore": { "number": images },
        "RunRoot": store.root(),
    }))
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
