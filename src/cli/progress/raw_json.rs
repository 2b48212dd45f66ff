//! What happens as BuildKit's `SolveStatus` (its client/graph.go): what `docker buildx build --progress=rawjson` prints.
//!
//! A step is a vertex whose input is the step before it; so is a blob that moves.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::oci::{Digest, base64};
use crate::progress::{Event, Outcome, Sink, StagePlace, Stream};

/// A sink that prints a line of JSON for each event that has one.
#[derive(Default)]
pub(super) struct RawJson(Mutex<Graph>);

impl Sink for RawJson {
    fn event(&self, event: Event) {
        let mut graph = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = jiff::Timestamp::now().to_string();
        for status in graph.take(event, &now) {
            let mut line = serde_json::to_vec(&status).expect("it holds only strings and numbers");
            line.push(b'\n');
            // a reader that closed the pipe wants no more; the build goes on
            drop(io::stderr().lock().write_all(&line));
        }
    }
}

/// All that is told at a time.
#[derive(Default, Debug, Serialize)]
pub(super) struct Status {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vertexes: Vec<Vertex>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    statuses: Vec<Movement>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logs: Vec<Log>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

#[derive(Clone, Debug, Serialize)]
struct Vertex {
    digest: Digest,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<Digest>,
    name: String,
    started: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Movement {
    id: String,
    vertex: Digest,
    name: &'static str,
    total: u64,
    current: u64,
    timestamp: String,
    started: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<String>,
}

#[derive(Debug, Serialize)]
struct Log {
    #[serde(skip_serializing_if = "Option::is_none")]
    vertex: Option<Digest>,
    stream: u8,
    data: String,
    timestamp: String,
}

#[derive(Debug, Serialize)]
struct Warning {
    level: u8,
    short: String,
}

/// What has to be known of what was told.
#[derive(Default)]
pub(super) struct Graph {
    platform: String,
    /// The name of each stage, the step at work and the one before it.
    stages: BTreeMap<usize, Stage>,
    moving: BTreeMap<Digest, Moving>,
}

#[derive(Default)]
struct Stage {
    name: Option<String>,
    now: Option<Vertex>,
    before: Option<Digest>,
}

struct Moving {
    vertex: Vertex,
    verb: &'static str,
    size: u64,
    done: u64,
}

/// How a vertex ends.
enum End {
    Done,
    Cached,
    Failed(String),
}

impl Graph {
    pub(super) fn take(&mut self, event: Event, now: &str) -> Vec<Status> {
        match event {
            Event::BuildStarted { platform, .. } => {
                (self.platform, self.stages) = (platform.to_string(), BTreeMap::new());
                Vec::new()
            }
            Event::StageStarted { stage, name } => {
                self.stages.insert(stage.number, Stage { name, ..Stage::default() });
                Vec::new()
            }
            Event::Step { stage: place, index, total, text } => {
                let ended = self.end(place, End::Done, now);
                let started = self.start(place, (index, total), &text, now);
                ended.into_iter().chain([started]).collect()
            }
            Event::CacheHit { stage, .. } => self.end(stage, End::Cached, now).into_iter().collect(),
            Event::StepDone { stage, .. } => self.end(stage, End::Done, now).into_iter().collect(),
            Event::StageEnded { stage, outcome } => {
                let end = match outcome {
                    Outcome::Done => End::Done,
                    Outcome::Failed(why) => End::Failed(why),
                    Outcome::Stopped => End::Failed("context canceled".to_owned()),
                };
                self.end(stage, end, now).into_iter().collect()
            }
            Event::Output { stage, stream, bytes } => {
                let stage = stage.and_then(|place| self.stages.get(&place.number));
                let vertex = stage.and_then(|stage| Some(stage.now.as_ref()?.digest));
                let stream = if stream == Stream::Stdout { 1 } else { 2 };
                let log = Log { vertex, stream, data: base64(&bytes), timestamp: now.to_owned() };
                vec![Status { logs: vec![log], ..Status::default() }]
            }
            Event::TransferStarted { blob, verb, size } => {
                let vertex = Vertex::new(&format!("{verb} {blob}"), format!("[internal] {verb} {blob}"), now);
                let moving = Moving { vertex: vertex.clone(), verb, size, done: 0 };
                let status = Status {
                    vertexes: vec![vertex],
                    statuses: vec![moving.told(&blob, now)],
                    ..Status::default()
                };
                self.moving.insert(blob, moving);
                vec![status]
            }
            Event::TransferAdvanced { blob, bytes } => {
                let Some(moving) = self.moving.get_mut(&blob) else { return Vec::new() };
                moving.done += bytes;
                vec![Status { statuses: vec![moving.told(&blob, now)], ..Status::default() }]
            }
            Event::TransferDone { blob } => {
                let Some(mut moving) = self.moving.remove(&blob) else { return Vec::new() };
                moving.vertex.completed = Some(now.to_owned());
                let statuses = vec![moving.told(&blob, now)];
                vec![Status { vertexes: vec![moving.vertex], statuses, ..Status::default() }]
            }
            Event::Warning(text) => {
                let warning = Warning { level: 1, short: base64(text.as_bytes()) };
                vec![Status { warnings: vec![warning], ..Status::default() }]
            }
            Event::TraceChanged { .. } | Event::StageSaved { .. } | Event::Tagged { .. } => Vec::new(),
        }
    }

    fn start(&mut self, place: StagePlace, (index, total): (usize, usize), text: &str, now: &str) -> Status {
        let platform = &self.platform;
        let stage = self.stages.entry(place.number).or_default();
        let label = match &stage.name {
            Some(name) => format!("{name} "),
            None if place.total > 1 => format!("stage-{} ", place.number - 1),
            None => String::new(),
        };
        let name = if total > 0 {
            format!("[{label}{index}/{total}] {text}")
        } else {
            format!("[{label}onbuild] {text}")
        };
        let identity = format!("{platform} {} {index} {:?} {text}", place.number, stage.before);
        let inputs = stage.before.into_iter().collect();
        let vertex = Vertex { inputs, ..Vertex::new(&identity, name, now) };
        stage.now = Some(vertex.clone());
        Status { vertexes: vec![vertex], ..Status::default() }
    }

    fn end(&mut self, place: StagePlace, end: End, now: &str) -> Option<Status> {
        let stage = self.stages.get_mut(&place.number)?;
        let mut vertex = stage.now.take()?;
        stage.before = Some(vertex.digest);
        vertex.completed = Some(now.to_owned());
        match end {
            End::Done => {}
            End::Cached => vertex.cached = true,
            End::Failed(why) => vertex.error = Some(why),
        }
        Some(Status { vertexes: vec![vertex], ..Status::default() })
    }
}

impl Vertex {
    fn new(identity: &str, name: String, now: &str) -> Self {
        let digest = Digest::of(identity.as_bytes());
        let started = now.to_owned();
        Self { digest, inputs: Vec::new(), name, started, completed: None, cached: false, error: None }
    }
}

impl Moving {
    fn told(&self, blob: &Digest, now: &str) -> Movement {
        let Vertex { digest, started, completed, .. } = self.vertex.clone();
        let (vertex, name, total, current) = (digest, self.verb, self.size, self.done);
        Movement {
            id: blob.to_string(),
            vertex,
            name,
            total,
            current,
            timestamp: now.to_owned(),
            started,
            completed,
        }
    }
}
