//! A build as it stands: events in, lines out. Nothing here asks a clock or a terminal.
//!
//! What has ended becomes a line that scrolls away; what goes on is below it: a head, the stages at work with the last
//! lines of their commands, and the blobs on their way.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::size;
use super::painted::{Line, Tone};
use super::screen::Size;
use super::tail::Tail;
use super::text;
use super::transfers::Transfers;
use crate::progress::{Event, Outcome, Reuse, StagePlace};

/// How many lines of a running command are shown, at most.
const LAST_LINES: usize = 6;

/// What is known of a build.
#[derive(Default)]
pub(super) struct View {
    /// When the build began.
    began: Option<Duration>,
    /// The platform, where several are built for.
    platform: Option<String>,
    builds: usize,
    counts: Counts,
    stages: BTreeMap<usize, Stage>,
    transfers: Transfers,
    /// What has ended since it was asked for.
    settled: Vec<Line>,
}

/// Steps of the build.
#[derive(Default)]
struct Counts {
    done: usize,
    cached: usize,
    total: usize,
}

/// A stage that somebody works on.
struct Stage {
    place: StagePlace,
    name: Option<String>,
    step: Option<Step>,
    tail: Tail,
}

/// The step at work.
struct Step {
    place: String,
    text: String,
    began: Duration,
}

/// How a step ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Cached(Reuse),
    Failed,
    Stopped,
}

impl View {
    /// Takes what happened at the time `at`.
    pub(super) fn take(&mut self, event: Event, at: Duration) {
        match event {
            Event::BuildStarted { platform, steps } => {
                self.began.get_or_insert(at);
                self.builds += 1;
                if self.builds > 1 {
                    self.platform = Some(platform.to_string());
                }
                self.stages.clear();
                self.counts = Counts { total: steps, ..Counts::default() };
            }
            Event::StageStarted { stage: place, name } => {
                let stage = Stage { place, name, step: None, tail: Tail::default() };
                self.stages.insert(place.number, stage);
            }
            Event::Step { stage, index, total, text } => {
                self.end_step(stage, End::Done, at);
                if let Some(stage) = self.stage(stage) {
                    let place = if total > 0 { format!("{index}/{total}") } else { String::new() };
                    let text = text::harmless(text.lines().next().unwrap_or_default().as_bytes());
                    stage.step = Some(Step { place, text, began: at });
                    stage.tail = Tail::default();
                }
            }
            Event::CacheHit { stage, reuse, .. } => self.end_step(stage, End::Cached(reuse), at),
            Event::StepDone { stage, .. } => self.end_step(stage, End::Done, at),
            Event::StageEnded { stage, outcome } => self.end_stage(stage, &outcome, at),
            Event::Output { stage, stream, bytes } => {
                if let Some(stage) = stage.and_then(|stage| self.stage(stage)) {
                    stage.tail.push(stream, &bytes);
                }
            }
            Event::TraceChanged { path, change, .. } => {
                let text = format!("traced: {} {change}", text::harmless(path.as_bytes()));
                self.settled.push(Line::marked("", Tone::Plain).with(Tone::Dim, text));
            }
            Event::TransferStarted { blob, verb, size } => self.transfers.start(blob, verb, size, at),
            Event::TransferAdvanced { blob, bytes } => self.transfers.advance(&blob, bytes, at),
            Event::TransferDone { blob } => self.settled.extend(self.transfers.end(&blob, at)),
            Event::StageSaved { stage, id } => self.tell("saved", format!("stage {stage} as {}", id.hex())),
            Event::Tagged { name } => self.tell("tagged", name),
            Event::Warning(text) => {
                let text = text::harmless(text.as_bytes());
                self.settled.push(Line::marked("warning", Tone::Warning).with(Tone::Plain, text).whole());
            }
        }
    }

    /// What has ended since this was asked last, to scroll away.
    pub(super) fn settled(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.settled)
    }

    /// What goes on at the time `at`, one line shorter than the terminal is high.
    pub(super) fn now(&self, at: Duration, size: Size) -> Vec<Line> {
        let room = size.rows.saturating_sub(1).max(1);
        let working: Vec<_> =
            self.stages.values().filter_map(|stage| Some((stage, stage.step.as_ref()?))).collect();
        let moving = self.transfers.lines(at);
        let mut lines = Vec::new();
        lines.extend(self.head(at));
        if lines.is_empty() && moving.is_empty() {
            return lines;
        }
        let free = room.saturating_sub(lines.len() + working.len() + moving.len());
        let each = (free / working.len().max(1)).min(LAST_LINES);
        for (stage, step) in working {
            lines.push(stage.line(&seconds(at.saturating_sub(step.began)), Tone::Plain, step));
            lines.extend(
                stage
                    .tail
                    .last(each)
                    .map(|line| Line::marked("", Tone::Plain).with(Tone::Dim, format!("| {line}"))),
            );
        }
        lines.extend(moving);
        if lines.len() > room {
            let left = lines.len() + 1 - room;
            lines.truncate(room - 1);
            lines.push(Line::marked("", Tone::Plain).with(Tone::Dim, format!("and {left} more")));
        }
        lines
    }

    /// The last line of a build that came to its end.
    pub(super) fn summary(&self, at: Duration) -> Option<Line> {
        let began = self.began?;
        let steps = match self.builds {
            1 => self.steps(),
            builds => format!("{builds} builds"),
        };
        let elapsed = seconds(at.saturating_sub(began));
        Some(Line::marked(&elapsed, Tone::Good).with(Tone::Plain, format!("built: {steps}")))
    }

    fn head(&self, at: Duration) -> Option<Line> {
        let elapsed = seconds(at.saturating_sub(self.began?));
        let platform = self.platform.as_ref().map_or_else(String::new, |platform| format!(" for {platform}"));
        Some(
            Line::marked(&elapsed, Tone::Good)
                .with(Tone::Good, format!("building{platform}: {}", self.steps())),
        )
    }

    fn steps(&self) -> String {
        let Counts { done, cached, total } = self.counts;
        format!("{done} of {} steps, {cached} cached", total.max(done))
    }

    fn tell(&mut self, mark: &str, text: String) {
        self.settled.push(Line::marked(mark, Tone::Good).with(Tone::Plain, text).whole());
    }

    fn stage(&mut self, place: StagePlace) -> Option<&mut Stage> {
        self.stages.get_mut(&place.number)
    }

    fn end_step(&mut self, place: StagePlace, end: End, at: Duration) {
        let Some(stage) = self.stage(place) else { return };
        let Some(step) = stage.step.take() else { return };
        let elapsed = seconds(at.saturating_sub(step.began));
        let (mark, tone) = match end {
            End::Done => (elapsed.as_str(), Tone::Good),
            End::Cached(Reuse::Exact) => ("cached", Tone::Cached),
            End::Cached(Reuse::Traced) => ("traced", Tone::Cached),
            End::Failed => ("failed", Tone::Bad),
            End::Stopped => ("stopped", Tone::Dim),
        };
        let mut lines = vec![stage.line(mark, tone, &step)];
        if end == End::Failed {
            let said = stage
                .tail
                .last(usize::MAX)
                .map(|line| Line::marked("", Tone::Plain).with(Tone::Plain, format!("| {line}")).whole());
            lines.extend(said);
        }
        match end {
            End::Done => self.counts.done += 1,
            End::Cached(_) => {
                self.counts.done += 1;
                self.counts.cached += 1;
            }
            End::Failed | End::Stopped => {}
        }
        self.settled.extend(lines);
    }

    fn end_stage(&mut self, place: StagePlace, outcome: &Outcome, at: Duration) {
        let end = match outcome {
            Outcome::Done => End::Done,
            Outcome::Failed(_) => End::Failed,
            Outcome::Stopped => End::Stopped,
        };
        self.end_step(place, end, at);
        self.stages.remove(&place.number);
    }
}

impl Stage {
    /// A line about a step: a mark, its place, its text.
    fn line(&self, mark: &str, tone: Tone, step: &Step) -> Line {
        let stage = match &self.name {
            Some(name) => text::harmless(name.as_bytes()),
            None if self.place.total > 1 => self.place.number.to_string(),
            None => String::new(),
        };
        let place = [stage.as_str(), &step.place].join(" ");
        let place = match place.trim() {
            "" => String::new(),
            place => format!("{place}  "),
        };
        Line::marked(mark, tone).with(Tone::Dim, place).with(Tone::Plain, step.text.clone())
    }
}

/// `12.3s`, `2m03s`, `1h02m`.
pub(in crate::cli) fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{}.{}s", time.as_secs(), time.subsec_millis() / 100),
        seconds @ 60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// `4.50 MB/s`.
pub(super) fn rate(bytes_per_second: u64) -> String {
    format!("{}/s", size::bytes(bytes_per_second))
}
