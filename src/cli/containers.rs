//! `rbuild containers`.

use serde_json::{Value, json};

use super::failure::Failure;
use super::template::Rows;
use super::{Context, output};
use crate::container::{self, Container};

/// List the working containers
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub(super) struct Args {
    /// All of them, which is what there is
    #[arg(short, long, hide = true)]
    all: bool,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
    /// As JSON
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Only those that are like this: id=PREFIX, name=PART or ancestor=IMAGE; several must all hold
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_parser = filter)]
    filters: Vec<Filter>,
    /// A Go template for each, with the columns of the list as its fields
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["quiet", "json"])]
    format: Option<Rows>,
    /// Without the heading
    #[arg(short, long)]
    noheading: bool,
    /// Whole ids
    #[arg(long)]
    notruncate: bool,
}

/// What a container has to be like.
#[derive(Clone, Debug)]
enum Filter {
    Id(String),
    Name(String),
    Ancestor(String),
}

fn filter(text: &str) -> Result<Filter, String> {
    match text.split_once('=') {
        Some(("id", value)) => Ok(Filter::Id(value.to_owned())),
        Some(("name", value)) => Ok(Filter::Name(value.to_owned())),
        Some(("ancestor", value)) => Ok(Filter::Ancestor(value.to_owned())),
        _ => Err("expected id=PREFIX, name=PART or ancestor=IMAGE".to_owned()),
    }
}

impl Filter {
    fn holds(&self, container: &Container) -> bool {
        match self {
            Self::Id(prefix) => container.id.starts_with(prefix),
            Self::Name(part) => container.name.contains(part),
            Self::Ancestor(image) => container.state.base.as_ref().is_some_and(|base| {
                base.name.contains(image.as_str()) || base.id.hex().starts_with(image.as_str())
            }),
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let all = container::list(&context.store()?).map_err(|error| Failure::of_container(&error))?;
    let wanted = all.iter().filter(|container| args.filters.iter().all(|filter| filter.holds(container)));
    if args.json {
        let list: Vec<Value> = wanted.map(describe).collect();
        return output::pretty(&list);
    }
    let width = if args.notruncate { 64 } else { 12 };
    if let Some(format) = &args.format {
        let rows: Vec<Value> = wanted.map(|container| of_template(container, width)).collect();
        return format.lines(&rows).map_err(Failure::new)?.iter().try_for_each(output::line);
    }
    if args.quiet {
        return wanted.into_iter().try_for_each(|container| output::line(&container.id[..width]));
    }
    if !args.noheading {
        let cells = ["CONTAINER ID", "BUILDER", "IMAGE ID", "IMAGE NAME", "CONTAINER NAME"];
        output::line(row(cells, width))?;
    }
    for container in wanted {
        let image = container.state.base.as_ref().map(|base| base.id.hex()).unwrap_or_default();
        let image = image.get(..width).unwrap_or_default();
        let cells = [&container.id[..width], BUILDER, image, image_name(container), &container.name];
        output::line(row(cells, width))?;
    }
    Ok(())
}

/// A line of the list. The columns have the widths that scripts cut them by.
fn row([id, builder, image, image_name, name]: [&str; 5], width: usize) -> String {
    format!("{id:<width$}  {builder:<8} {image:<width$} {image_name:<32} {name}")
}

fn image_name(container: &Container) -> &str {
    container.state.base.as_ref().map_or("scratch", |base| &base.name)
}

fn describe(container: &Container) -> Value {
    json!({
        "id": container.id,
        "builder": true,
        "imageid": container.state.base.as_ref().map(|base| base.id.hex()).unwrap_or_default(),
        "imagename": image_name(container),
        "containername": container.name,
    })
}

/// What a template finds.
fn of_template(container: &Container, width: usize) -> Value {
    let image = container.state.base.as_ref().map(|base| base.id.hex()).unwrap_or_default();
    json!({
        "ContainerID": &container.id[..width],
        "Builder": BUILDER,
        "ImageID": image.get(..width).unwrap_or_default(),
        "ImageName": image_name(container),
        "ContainerName": container.name,
    })
}

/// The mark of a container that was made here, as all are.
const BUILDER: &str = "   *";
