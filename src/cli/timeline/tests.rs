//! A build of two stages, one beside the other, as each of the exports tells it.

use std::time::Duration;

use super::chrome;
use super::spans::{End, Kind, Spans};
use crate::oci::Digest;
use crate::progress::{Event, Outcome, Reuse, StagePlace, Stream};

fn spans() -> Spans {
    let stage = |number| StagePlace { number, total: 2, is_accompanied: true };
    let step = |number, index, text: &str| Event::Step {
        stage: stage(number),
        index,
        total: 2,
        text: text.to_owned(),
    };
    let id = Digest::of(b"id");
    let mut spans = Spans::default();
    for (at, event) in [
        (0, Event::BuildStarted { platform: "linux/amd64".parse().unwrap(), steps: 4 }),
        (1, Event::StageStarted { stage: stage(1), name: Some("base".to_owned()) }),
        (1, step(1, 1, "FROM scratch")),
        (2, Event::StageStarted { stage: stage(2), name: None }),
        (2, Event::TransferStarted { blob: id, verb: "pull", size: 9 }),
        (3, step(2, 1, "FROM scratch")),
        (5, step(1, 2, "RUN a")),
        (6, Event::Output { stage: Some(stage(1)), stream: Stream::Stdout, bytes: b"said\n".to_vec() }),
        (7, step(2, 2, "RUN b")),
        (8, Event::CacheHit { stage: stage(2), id, reuse: Reuse::Exact }),
        (9, Event::TransferDone { blob: id }),
        (9, Event::StageEnded { stage: stage(2), outcome: Outcome::Done }),
        (20, Event::StageEnded { stage: stage(1), outcome: Outcome::Failed("exit status 1".to_owned()) }),
    ] {
        spans.take(event, Duration::from_millis(at));
    }
    spans.finish(End::Failed("it failed".to_owned()), Duration::from_millis(21));
    spans
}

#[test]
fn spans_lie_within_each_other() {
    let spans = spans();
    let told: Vec<_> = spans
        .all
        .iter()
        .map(|span| {
            (
                span.name.as_str(),
                span.within,
                span.began.as_millis(),
                span.time().as_millis(),
                span.end.word(),
            )
        })
        .collect();
    let pull = format!("pull {}", Digest::of(b"id"));
    let want = [
        ("linux/amd64", None, 0, 21, "failed"),
        ("base", Some(0), 1, 19, "failed"),
        ("FROM scratch", Some(1), 1, 4, "done"),
        ("1", Some(0), 2, 7, "done"),
        (&pull, Some(0), 2, 7, "done"),
        ("FROM scratch", Some(3), 3, 4, "done"),
        ("RUN a", Some(1), 5, 15, "failed"),
        ("RUN b", Some(3), 7, 1, "cached"),
    ];
    assert_eq!(told, want);
    assert_eq!(spans.all[6].log, b"said\n");
    assert_eq!(spans.all[6].kind, Kind::Step { stage: 1, index: 2, total: 2 });
}

#[test]
fn what_has_not_ended_is_stopped() {
    let mut spans = Spans::default();
    let stage = StagePlace { number: 1, total: 1, is_accompanied: false };
    spans.take(Event::BuildStarted { platform: "linux/amd64".parse().unwrap(), steps: 1 }, Duration::ZERO);
    spans.take(Event::StageStarted { stage, name: None }, Duration::ZERO);
    spans.take(Event::Step { stage, index: 1, total: 1, text: "RUN x".to_owned() }, Duration::ZERO);
    for _ in 0..5 {
        let bytes = vec![b'x'; 1 << 20];
        spans.take(Event::Output { stage: Some(stage), stream: Stream::Stdout, bytes }, Duration::ZERO);
    }
    spans.finish(End::Done, Duration::from_secs(1));
    let ends: Vec<_> = spans.all.iter().map(|span| span.end.word()).collect();
    assert_eq!(ends, ["done", "stopped", "stopped"]);
    let step = &spans.all[2];
    assert_eq!(step.log.len() + step.lost, 5 << 20);
    assert!(step.log.len() <= 2 << 20);
}

#[test]
fn chrome_reads_rows_of_complete_events() {
    let trace = chrome::trace(&spans().all);
    let events = trace["traceEvents"].as_array().unwrap();
    let complete: Vec<_> = events.iter().filter(|event| event["ph"] == "X").collect();
    assert_eq!(complete.len(), 6);
    let run = complete.iter().find(|event| event["name"] == "2/2 RUN a").unwrap();
    assert_eq!((&run["ts"], &run["dur"], &run["tid"]), (&5000.into(), &15000.into(), &1.into()));
    let ends =
        ["b", "e"].map(|phase| events.iter().find(|event| event["ph"] == phase).unwrap()["ts"].clone());
    assert_eq!(ends, [2000, 9000]);
    assert_eq!(events.iter().filter(|event| event["ph"] == "M").count(), 4);
}
