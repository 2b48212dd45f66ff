//! `rbuild inspect`.

use serde_json::{Value, json};

use super::Context;
use super::failure::Failure;
use super::output;
use super::template::Template;
use super::{container, container_json, image_json, size};
use crate::store::{Image, Store};

/// Describe a working container or an image as JSON
#[derive(clap::Args)]
pub(super) struct Args {
    /// What to look for; a container that is not there may be an image
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "container")]
    kind: Kind,
    /// A Go template instead of JSON
    #[arg(short, long, value_name = "TEMPLATE")]
    format: Option<Template>,
    /// The container or image: a name or an id
    object: String,
}

/// `--type`.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// A working container, else an image.
    Container,
    /// An image.
    Image,
    /// A list of images.
    Manifest,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    let found = match args.kind {
        Kind::Container => container::look(&store, &args.object)?,
        Kind::Image | Kind::Manifest => None,
    };
    let described = match found {
        Some(container) => container_json::describe(&store, &container)?,
        None if args.kind == Kind::Manifest => list(&store, &args.object)?,
        None => image_json::describe(&find(&store, &args.object)?),
    };
    if let Some(format) = &args.format {
        return output::rendered(&format.render(&for_template(described)).map_err(Failure::new)?);
    }
    output::pretty(&described)
}

/// The list of images called `name`, as it stands there.
fn list(store: &Store, name: &str) -> Result<Value, Failure> {
    let known = store.find_list_in_part(name)?.ok_or_else(|| {
        Failure::new(format!("{name}: list of images not known")).hint("rbuild manifest create makes one")
    })?;
    Ok(serde_json::from_slice(&std::fs::read(store.blob_path(&known.descriptor.digest))?)?)
}

/// With what a Go program would have where the JSON says nothing, and times as Go tells them.
fn for_template(mut described: Value) -> Value {
    let absent = json!({
        "author": "", "created": "", "variant": "",
        "config": { "Cmd": [], "Entrypoint": [], "Env": [], "ExposedPorts": {}, "Labels": {}, "StopSignal": "", "User": "",
                    "Volumes": {}, "WorkingDir": "" },
    });
    let Some(image) = described.get_mut("OCIv1") else { return described };
    fill(image, &absent);
    let created = image["created"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    if let Some(created) = created {
        image["created"] = size::go_time(created).into();
    }
    described
}

/// Puts in what `absent` has and `value` has not.
fn fill(value: &mut Value, absent: &Value) {
    let (Some(value), Some(absent)) = (value.as_object_mut(), absent.as_object()) else { return };
    for (key, absent) in absent {
        fill(value.entry(key).or_insert_with(|| absent.clone()), absent);
    }
}

/// The image called `name`, or a message that says so.
pub(super) fn find(store: &Store, name: &str) -> Result<Image, Failure> {
    store.find(name)?.ok_or_else(|| {
        Failure::new(format!("{name}: image not known")).hint("rbuild images lists what is here")
    })
}
