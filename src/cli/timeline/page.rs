//! `--report`: one page with everything in it, to be read without a network. The page is a program that shows a document; the
//! document is JSON in which nothing can end the element that it stands in, and the program makes only text of it.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::progress::harmless;
use super::super::why;
use super::Ended;
use super::spans::{End, Kind, Span, Spans};
use crate::build::{BuildRecord, Explained, explain};

/// Where the document goes in the page.
const PLACE: &str = "{{document}}";
const PAGE: &str = include_str!("page.html");

/// The page about a build that has ended, with the reasons of the record that it left.
pub(super) fn page(spans: &Spans, ended: &Ended<'_>, clock: SystemTime) -> Result<String, Failure> {
    let mut records = why::records(ended.store)?;
    let began = jiff::Timestamp::try_from(clock).unwrap_or_default();
    let is_own = |record: &BuildRecord| {
        record.dockerfile == ended.dockerfile
            && record.began.parse::<jiff::Timestamp>().is_ok_and(|time| time >= began)
    };
    let record = records.iter().position(is_own).and_then(|place| records.drain(..=place).next_back());
    let table = |key: &_| why::table(ended.store, key);
    let steps = record.as_ref().map(|record| explain(record, &records, &table)).unwrap_or_default();
    let document = json!({
        "dockerfile": ended.dockerfile,
        "began": began.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        "failure": ended.failure,
        "names": record.as_ref().map(|record| &record.names),
        "made": record.as_ref().map(|record| &record.made),
        "warnings": spans.warnings,
        "spans": spans.all.iter().map(|span| told(span, &spans.all, &steps)).collect::<Vec<_>>(),
    });
    Ok(PAGE.replace(PLACE, &embedded(&document)))
}

/// JSON within an element of HTML: no `<` of it can begin the end of the element, or a comment.
fn embedded(document: &Value) -> String {
    document.to_string().replace('<', "\\u003c")
}

fn told(span: &Span, all: &[Span], steps: &[Explained<'_>]) -> Value {
    let milliseconds = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut told = json!({
        "name": span.title(),
        "within": span.within,
        "began": milliseconds(span.began),
        "time": milliseconds(span.time()),
        "end": span.end.word(),
    });
    if let End::Failed(why) = &span.end {
        told["why"] = why.clone().into();
    }
    match span.kind {
        Kind::Build => told["kind"] = "build".into(),
        Kind::Stage(_) => told["kind"] = "stage".into(),
        Kind::Transfer(size) => {
            told["kind"] = "transfer".into();
            told["size"] = size.into();
        }
        Kind::Step { .. } => {
            told["kind"] = "step".into();
            told["place"] = span.place().into();
            told["log"] = log(span).into();
            if let Some(explained) = step_of(span, all, steps) {
                told["size"] = explained.step.layer.map(|layer| layer.size).into();
                told["reason"] = explained.reason.clone().into();
                told["changes"] = json!(explained.changes);
            }
        }
    }
    told
}

/// What the record says of a step.
fn step_of<'a>(span: &Span, all: &[Span], steps: &'a [Explained<'a>]) -> Option<&'a Explained<'a>> {
    let Kind::Step { stage, index, .. } = span.kind else { return None };
    let platform = &all[all[span.within?].within?].name;
    steps.iter().find(|explained| {
        let step = explained.step;
        let same_place = step.platform == *platform && step.stage + 1 == stage && step.index == index;
        same_place && (index > 0 || step.text == span.name)
    })
}

/// What a step printed, as text.
fn log(span: &Span) -> String {
    let lines = span.log.split(|&byte| byte == b'\n').map(harmless);
    let mut text = lines.collect::<Vec<_>>().join("\n");
    if span.lost > 0 {
        text = format!("({} bytes before this are not kept)\n{text}", span.lost);
    }
    text.truncate(text.trim_end().len());
    text
}
