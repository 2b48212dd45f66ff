//! `rbuild images`.

mod filter;

use std::cmp::Reverse;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Context;
use super::failure::Failure;
use super::output;
use super::size;
use super::template::Rows;
use crate::oci::Reference;
use crate::store::Image;
use filter::Filter;

/// List the images of the store
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub(super) struct Args {
    /// Those without a name as well that others were made of
    #[arg(short, long)]
    all: bool,
    /// Only those that are like this: before=IMAGE, since=IMAGE, dangling=BOOL, id=PREFIX, intermediate=BOOL,
    /// label=NAME[=VALUE], readonly=BOOL or reference=PATTERN; KEY!=VALUE for those that are not
    #[arg(short, long = "filter", value_name = "KEY=VALUE", value_delimiter = ',')]
    filters: Vec<Filter>,
    /// Show which names an image had before, of which the store keeps no record
    #[arg(long)]
    history: bool,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
    /// As JSON
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Show the manifests' digests
    #[arg(long)]
    digests: bool,
    /// A Go template for each, with the columns of the list as its fields
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["quiet", "json"])]
    format: Option<Rows>,
    /// Without the heading
    #[arg(short, long)]
    noheading: bool,
    /// Whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Only this image
    image: Option<String>,
}

/// What the column of earlier names says of each.
const NO_HISTORY: &str = "<none>";

/// One line of the list: an image under one of its names.
struct Row<'a> {
    image: &'a Image,
    name: Option<&'a Reference>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    let mut images = match &args.image {
        Some(name) => vec![super::inspect::find(&store, name)?],
        None => filter::listed(&store, &store.images()?, &args.filters, args.all)?,
    };
    // The youngest first.
    images.sort_by_key(|image| Reverse(made(image)));
    if args.json {
        let list: Vec<Value> = images.iter().map(|image| describe(image, args)).collect();
        return output::pretty(&list);
    }
    if args.quiet {
        return images.iter().try_for_each(|image| output::line(id(image, args)));
    }
    let rows = images.iter().flat_map(|image| {
        let unnamed = image.names.is_empty().then_some(Row { image, name: None });
        unnamed.into_iter().chain(image.names.iter().map(move |name| Row { image, name: Some(name) }))
    });
    if let Some(format) = &args.format {
        let rows: Vec<Value> = rows.map(|row| row.of_template(args)).collect();
        return format.lines(&rows).map_err(Failure::new)?.iter().try_for_each(output::line);
    }
    let mut table: Vec<Vec<String>> = rows.map(|row| row.cells(args)).collect();
    if !args.noheading {
        let mut heading = vec!["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"];
        if args.digests {
            heading.insert(2, "DIGEST");
        }
        if args.history {
            heading.push("HISTORY");
        }
        table.insert(0, heading.into_iter().map(str::to_owned).collect());
    }
    print_columns(&table)
}

impl Row<'_> {
    /// The name without its tag, and the tag.
    fn names(&self) -> (String, String) {
        let none = || "<none>".to_owned();
        let Some(name) = self.name else { return (none(), none()) };
        let registry = name.registry().map(|registry| format!("{registry}/")).unwrap_or_default();
        (format!("{registry}{}", name.repository()), name.tag().map_or_else(none, str::to_owned))
    }

    /// What a template finds.
    fn of_template(&self, args: &Args) -> Value {
        let (name, tag) = self.names();
        json!({
            "Name": name,
            "Tag": tag,
            "ID": id(self.image, args),
            "Digest": self.image.descriptor.digest,
            "CreatedAt": created(self.image),
            "Created": unix(self.image),
            "CreatedAtRaw": made(self.image).map(size::go_time),
            "Size": size::short(total(self.image)),
            "ReadOnly": false,
            "History": NO_HISTORY,
        })
    }

    fn cells(&self, args: &Args) -> Vec<String> {
        let (repository, tag) = self.names();
        let mut cells =
            vec![repository, tag, id(self.image, args), created(self.image), size::short(total(self.image))];
        if args.digests {
            cells.insert(2, self.image.descriptor.digest.to_string());
        }
        if args.history {
            cells.push(NO_HISTORY.to_owned());
        }
        cells
    }
}

fn id(image: &Image, args: &Args) -> String {
    if args.no_trunc { image.id().to_string() } else { image.id().short() }
}

/// When it was made, if it says so.
fn made(image: &Image) -> Option<Timestamp> {
    image.config.created.as_deref()?.parse().ok()
}

fn created(image: &Image) -> String {
    let age = |made: Timestamp| size::age(Timestamp::now().as_second() - made.as_second());
    made(image).map_or_else(|| "unknown".to_owned(), age)
}

/// The same in seconds since 1970.
fn unix(image: &Image) -> Option<i64> {
    made(image).map(Timestamp::as_second)
}

/// The sum of the layers as the manifest has them, in bytes.
fn total(image: &Image) -> u64 {
    image.manifest.layers.iter().map(|layer| layer.size).sum()
}

fn describe(image: &Image, args: &Args) -> Value {
    json!({
        "id": id(image, args),
        "names": image.names,
        "digest": image.descriptor.digest,
        "createdat": created(image),
        "size": size::short(total(image)),
        "created": unix(image),
        "createdatraw": image.config.created,
        "readonly": false,
        "history": null,
    })
}

fn print_columns(table: &[Vec<String>]) -> Result<(), Failure> {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| table.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in table {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        output::line(cells.collect::<Vec<_>>().join("   ").trim_end())?;
    }
    Ok(())
}
