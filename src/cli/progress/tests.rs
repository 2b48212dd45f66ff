//! A build of two stages as it goes on: what is seen of it at each time, and what a program reads.

use std::time::Duration;

use super::painted::Colours;
use super::raw_json::Graph;
use super::screen::Size;
use super::view::{View, seconds};
use crate::oci::Digest;
use crate::progress::{Event, Outcome, Reuse, StagePlace, Stream};

fn stage(number: usize) -> StagePlace {
    StagePlace { number, total: 2, is_accompanied: true }
}

fn step(number: usize, index: usize, total: usize, text: &str) -> Event {
    Event::Step { stage: stage(number), index, total, text: text.to_owned() }
}

fn output(number: usize, stream: Stream, bytes: &[u8]) -> Event {
    Event::Output { stage: Some(stage(number)), stream, bytes: bytes.to_vec() }
}

fn started(number: usize, name: Option<&str>) -> Event {
    Event::StageStarted { stage: stage(number), name: name.map(str::to_owned) }
}

/// What happens, each at a time in milliseconds.
fn events() -> Vec<(u64, Event)> {
    let (id, blob) = (Digest::of(b"id"), Digest::of(b"blob"));
    let done = |number| Event::StepDone { stage: stage(number), id };
    let hit = |reuse| Event::CacheHit { stage: stage(1), id, reuse };
    let platform = "linux/amd64".parse().unwrap();
    vec![
        (0, Event::BuildStarted { platform, steps: 7 }),
        (0, started(1, Some("base"))),
        (10, step(1, 1, 4, "FROM debian")),
        (20, Event::TransferStarted { blob, verb: "pull", size: 3_000_000 }),
        (1020, Event::TransferAdvanced { blob, bytes: 1_500_000 }),
        (2020, Event::TransferAdvanced { blob, bytes: 1_500_000 }),
        (2020, Event::TransferDone { blob }),
        (2100, step(1, 2, 4, "ENV 漢字=1")),
        (2110, hit(Reuse::Exact)),
        (2110, step(1, 3, 4, "RUN first")),
        (2120, hit(Reuse::Traced)),
        (2200, step(1, 4, 4, "RUN make \\\nall")),
        (2200, started(2, None)),
        (2200, step(2, 1, 3, "FROM scratch")),
        (2210, step(2, 2, 3, "RUN [\"/x\"]")),
        (2300, output(1, Stream::Stdout, b"one\ntwo\n\x1b[31mthree\x1b[0m\n10%\r20%")),
        (2300, output(2, Stream::Stderr, b"\x1b[2Jeins\n")),
        (5000, Event::Warning("mind\x1b[2J this".to_owned())),
        (64_000, done(1)),
        (64_000, Event::StageEnded { stage: stage(1), outcome: Outcome::Done }),
        (65_000, Event::StageEnded { stage: stage(2), outcome: Outcome::Failed("exit status 1".to_owned()) }),
    ]
}

/// What is seen at the time `until`: what has scrolled away, and what goes on.
fn seen(until: u64, columns: usize, rows: usize) -> (Vec<String>, Vec<String>) {
    let mut view = View::default();
    for (at, event) in events().into_iter().filter(|(at, _)| *at <= until) {
        view.take(event, Duration::from_millis(at));
    }
    let settled = view.settled().iter().map(|line| line.painted(80, Colours::None)).collect();
    let now = view.now(Duration::from_millis(until), Size { columns, rows });
    (settled, now.iter().map(|line| line.painted(columns - 1, Colours::None)).collect())
}

#[test]
fn a_view_shows_what_goes_on() {
    let head = |elapsed: &str, steps: &str| format!("{elapsed:>8}  building: {steps}");
    for (until, columns, rows, want) in [
        (10, 80, 24, vec![head("0.0s", "0 of 7 steps, 0 cached"), "    0.0s  base 1/4  FROM debian".into()]),
        (
            1520,
            80,
            24,
            vec![
                head("1.5s", "0 of 7 steps, 0 cached"),
                "    1.5s  base 1/4  FROM debian".into(),
                "    1.5s  pull c0ffb30a5cad  ##########..........  1.50 MB of 3.00 MB  1.00 MB/s".into(),
            ],
        ),
        (
            3200,
            80,
            24,
            vec![
                head("3.2s", "4 of 7 steps, 2 cached"),
                "    1.0s  base 4/4  RUN make \\".into(),
                "          | one".into(),
                "          | two".into(),
                "          | three".into(),
                "          | 20%".into(),
                "    0.9s  2 2/3  RUN [\"/x\"]".into(),
                "          | eins".into(),
            ],
        ),
        (
            3200,
            24,
            6,
            vec![
                "    3.2s  building: 4 o…".into(),
                "    1.0s  base 4/4  RUN…".into(),
                "          | 20%".into(),
                "    0.9s  2 2/3  RUN [\"…".into(),
                "          | eins".into(),
            ],
        ),
        (3200, 80, 3, vec![head("3.2s", "4 of 7 steps, 2 cached"), "          and 2 more".into()]),
        (65_000, 80, 24, vec![head("1m05s", "5 of 7 steps, 2 cached")]),
    ] {
        let (_, now) = seen(until, columns, rows);
        let want: Vec<String> =
            want.into_iter().map(|line| line.replace("c0ffb30a5cad", &Digest::of(b"blob").short())).collect();
        let want: Vec<_> = want.iter().map(|line| super::text::cut(line, columns - 1)).collect();
        assert_eq!(now, want, "at {until} in {columns}x{rows}");
        assert!(now.len() < rows);
    }
}

#[test]
fn what_has_ended_scrolls_away() {
    let (settled, _) = seen(65_000, 80, 24);
    let blob = Digest::of(b"blob").short();
    let want = [
        &format!("    2.0s  pull {blob}  3.00 MB at 1.50 MB/s"),
        "    2.0s  base 1/4  FROM debian",
        "  cached  base 2/4  ENV 漢字=1",
        "  traced  base 3/4  RUN first",
        "    0.0s  2 1/3  FROM scratch",
        " warning  mind this",
        "   1m01s  base 4/4  RUN make \\",
        "  failed  2 2/3  RUN [\"/x\"]",
        "          | eins",
    ];
    assert_eq!(settled, want);
}

#[test]
fn times_have_two_units_at_most() {
    for (milliseconds, want) in
        [(0, "0.0s"), (59_990, "59.9s"), (60_000, "1m00s"), (3_599_000, "59m59s"), (7_260_000, "2h01m")]
    {
        assert_eq!(seconds(Duration::from_millis(milliseconds)), want);
    }
}

#[test]
fn a_program_reads_the_graph_of_buildkit() {
    let mut graph = Graph::default();
    let mut told = Vec::new();
    for (at, event) in events() {
        told.extend(graph.take(event, &at.to_string()));
    }
    let told: Vec<serde_json::Value> =
        told.iter().map(|status| serde_json::to_value(status).unwrap()).collect();
    let vertex = |name: &str| {
        let all = told.iter().flat_map(|status| status["vertexes"].as_array().into_iter().flatten());
        let own: Vec<_> = all.filter(|vertex| vertex["name"] == name).collect();
        assert_eq!(own.len(), 2, "{name} is told when it starts and when it ends: {told:#?}");
        (own[0].clone(), own[1].clone())
    };
    for (name, started, completed, cached, error) in [
        ("[base 1/4] FROM debian", "10", "2100", false, None),
        ("[base 2/4] ENV 漢字=1", "2100", "2110", true, None),
        ("[base 4/4] RUN make \\\nall", "2200", "64000", false, None),
        ("[stage-1 2/3] RUN [\"/x\"]", "2210", "65000", false, Some("exit status 1")),
    ] {
        let (first, last) = vertex(name);
        assert!(first.get("completed").is_none() && first["started"] == started, "{first}");
        assert_eq!(first["digest"], last["digest"]);
        assert_eq!((&last["started"], &last["completed"]), (&started.into(), &completed.into()), "{name}");
        assert_eq!(last.get("cached").is_some(), cached, "{name}");
        assert_eq!(last.get("error").and_then(|error| error.as_str()), error, "{name}");
    }
    let (from, env) = (vertex("[base 1/4] FROM debian").0, vertex("[base 2/4] ENV 漢字=1").0);
    assert_eq!(env["inputs"], serde_json::json!([from["digest"]]));
    let log = told.iter().find(|status| status["logs"][0]["stream"] == 2).unwrap();
    assert_eq!(log["logs"][0]["data"], "G1sySmVpbnMK");
    assert_eq!(log["logs"][0]["vertex"], vertex("[stage-1 2/3] RUN [\"/x\"]").0["digest"]);
    let moved: Vec<_> = told.iter().filter_map(|status| status["statuses"][0]["current"].as_u64()).collect();
    assert_eq!(moved, [0, 1_500_000, 3_000_000, 3_000_000]);
    assert!(told.iter().any(|status| status["warnings"][0]["short"] == "bWluZBtbMkogdGhpcw=="));
}
