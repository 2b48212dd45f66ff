//! News from the work: what happens, told as values to whoever listens.
//!
//! Nothing below the command line prints. A room that has something to say is handed a [`Sink`].

use crate::oci::{Digest, Platform};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A build begins, for one platform. One that follows is for another, or begins again.
    BuildStarted {
        /// What is built for.
        platform: Platform,
        /// The number of instructions of the stages that the target needs, as far as their names are known.
        steps: usize,
    },
    /// Somebody begins with a stage.
    StageStarted {
        /// Which.
        stage: StagePlace,
        /// What `FROM … AS` calls it.
        name: Option<String>,
    },
    /// Nobody works on a stage any more.
    StageEnded {
        /// Which.
        stage: StagePlace,
        /// What became of it.
        outcome: Outcome,
    },
    /// An instruction starts. The one before it in its stage has ended.
    Step {
        /// Its stage.
        stage: StagePlace,
        /// The instruction's place in its stage, counted from 1.
        index: usize,
        /// The number of instructions in its stage.
        total: usize,
        /// The instruction, as written.
        text: String,
    },
    /// The step's result came from the cache.
    CacheHit {
        /// Its stage.
        stage: StagePlace,
        /// What the step's image would be called.
        id: Digest,
        /// Whose result it is.
        reuse: Reuse,
    },
    /// The result of an earlier run of a command could have been taken, but for one thing that it looked at.
    TraceChanged {
        /// Its stage.
        stage: StagePlace,
        /// Where.
        path: String,
        /// What became of it.
        change: String,
    },
    /// The step ended.
    StepDone {
        /// Its stage.
        stage: StagePlace,
        /// The digest of the step's config.
        id: Digest,
    },
    /// A running command wrote something.
    Output {
        /// Its stage; none of what is no build.
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

/// The place of a stage in the Dockerfile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StagePlace {
    /// Counted from 1.
    pub number: usize,
    /// The number of stages.
    pub total: usize,
    /// Others may be built at the same time, so that what they print has to be told apart.
    pub is_accompanied: bool,
}

/// What became of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is built.
    Done,
    /// A step of it could not be done, and why.
    Failed(String),
    /// It ended because something else did.
    Stopped,
}

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

/// Several listen, in their order.
pub struct Several<'a>(pub Vec<&'a dyn Sink>);

impl Sink for Several<'_> {
    fn event(&self, event: Event) {
        let Some((last, others)) = self.0.split_last() else { return };
        for sink in others {
            sink.event(event.clone());
        }
        last.event(event);
    }
}

impl Sink for Silent {
    fn event(&self, _: Event) {}
}
