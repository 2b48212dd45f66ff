//! A finished build, told to other programs and to people who come later.
//!
//! ```text
//! spans   events and their times → what was within what, and when
//! page    `--report`: a page with a time line, reasons, sizes and logs
//! chrome  `--trace`: Chrome's trace events
//! otlp    OTEL_EXPORTER_OTLP_ENDPOINT: spans for a collector
//! ```
//!
//! Where none of them is wanted nothing is noted.

mod chrome;
mod otlp;
mod page;
mod spans;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use super::failure::Failure;
use super::output;
use crate::build::chain;
use crate::progress::{Event, Sink};
use crate::runtime::Cancel;
use crate::store::Store;
use otlp::Collector;
use spans::{End, Spans};

/// Options about what is told of a finished build
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Write a page about the finished build: a time line, hits and misses and why, sizes, logs
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Write when what was done, in Chrome's trace format
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

/// A sink that notes when what happens.
pub(super) struct Timeline {
    report: Option<PathBuf>,
    trace: Option<PathBuf>,
    collector: Option<Collector>,
    began: Instant,
    clock: SystemTime,
    spans: Mutex<Spans>,
}

/// What is known of a build when it has ended.
pub(super) struct Ended<'a> {
    pub store: &'a Store,
    /// The name of its Dockerfile.
    pub dockerfile: &'a str,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    pub cancel: &'a Cancel,
}

impl Args {
    /// What has to be noted for what the options and the environment ask for.
    pub(super) fn timeline(&self) -> Result<Option<Timeline>, Failure> {
        let collector = Collector::of_environment()?;
        if self.report.is_none() && self.trace.is_none() && collector.is_none() {
            return Ok(None);
        }
        let (report, trace) = (self.report.clone(), self.trace.clone());
        let (began, clock) = (Instant::now(), SystemTime::now());
        Ok(Some(Timeline { report, trace, collector, began, clock, spans: Mutex::default() }))
    }
}

impl Timeline {
    /// Writes and sends what was asked for. A collector that does not take it is a warning, and so is what cannot be written
    /// of a build that failed; of one that succeeded it is an error, and the image stays as it is.
    pub(super) fn tell(&self, ended: &Ended<'_>, sink: &dyn Sink) -> Result<(), Failure> {
        let at = self.began.elapsed();
        let mut spans = self.spans();
        spans.finish(ended.failure.clone().map_or(End::Done, End::Failed), at);
        let mut written = Ok(());
        if let Some(file) = &self.trace {
            written = output::file(file, chrome::trace(&spans.all).to_string().as_bytes());
        }
        if let Some(file) = &self.report {
            let page = page::page(&spans, ended, self.clock);
            written = written.and(page.and_then(|page| output::file(file, page.as_bytes())));
        }
        if let Some(collector) = &self.collector {
            let sent = collector.send(&spans.all, self.clock, &|| ended.cancel.is_cancelled());
            if let Err(error) = sent {
                sink.event(Event::Warning(format!(
                    "the collector has not got the spans of the build: {}",
                    chain(&error)
                )));
            }
        }
        match written {
            Err(failure) if ended.failure.is_some() => {
                sink.event(Event::Warning(failure.message().to_owned()));
                Ok(())
            }
            written => written,
        }
    }

    fn spans(&self) -> MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Timeline {
    fn event(&self, event: Event) {
        if matches!(event, Event::TransferAdvanced { .. }) {
            return;
        }
        let at = self.began.elapsed();
        self.spans().take(event, at);
    }
}
