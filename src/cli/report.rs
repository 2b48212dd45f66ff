//! What happens, as people see it.
//!
//! `STEP` lines and what RUN prints go to stdout as buildah's do. Transfers and warnings are talk: stderr,
//! as bars where it is a terminal, as lines where it is not. A command may leave its last line open; our own
//! lines start on a fresh one. What stages that are built side by side print comes line by line, each with its stage.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::oci::Digest;
use crate::progress::{Event, Reuse, Sink, StagePlace, Stream};

/// A sink that prints.
pub(super) struct Report {
    quiet: bool,
    talk: Talk,
    /// Bars, if stderr is a terminal.
    bars: Option<MultiProgress>,
    moving: Mutex<HashMap<Digest, ProgressBar>>,
    open: Mutex<OpenLines>,
    /// The lines that stages built side by side have begun.
    begun: Mutex<HashMap<(StagePlace, Stream), Vec<u8>>>,
}

/// Where that goes which belongs on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Talk {
    /// There.
    Stdout,
    /// To standard error: standard output is data alone.
    Stderr,
}

/// The longest line that is waited for, in bytes.
const LONGEST: usize = 16 << 10;

/// Whether what was printed last ended within a line.
#[derive(Default)]
struct OpenLines {
    stdout: bool,
    stderr: bool,
    /// Both are the same terminal, so that they share its line.
    shared: bool,
}

impl OpenLines {
    fn of(&mut self, stream: Stream) -> &mut bool {
        match stream {
            Stream::Stderr if !self.shared => &mut self.stderr,
            Stream::Stdout | Stream::Stderr => &mut self.stdout,
        }
    }
}

impl Report {
    /// `quiet` leaves only warnings and what a failing command said on stderr.
    pub(super) fn new(quiet: bool) -> Self {
        Self::with(quiet, Talk::Stdout)
    }

    /// The same, with another place for what belongs on standard output.
    pub(super) fn with(quiet: bool, talk: Talk) -> Self {
        let terminal = io::stderr().is_terminal();
        let bars = (!quiet && terminal).then(MultiProgress::new);
        // A terminal that cannot move its cursor gets lines.
        let bars = bars.filter(|bars| !bars.is_hidden());
        let shared = talk == Talk::Stderr || (terminal && io::stdout().is_terminal());
        let open = OpenLines { shared, ..OpenLines::default() };
        Self { quiet, talk, bars, moving: Mutex::default(), open: Mutex::new(open), begun: Mutex::default() }
    }

    /// Takes the bars away and ends what a command left open.
    pub(super) fn finish(&self) {
        if let Some(bars) = &self.bars {
            // A terminal that went away takes its bars along.
            drop(bars.clear());
        }
        let begun = std::mem::take(&mut *lock(&self.begun));
        for ((stage, stream), line) in begun.into_iter().filter(|(_, line)| !line.is_empty()) {
            self.line(stream, &labelled(Some(stage), &String::from_utf8_lossy(&line)));
        }
        self.fresh_line(Stream::Stdout);
        self.fresh_line(Stream::Stderr);
    }

    /// Prints what a command wrote: as it is, or the lines that are whole with their stage before each.
    fn output(&self, stage: Option<StagePlace>, stream: Stream, bytes: &[u8]) {
        let Some(stage) = stage else { return self.pass_on(stream, bytes) };
        let mut all = lock(&self.begun);
        let begun = all.entry((stage, stream)).or_default();
        begun.extend_from_slice(bytes);
        let whole = begun.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let whole = if begun.len() - whole > LONGEST { begun.len() } else { whole };
        let label = labelled(Some(stage), "").into_bytes();
        let mut text = Vec::new();
        for line in begun[..whole].split_inclusive(|&byte| byte == b'\n') {
            text.extend_from_slice(&label);
            text.extend_from_slice(line);
        }
        begun.drain(..whole);
        self.pass_on(stream, &text);
    }

    /// Ends the lines that a stage has begun.
    fn end_lines(&self, stage: Option<StagePlace>) {
        let Some(stage) = stage else { return };
        for stream in [Stream::Stdout, Stream::Stderr] {
            if lock(&self.begun).get(&(stage, stream)).is_some_and(|line| !line.is_empty()) {
                self.output(Some(stage), stream, b"\n");
            }
        }
    }

    /// Prints what a command wrote, as it is.
    fn pass_on(&self, stream: Stream, bytes: &[u8]) {
        self.print(stream, bytes);
        if let Some(last) = bytes.last() {
            *self.open().of(stream) = *last != b'\n';
        }
    }

    fn fresh_line(&self, stream: Stream) {
        if std::mem::take(self.open().of(stream)) {
            self.print(stream, b"\n");
        }
    }

    fn print(&self, stream: Stream, bytes: &[u8]) {
        let write = || match stream {
            Stream::Stdout if self.talk == Talk::Stdout => write(&mut io::stdout().lock(), bytes),
            Stream::Stdout | Stream::Stderr => write(&mut io::stderr().lock(), bytes),
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    fn line(&self, stream: Stream, line: &str) {
        self.fresh_line(stream);
        self.print(stream, format!("{line}\n").as_bytes());
    }

    fn started(&self, blob: Digest, verb: &str, size: u64) {
        let Some(bars) = &self.bars else {
            return self.line(Stream::Stderr, &format!("{verb} {blob} ({})", super::size::bytes(size)));
        };
        let style = ProgressStyle::with_template("{prefix} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}")
            .expect("the template is fixed");
        let bar = bars
            .add(ProgressBar::new(size).with_style(style).with_prefix(format!("{verb} {}", blob.short())));
        self.moving().insert(blob, bar);
    }

    fn moving(&self) -> MutexGuard<'_, HashMap<Digest, ProgressBar>> {
        lock(&self.moving)
    }

    fn open(&self) -> MutexGuard<'_, OpenLines> {
        lock(&self.open)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line with its stage before it.
fn labelled(stage: Option<StagePlace>, line: &str) -> String {
    match stage {
        Some((stage, stages)) => format!("[{stage}/{stages}] {line}"),
        None => line.to_owned(),
    }
}

/// A reader that closed the pipe wants no more; the build goes on.
fn write(to: &mut dyn Write, bytes: &[u8]) {
    drop(to.write_all(bytes).and_then(|()| to.flush()));
}

impl Sink for Report {
    fn event(&self, event: Event) {
        match event {
            Event::Warning(text) => self.line(Stream::Stderr, &format!("[Warning] {text}")),
            Event::Output { stage, stream: Stream::Stderr, bytes } => {
                self.output(stage, Stream::Stderr, &bytes);
            }
            _ if self.quiet => {}
            Event::Output { stage, stream, bytes } => self.output(stage, stream, &bytes),
            Event::Step { stage, index, total, text } => {
                let place = if total > 0 { format!("STEP {index}/{total}: ") } else { "STEP: ".to_owned() };
                self.line(Stream::Stdout, &labelled(stage, &format!("{place}{text}")));
            }
            Event::CacheHit { stage, id, reuse } => {
                let how = match reuse {
                    Reuse::Exact => "",
                    Reuse::Traced => " (traced)",
                };
                self.line(Stream::Stdout, &labelled(stage, &format!("--> Using cache{how} {}", id.hex())));
            }
            Event::TraceChanged { stage, path, change } => {
                self.line(Stream::Stdout, &labelled(stage, &format!("--> Traced: {path} {change}")));
            }
            Event::StepDone { stage, id } => {
                self.end_lines(stage);
                self.line(Stream::Stdout, &labelled(stage, &format!("--> {}", id.short())));
            }
            Event::StageSaved { stage, id } => {
                self.line(Stream::Stdout, &format!("--> Saved stage {stage} as {}", id.hex()));
            }
            Event::Tagged { name } => self.line(Stream::Stdout, &format!("Successfully tagged {name}")),
            Event::TransferStarted { blob, verb, size } => self.started(blob, verb, size),
            Event::TransferAdvanced { blob, bytes } => {
                if let Some(bar) = self.moving().get(&blob) {
                    bar.inc(bytes);
                }
            }
            Event::TransferDone { blob } => {
                if let Some(bar) = self.moving().remove(&blob) {
                    bar.finish_and_clear();
                }
            }
        }
    }
}
