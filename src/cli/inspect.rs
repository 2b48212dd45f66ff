//! `rbuild inspect`.

use super::Context;
use super::failure::Failure;
use super::image_json::describe;
use super::output;
use crate::store::{Image, Store};

/// Describe an image as JSON
#[derive(clap::Args)]
pub(super) struct Args {
    /// What to look for; only images are known so far
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "image", value_parser = ["image"])]
    kind: String,
    /// The image: a name or an id
    image: String,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    let image = find(&store, &args.image)?;
    let mut text = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    serde::Serialize::serialize(
        &describe(&image),
        &mut serde_json::Serializer::with_formatter(&mut text, indent),
    )?;
    output::line(String::from_utf8_lossy(&text))
}

/// The image called `name`, or a message that says so.
pub(super) fn find(store: &Store, name: &str) -> Result<Image, Failure> {
    store.find(name)?.ok_or_else(|| {
        Failure::new(format!("{name}: image not known")).hint("rbuild images lists what is here")
    })
}
