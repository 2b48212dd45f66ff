//! News from the work: what happens, told as values to whoever listens.
//!
//! Nothing below the command line prints. A room that has something to say is handed a [`Sink`].

use crate::oci::Digest;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// An instruction starts.
    Step {
        /// Its stage, if there are several.
        stage: Option<StagePlace>,
        /// The instruction's place in its stage, counted from 1.
        index: usize,
        /// The number of instructions in its stage.
        total: usize,
        /// The instruction, as written.
        text: String,
    },
    /// The step's result came from the cache.
    CacheHit {
        /// Its stage, if several are built side by side.
        stage: Option<StagePlace>,
        /// What the step's image would be called.
        id: Digest,
        /// Whose result it is.
        reuse: Reuse,
    },
    /// The result of an earlier run of a command could have been taken, but for one thing that it looked at.
    TraceChanged {
        /// Its stage, if several are built side by side.
        stage: Option<StagePlace>,
        /// Where.
        path: String,
        /// What became of it.
        change: String,
    },
    /// The step ended.
    StepDone {
        /// Its stage, if several are built side by side.
        stage: Option<StagePlace>,
        /// The digest of the step's config.
        id: Digest,
    },
    /// A running command wrote something.
    Output {
        /// Its stage, if several are built side by side.
        stage: Option<StagePlace>,
        /// Where to.
        stream: Stream,
        /// What.
        bytes: Vec<u8>,
    },
    /// A blob starts to move.
    TransferStarted {
        /// Its digest.
        blob: Digest,
        /// `pull` or `push`.
        verb: &'static str,
        /// Its length in bytes.
        size: u64,
    },
    /// More of a blob has moved.
    TransferAdvanced {
        /// Its digest.
        blob: Digest,
        /// Bytes since the last event.
        bytes: u64,
    },
    /// A blob has arrived.
    TransferDone {
        /// Its digest.
        blob: Digest,
    },
    /// A stage that others stand on is an image of its own.
    StageSaved {
        /// Its name, or its number.
        stage: String,
        /// The image's id.
        id: Digest,
    },
    /// An image got a name.
    Tagged {
        /// The name.
        name: String,
    },
    /// Something a person should know that stops nothing.
    Warning(String),
}

/// Whose result is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// That of the same step on the same parent.
    Exact,
    /// That of the same command on another parent, where all that it looked at is the same.
    Traced,
}

/// The place of a stage in the Dockerfile, counted from 1, and the number of stages.
pub type StagePlace = (usize, usize);

/// One of a command's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Who listens. Called from several threads.
pub trait Sink: Send + Sync {
    /// Takes one event. Must not block for long: the work waits.
    fn event(&self, event: Event);
}

/// Nobody listens.
pub struct Silent;

impl Sink for Silent {
    fn event(&self, _: Event) {}
}
