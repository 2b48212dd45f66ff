//! Which records of earlier builds a build takes, and where its own go.

use std::time::Duration;

use super::executor::Executor;
use super::plan;
use super::stage::Stage;
use crate::dockerfile::{CacheMode, Dockerfile, did_you_mean};
use crate::layer::Compression;
use crate::progress::Event;
use crate::store::CacheRecord;
use crate::transfer::{CachePlace, Keep};

/// Which records of earlier builds are taken. New ones are always written.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    /// Whose steps are done again.
    pub ignored: Ignored,
    /// How old a record may be; `None`: of any age.
    pub ttl: Option<Duration>,
    /// When the record of a RUN is taken that does not say so itself.
    pub mode: CacheMode,
    /// Where records are looked for that the store does not have.
    pub from: Vec<CachePlace>,
    /// Where the records of this build go, besides the store.
    pub to: Vec<CacheExport>,
}

/// One destination of the records of a build.
#[derive(Clone, Debug)]
pub struct CacheExport {
    /// Where they go.
    pub target: CacheTarget,
    /// Which of them.
    pub records: Records,
    /// How their layers are packed.
    pub compression: Compression,
    /// Whether a failure is a warning. Otherwise it is the build's, whose image has its names by then.
    pub may_fail: bool,
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheTarget {
    /// A repository or a directory, and what becomes of the records that are there.
    Place {
        /// Where.
        place: CachePlace,
        /// What stays of what is there.
        keep: Keep,
    },
    /// The config of the image itself. Only records of the stages that it stands on, whose layers it has.
    Inline,
}

/// Which records go elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Records {
    /// Of the stages that the result stands on.
    #[default]
    Min,
    /// Of all stages.
    Max,
}

/// The stages whose records are not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ignored {
    /// None.
    #[default]
    Nothing,
    /// Those with these names or numbers (`--no-cache-filter`). A step behind them whose parent came out the same may
    /// still be taken.
    Stages(Vec<String>),
    /// All (`--no-cache`).
    Everything,
}

impl Executor<'_> {
    /// Whether the steps of `stage` are done again whatever is recorded.
    pub(super) fn is_ignored(&self, stage: &Stage) -> bool {
        match &self.options.cache.ignored {
            Ignored::Nothing => false,
            Ignored::Everything => true,
            Ignored::Stages(names) => {
                names.iter().any(|name| find(&self.dockerfile, name) == Some(stage.index))
            }
        }
    }

    /// Whether `record` is not too old. The clock may have been set back meanwhile: what is of tomorrow is new.
    pub(super) fn is_fresh(&self, record: &CacheRecord) -> bool {
        let Some(ttl) = self.options.cache.ttl else { return true };
        let Ok(made) = record.created.parse::<jiff::Timestamp>() else { return false };
        let age = jiff::Timestamp::now().duration_since(made);
        age.is_negative() || age.unsigned_abs() < ttl
    }

    /// Tells names of `--no-cache-filter` that no stage has.
    pub(super) fn tell_unknown_filters(&self) {
        let Ignored::Stages(names) = &self.options.cache.ignored else { return };
        let stages = self.dockerfile.stages.iter().filter_map(|stage| stage.from.value.name.as_deref());
        let known: Vec<&str> = stages.collect();
        for name in names.iter().filter(|name| find(&self.dockerfile, name).is_none()) {
            let close = did_you_mean(name, &known);
            let text = format!("--no-cache-filter: no stage is called {name:?}{close}");
            self.sink.event(Event::Warning(text));
        }
    }
}

fn find(dockerfile: &Dockerfile, name: &str) -> Option<usize> {
    plan::find(dockerfile, name, dockerfile.stages.len())
}
