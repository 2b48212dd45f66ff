//! `rbuild inspect`.

use super::Context;
use super::failure::Failure;
use super::output;
use super::{container, container_json, image_json};
use crate::store::{Image, Store};

/// Describe a working container or an image as JSON
#[derive(clap::Args)]
pub(super) struct Args {
    /// What to look for; a container that is not there may be an image
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "container")]
    kind: Kind,
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
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    let found = match args.kind {
        Kind::Container => container::look(&store, &args.object)?,
        Kind::Image => None,
    };
    let described = match found {
        Some(container) => container_json::describe(&store, &container)?,
        None => image_json::describe(&find(&store, &args.object)?),
    };
    let mut text = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    serde::Serialize::serialize(&described, &mut serde_json::Serializer::with_formatter(&mut text, indent))?;
    output::line(String::from_utf8_lossy(&text))
}

/// The image called `name`, or a message that says so.
pub(super) fn find(store: &Store, name: &str) -> Result<Image, Failure> {
    store.find(name)?.ok_or_else(|| {
        Failure::new(format!("{name}: image not known")).hint("rbuild images lists what is here")
    })
}
