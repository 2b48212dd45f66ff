//! What happens, line by line: `--progress=plain` and `quiet`.
//!
//! `STEP` lines and what RUN prints go to stdout as buildah's do. Transfers and warnings are talk: stderr. A command may leave its last line open; our own
//! lines start on a fresh one. What stages that are built side by side print comes line by line, each with its stage.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::size;
use super::Talk;
use crate::progress::{Event, Reuse, Sink, StagePlace, Stream};

/// A sink that prints.
pub(super) struct Lines {
    quiet: bool,
    talk: Talk,
    open: Mutex<OpenLines>,
    /// The lines that stages built side by side have begun.
    begun: Mutex<HashMap<(StagePlace, Stream), Vec<u8>>>,
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

impl Lines {
    /// `quiet` leaves only warnings and what a failing command said on stderr.
    pub(super) fn new(quiet: bool, talk: Talk) -> Self {
        let is_terminal = io::stderr().is_terminal() && io::stdout().is_terminal();
        let open = OpenLines { shared: talk == Talk::Stderr || is_terminal, ..OpenLines::default() };
        Self { quiet, talk, open: Mutex::new(open), begun: Mutex::default() }
    }

    /// Ends what a command left open.
    pub(super) fn finish(&self) {
        let begun = std::mem::take(&mut *lock(&self.begun));
        for ((stage, stream), line) in begun.into_iter().filter(|(_, line)| !line.is_empty()) {
            self.line(stream, &labelled(Some(stage), &String::from_utf8_lossy(&line)));
        }
        self.fresh_line(Stream::Stdout);
        self.fresh_line(Stream::Stderr);
    }

    /// Prints what a command wrote: as it is, or the lines that are whole with their stage before each.
    fn output(&self, stage: Option<StagePlace>, stream: Stream, bytes: &[u8]) {
        let Some(stage) = stage.and_then(accompanied) else { return self.pass_on(stream, bytes) };
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
    fn end_lines(&self, stage: StagePlace) {
        let Some(stage) = accompanied(stage) else { return };
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
        match stream {
            Stream::Stdout if self.talk == Talk::Stdout => write(&mut io::stdout().lock(), bytes),
            Stream::Stdout | Stream::Stderr => write(&mut io::stderr().lock(), bytes),
        }
    }

    fn line(&self, stream: Stream, line: &str) {
        self.fresh_line(stream);
        self.print(stream, format!("{line}\n").as_bytes());
    }

    fn open(&self) -> MutexGuard<'_, OpenLines> {
        lock(&self.open)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stage that others are built beside.
fn accompanied(stage: StagePlace) -> Option<StagePlace> {
    stage.is_accompanied.then_some(stage)
}

/// A line with its stage before it.
fn labelled(stage: Option<StagePlace>, line: &str) -> String {
    match stage {
        Some(StagePlace { number, total, .. }) => format!("[{number}/{total}] {line}"),
        None => line.to_owned(),
    }
}

/// A reader that closed the pipe wants no more; the build goes on.
fn write(to: &mut dyn Write, bytes: &[u8]) {
    drop(to.write_all(bytes).and_then(|()| to.flush()));
}

impl Sink for Lines {
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
                let is_told = stage.total > 1 && (total > 0 || stage.is_accompanied);
                self.line(Stream::Stdout, &labelled(is_told.then_some(stage), &format!("{place}{text}")));
            }
            Event::CacheHit { stage, id, reuse } => {
                let how = match reuse {
                    Reuse::Exact => "",
                    Reuse::Traced => " (traced)",
                };
                self.line(
                    Stream::Stdout,
                    &labelled(accompanied(stage), &format!("--> Using cache{how} {}", id.hex())),
                );
            }
            Event::TraceChanged { stage, path, change } => {
                self.line(
                    Stream::Stdout,
                    &labelled(accompanied(stage), &format!("--> Traced: {path} {change}")),
                );
            }
            Event::StepDone { stage, id } => {
                self.end_lines(stage);
                self.line(Stream::Stdout, &labelled(accompanied(stage), &format!("--> {}", id.short())));
            }
            Event::StageSaved { stage, id } => {
                self.line(Stream::Stdout, &format!("--> Saved stage {stage} as {}", id.hex()));
            }
            Event::Tagged { name } => self.line(Stream::Stdout, &format!("Successfully tagged {name}")),
            Event::TransferStarted { blob, verb, size } => {
                self.line(Stream::Stderr, &format!("{verb} {blob} ({})", size::bytes(size)));
            }
            Event::TransferAdvanced { .. }
            | Event::TransferDone { .. }
            | Event::BuildStarted { .. }
            | Event::StageStarted { .. }
            | Event::StageEnded { .. } => {}
        }
    }
}
