//! `rbuild why`.

use std::time::Duration;

use serde_json::{Value, json};

use super::Context;
use super::failure::Failure;
use super::output;
use super::progress::{harmless, seconds};
use crate::build::{BuildRecord, Change, Explained, StepRecord, Table, Verdict, explain};
use crate::oci::Digest;
use crate::store::{CacheKey, Store};

/// Tell why each step of a build was taken from the cache or done
#[derive(clap::Args)]
pub(super) struct Args {
    /// How to tell it: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    format: Format,
    /// The same as --format json
    #[arg(long)]
    json: bool,
    /// The image that was built, or `last` for the last build, which may have failed
    #[arg(value_name = "IMAGE|last", default_value = "last")]
    build: String,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// How many changes of a kind are told as text.
const TOLD: usize = 20;

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    let mut records = records(&store)?;
    let record = found(&store, &args.build, &mut records)?;
    let table = |key: &CacheKey| table(&store, key);
    let steps = explain(&record, &records, &table);
    if args.json || args.format == Format::Json {
        return output::line(format!("{:#}", as_json(&record, &steps)));
    }
    output::line(as_text(&record, &steps))
}

/// What a step read. One that is not there, or cannot be read, only makes an answer shorter.
pub(super) fn table(store: &Store, key: &CacheKey) -> Option<Table> {
    serde_json::from_slice(&store.table(key).ok()??).ok()
}

/// The records of the store, the newest first. One that cannot be read is told.
pub(super) fn records(store: &Store) -> Result<Vec<BuildRecord>, Failure> {
    let mut records = Vec::new();
    for bytes in store.builds()? {
        match serde_json::from_slice(&bytes?) {
            Ok(record) => records.push(record),
            Err(why) => eprintln!("[Warning] a record of a build cannot be read: {why}"),
        }
    }
    Ok(records)
}

/// The record that `build` means; what is left of `records` are the earlier ones.
fn found(store: &Store, build: &str, records: &mut Vec<BuildRecord>) -> Result<BuildRecord, Failure> {
    let wanted: Option<Vec<Digest>> = match build {
        "last" => None,
        name => Some(match store.find_list(name)? {
            Some(list) => vec![list.descriptor.digest],
            None => {
                super::inspect::find(store, name).map(|image| vec![image.descriptor.digest, image.id()])?
            }
        }),
    };
    let is_it = |record: &BuildRecord| {
        wanted.as_ref().is_none_or(|wanted| record.made.iter().any(|made| wanted.contains(made)))
    };
    let Some(number) = records.iter().position(is_it) else {
        let what = if wanted.is_some() {
            format!("{build}: no build is recorded that made it")
        } else {
            "no build is recorded".to_owned()
        };
        return Err(
            Failure::new(what).hint("rbuild bud records the builds that it does; the last 64 are kept")
        );
    };
    let record = records.drain(..=number).next_back();
    Ok(record.expect("it is at this place"))
}

fn as_json(record: &BuildRecord, steps: &[Explained<'_>]) -> Value {
    let step = |explained: &Explained<'_>| {
        let StepRecord {
            platform,
            stage,
            stage_name,
            index,
            total,
            text,
            verdict,
            key,
            layer,
            milliseconds,
            ..
        } = explained.step;
        let mut value = json!({
            "platform": platform, "stage": stage, "stageName": stage_name, "step": index, "steps": total, "text": text,
            "cached": verdict.is_hit(), "verdict": verdict, "key": key, "layer": layer, "milliseconds": milliseconds,
        });
        if let (Value::Object(all), Ok(Value::Object(more))) = (&mut value, serde_json::to_value(explained)) {
            all.extend(more);
        }
        value
    };
    json!({
        "began": record.began, "dockerfile": record.dockerfile, "target": record.target, "names": record.names,
        "made": record.made, "failure": record.failure, "steps": steps.iter().map(step).collect::<Vec<_>>(),
    })
}

fn as_text(record: &BuildRecord, steps: &[Explained<'_>]) -> String {
    let names: String = record.names.iter().flat_map(|name| [" ", name]).collect();
    let failed = if record.failure.is_some() { " (it failed)" } else { "" };
    let mut lines = vec![format!("{} built {}{names}{failed}", record.dockerfile, record.began)];
    let several = |of: fn(&StepRecord) -> String| {
        record.steps.iter().any(|step| Some(of(step)) != record.steps.first().map(of))
    };
    let has_platforms = several(|step| step.platform.clone());
    let has_stages = several(|step| step.stage.to_string());
    for Explained { step, reason, changes, .. } in steps {
        let mut place = Vec::new();
        place.extend(has_platforms.then(|| step.platform.clone()));
        place.extend(step.stage_name.clone().or_else(|| has_stages.then(|| format!("stage {}", step.stage))));
        place.extend((step.index > 0).then(|| format!("{}/{}", step.index, step.total)));
        lines.push(format!("[{}] {}", place.join(" "), shown(step.text.lines().next().unwrap_or_default())));
        let word = match step.verdict {
            Verdict::Unasked => "",
            verdict if verdict.is_hit() => "hit: ",
            _ => "miss: ",
        };
        let time = seconds(Duration::from_millis(step.milliseconds));
        lines.push(format!("  {word}{reason} ({time})"));
        lines.extend(changes.iter().take(TOLD).map(change));
        if let Some(left @ 1..) = changes.len().checked_sub(TOLD) {
            lines.push(format!("    and {left} more (--json tells all)"));
        }
    }
    lines.join("\n")
}

fn change(change: &Change) -> String {
    let Change { what, name, from, to } = change;
    let name = name.as_ref().map_or_else(String::new, |name| format!(" {}", shown(name)));
    let side = |side: &Option<String>| shown(side.as_deref().unwrap_or_default());
    match (from, to) {
        (None, Some(to)) => format!("    + {what}{name}: {}", shown(to)),
        (Some(from), None) => format!("    - {what}{name}: {}", shown(from)),
        (from, to) => {
            format!("    ~ {what}{name}\n        from {}\n        to   {}", side(from), side(to))
        }
    }
}

/// A value on one line.
fn shown(value: &str) -> String {
    harmless(value.replace('\n', "\\n").as_bytes())
}
