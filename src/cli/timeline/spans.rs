//! What happened when: events with their times become spans, one within another. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::oci::Digest;
use crate::progress::{Event, Outcome, Reuse, StagePlace};

/// The longest log of a step, in bytes; of a longer one the end is kept.
const LONGEST_LOG: usize = 1 << 20;

/// Something that took a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub kind: Kind,
    /// The platform, the stage's name or number, the instruction, or what moved.
    pub name: String,
    /// The span that it is within.
    pub within: Option<usize>,
    pub began: Duration,
    pub ended: Option<Duration>,
    pub end: End,
    /// What it printed.
    pub log: Vec<u8>,
    /// Bytes that it printed and that are not kept.
    pub lost: usize,
}

/// What it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A build, for one platform.
    Build,
    /// A stage, by its number counted from 1.
    Stage(usize),
    /// A step, by its place in its stage.
    Step { stage: usize, index: usize, total: usize },
    /// A blob on its way, and its length in bytes.
    Transfer(u64),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Cached(Reuse),
    Failed(String),
    Stopped,
}

/// All spans of a build, in the order in which they began.
#[derive(Default)]
pub(super) struct Spans {
    pub all: Vec<Span>,
    pub warnings: Vec<String>,
    build: Option<usize>,
    /// The span of each stage at work, and that of its step.
    stages: BTreeMap<usize, (usize, Option<usize>)>,
    moving: HashMap<Digest, usize>,
}

impl Spans {
    /// Takes what happened at the time `at`.
    pub(super) fn take(&mut self, event: Event, at: Duration) {
        match event {
            Event::BuildStarted { platform, .. } => {
                self.end_all(at);
                self.build = Some(self.begin(Kind::Build, platform.to_string(), None, at));
            }
            Event::StageStarted { stage, name } => {
                let name = name.unwrap_or_else(|| (stage.number - 1).to_string());
                let span = self.begin(Kind::Stage(stage.number), name, self.build, at);
                self.stages.insert(stage.number, (span, None));
            }
            Event::Step { stage, index, total, text } => {
                self.end_step(stage, End::Done, at);
                let Some((within, _)) = self.stages.get(&stage.number).copied() else { return };
                let kind = Kind::Step { stage: stage.number, index, total };
                let step = self.begin(kind, text, Some(within), at);
                self.stages.insert(stage.number, (within, Some(step)));
            }
            Event::CacheHit { stage, reuse, .. } => self.end_step(stage, End::Cached(reuse), at),
            Event::StepDone { stage, .. } => self.end_step(stage, End::Done, at),
            Event::StageEnded { stage, outcome } => {
                let end = match outcome {
                    Outcome::Done => End::Done,
                    Outcome::Failed(why) => End::Failed(why),
                    Outcome::Stopped => End::Stopped,
                };
                self.end_step(stage, end.clone(), at);
                if let Some((span, _)) = self.stages.remove(&stage.number) {
                    self.end(span, end, at);
                }
            }
            Event::Output { stage: Some(stage), bytes, .. } => {
                if let Some((_, Some(step))) = self.stages.get(&stage.number) {
                    self.all[*step].print(&bytes);
                }
            }
            Event::TransferStarted { blob, verb, size } => {
                let span = self.begin(Kind::Transfer(size), format!("{verb} {blob}"), self.build, at);
                self.moving.insert(blob, span);
            }
            Event::TransferDone { blob } => {
                if let Some(span) = self.moving.remove(&blob) {
                    self.end(span, End::Done, at);
                }
            }
            Event::Warning(text) => self.warnings.push(text),
            Event::Output { stage: None, .. }
            | Event::TraceChanged { .. }
            | Event::TransferAdvanced { .. }
            | Event::StageSaved { .. }
            | Event::Tagged { .. } => {}
        }
    }

    /// Ends whatever has not ended. The build itself has, in the way of `end`.
    pub(super) fn finish(&mut self, end: End, at: Duration) {
        for (stage, step) in std::mem::take(&mut self.stages).into_values() {
            step.into_iter().chain([stage]).for_each(|span| self.end(span, End::Stopped, at));
        }
        for span in std::mem::take(&mut self.moving).into_values() {
            self.end(span, End::Stopped, at);
        }
        if let Some(build) = self.build.take() {
            self.end(build, end, at);
        }
    }

    fn end_all(&mut self, at: Duration) {
        self.finish(End::Done, at);
    }

    fn begin(&mut self, kind: Kind, name: String, within: Option<usize>, at: Duration) -> usize {
        let (log, lost) = (Vec::new(), 0);
        self.all.push(Span { kind, name, within, began: at, ended: None, end: End::Stopped, log, lost });
        self.all.len() - 1
    }

    fn end_step(&mut self, stage: StagePlace, end: End, at: Duration) {
        if let Some(step) = self.stages.get_mut(&stage.number).and_then(|(_, step)| step.take()) {
            self.end(step, end, at);
        }
    }

    fn end(&mut self, span: usize, end: End, at: Duration) {
        let span = &mut self.all[span];
        (span.end, span.ended) = (end, Some(at));
    }
}

impl Span {
    /// How long it took.
    pub(super) fn time(&self) -> Duration {
        self.ended.unwrap_or(self.began).saturating_sub(self.began)
    }

    /// What it is called where nothing else tells what it is.
    pub(super) fn title(&self) -> String {
        match self.kind {
            Kind::Stage(number) if self.name == (number - 1).to_string() => format!("stage {}", self.name),
            _ => self.name.clone(),
        }
    }

    /// The step's place as people write it.
    pub(super) fn place(&self) -> String {
        match self.kind {
            Kind::Step { index, total, .. } if total > 0 => format!("{index}/{total}"),
            _ => String::new(),
        }
    }

    fn print(&mut self, bytes: &[u8]) {
        self.log.extend_from_slice(bytes);
        // not at each piece: moving a megabyte for some bytes would be slow
        if self.log.len() > 2 * LONGEST_LOG {
            self.lost += self.log.len() - LONGEST_LOG;
            self.log.drain(..self.log.len() - LONGEST_LOG);
        }
    }
}

impl End {
    /// One word for it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cached(Reuse::Exact) => "cached",
            Self::Cached(Reuse::Traced) => "traced",
            Self::Failed(_) => "failed",
            Self::Stopped => "stopped",
        }
    }
}
