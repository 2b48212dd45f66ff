//! `--trace`: the spans in the Trace Event Format that Chrome's tracing page and Perfetto read.

use serde_json::{Value, json};

use super::spans::{Kind, Span};

/// The row of blobs on their way; those of stages are their numbers.
const TRANSFERS: usize = 0;

/// The document. Stages are its threads; blobs may overlap, so each is an asynchronous event.
pub(super) fn trace(spans: &[Span]) -> Value {
    let mut events =
        vec![named("process_name", TRANSFERS, "rbuild"), named("thread_name", TRANSFERS, "transfers")];
    for (id, span) in spans.iter().enumerate() {
        let time = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let (begin, length) = (time(span.began), time(span.time()));
        let args = json!({ "end": span.end.word() });
        match span.kind {
            Kind::Build => {}
            Kind::Stage(number) => {
                events.push(named("thread_name", number, &span.title()));
                events.push(json!({
                    "name": span.title(), "cat": "stage", "ph": "X", "pid": 1, "tid": number, "ts": begin, "dur": length, "args": args,
                }));
            }
            Kind::Step { stage, .. } => events.push(json!({
                "name": format!("{} {}", span.place(), span.name).trim(), "cat": "step", "ph": "X", "pid": 1, "tid": stage,
                "ts": begin, "dur": length, "args": args,
            })),
            Kind::Transfer(size) => {
                for (phase, at) in [("b", begin), ("e", begin + length)] {
                    events.push(json!({
                        "name": span.name, "cat": "transfer", "ph": phase, "id": id, "pid": 1, "tid": TRANSFERS, "ts": at,
                        "args": { "bytes": size, "end": span.end.word() },
                    }));
                }
            }
        }
    }
    json!({ "displayTimeUnit": "ms", "traceEvents": events })
}

fn named(what: &str, row: usize, name: &str) -> Value {
    json!({ "name": what, "ph": "M", "pid": 1, "tid": row, "args": { "name": name } })
}
