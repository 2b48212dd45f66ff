//! Answers for programs: the objects of BuildKit's subrequests (`frontend.lint`, `frontend.outline`, `frontend.targets`).

use serde_json::{Map, Value, json};

use super::Question;
use crate::dockerfile::lint::Checked;
use crate::dockerfile::outline::{Asked, Outline, Target};
use crate::dockerfile::{Diagnostic, Span};
use crate::oci::base64;

/// `frontend.lint`. `error` is why there are no findings.
pub(super) fn checked(checked: &Checked, question: &Question, error: Option<&Diagnostic>) -> String {
    let warnings = checked.findings.iter().map(|finding| {
        json!({
            "ruleName": finding.rule.name(),
            "description": finding.rule.description(),
            "detail": finding.message,
            "location": location(question.script.text(), &finding.span),
        })
    });
    let mut answer = json!({
        "warnings": warnings.collect::<Vec<_>>(),
        "sources": [{"filename": question.script.name(), "language": "Dockerfile", "data": base64(question.script.text().as_bytes())}],
    });
    if let Some(error) = error {
        answer["buildError"] =
            json!({"message": error.to_string(), "location": location(question.script.text(), &error.span)});
    }
    pretty(&answer)
}

/// `frontend.outline`.
pub(super) fn outline(outline: &Outline, question: &Question) -> String {
    let source = question.script.text();
    let args = outline.args.iter().map(|arg| {
        present([
            ("name", Some(json!(arg.name))),
            ("description", arg.description.as_ref().map(|text| json!(text))),
            ("value", arg.value.as_ref().map(|text| json!(text))),
            ("location", Some(location(source, &arg.span))),
        ])
    });
    let asked = |all: &[Asked]| {
        let one = |asked: &Asked| {
            present([
                ("name", Some(json!(asked.id))),
                ("required", asked.required.then_some(json!(true))),
                ("location", Some(location(source, &asked.span))),
            ])
        };
        (!all.is_empty()).then(|| all.iter().map(one).collect::<Value>())
    };
    let caches =
        outline.caches.iter().map(|cache| json!({"ID": cache.id, "location": location(source, &cache.span)}));
    pretty(&present([
        ("name", outline.name.as_ref().map(|name| json!(name))),
        ("description", outline.description.as_ref().map(|text| json!(text))),
        ("args", (!outline.args.is_empty()).then(|| args.collect())),
        ("secrets", asked(&outline.secrets)),
        ("ssh", asked(&outline.ssh)),
        ("cache", (!outline.caches.is_empty()).then(|| caches.collect())),
        ("sources", Some(json!([base64(source.as_bytes())]))),
    ]))
}

/// `frontend.targets`.
pub(super) fn targets(targets: &[Target], question: &Question) -> String {
    let all = targets.iter().map(|target| {
        present([
            ("name", target.name.as_ref().map(|name| json!(name))),
            ("default", target.is_default.then_some(json!(true))),
            ("description", target.description.as_ref().map(|text| json!(text))),
            ("base", Some(json!(target.base))),
            ("platform", target.platform.as_ref().map(|platform| json!(platform))),
            ("location", Some(location(question.script.text(), &target.span))),
        ])
    });
    pretty(
        &json!({"targets": all.collect::<Vec<_>>(), "sources": [base64(question.script.text().as_bytes())]}),
    )
}

/// The lines of the dump.
pub(super) fn ast(dump: &str) -> String {
    pretty(&json!({"ast": dump.lines().collect::<Vec<_>>()}))
}

/// The fields that have a value.
fn present<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// Lines count from 1, characters from 0; the end is behind the last one.
fn location(source: &str, span: &Span) -> Value {
    let character = |at: usize| {
        let before = source.get(..at).unwrap_or_default();
        before.rfind('\n').map_or(before, |feed| &before[feed + 1..]).chars().count()
    };
    json!({
        "sourceIndex": 0,
        "ranges": [{
            "start": {"line": span.first_line, "character": character(span.start)},
            "end": {"line": span.last_line, "character": character(span.end)},
        }],
    })
}
