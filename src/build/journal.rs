//! What a build did: a record for whoever asks later why a step was a hit or a miss.
//!
//! While the build runs, each step's key is noted with the text that it is a hash of, so what is recorded is what was
//! really compared. What a step read is told by tables, which are written only where the step had to be done.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bench::Piece;
use super::copy::Table;
use super::executor::{Executor, lock};
use super::stage::Stage;
use super::{Error, Options, chain};
use crate::git::without_passwords;
use crate::oci::{Digest, Platform};
use crate::progress::{Event, Sink};
use crate::store::{CacheKey, CacheRecord, LayerRecord, Store};
use crate::transfer::Subject;

/// A build that has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildRecord {
    /// When it began, RFC 3339.
    pub began: String,
    /// The name of its Dockerfile.
    pub dockerfile: String,
    /// The stage that it was to end with, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The digests of what was made: of manifests and configs.
    pub made: Vec<Digest>,
    /// The names that it got.
    pub names: Vec<String>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What a RUN that failed left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failed>,
    /// Its steps, those of a stage one after the other.
    pub steps: Vec<StepRecord>,
    /// The configs that [`StepRecord::config`] names.
    pub configs: BTreeMap<String, Value>,
}

/// The state in which a command failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failed {
    /// The instruction, as written.
    pub text: String,
    /// The image as it would have become, with what the command had changed as its last layer.
    pub piece: Piece,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepRecord {
    /// What was built for.
    pub platform: String,
    /// The place of its stage in the Dockerfile, counted from 0.
    pub stage: usize,
    /// The name of its stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_name: Option<String>,
    /// Its place in the stage, counted from 1; 0 of one that does not stand there.
    pub index: usize,
    /// The number of steps in the stage.
    pub total: usize,
    /// The instruction, as written.
    pub text: String,
    /// Whether it was taken from the cache, and why not.
    pub verdict: Verdict,
    /// Its cache key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<CacheKey>,
    /// The key over the content of what it read, if the record was behind another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<CacheKey>,
    /// What the key was made of, but for the config.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub inputs: Value,
    /// The config before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// What a traced step had looked at that is another now, and what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked: Option<(String, String)>,
    /// Of a FROM: the chain id of the layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The layer that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<LayerRecord>,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
}

/// What the cache said of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was not asked: a FROM, or a step that was not reached.
    #[default]
    Unasked,
    /// There is a record of the same step.
    Hit,
    /// There is a trace of the same command, and what it looked at is the same.
    Traced,
    /// There is no record.
    Unknown,
    /// Records were not to be taken.
    Ignored,
    /// The record is older than records were to be.
    TooOld,
    /// There is a record, and its layer is gone.
    LayerGone,
    /// The record cannot be read.
    Damaged,
}

impl Verdict {
    /// Whether the step was not done.
    pub fn is_hit(self) -> bool {
        matches!(self, Self::Hit | Self::Traced)
    }
}

/// What is noted while a build runs: of each stage its steps.
#[derive(Default)]
pub(super) struct Journal(Mutex<BTreeMap<usize, Vec<Entry>>>);

struct Entry {
    place: (usize, usize),
    text: String,
    began: Instant,
    time: Option<Duration>,
    /// What keys were made of: that of the names of what it reads, and that of the content.
    keys: Vec<(CacheKey, Vec<u8>)>,
    asked: Option<CacheKey>,
    content: Option<CacheKey>,
    verdict: Verdict,
    looked: Option<(String, String)>,
    base: Option<String>,
    layer: Option<LayerRecord>,
}

impl Journal {
    /// A step begins, and the one before it has ended.
    pub(super) fn begin(&self, stage: usize, place: (usize, usize), text: &str) {
        self.end(stage, None);
        let entry = Entry {
            place,
            text: text.to_owned(),
            began: Instant::now(),
            time: None,
            keys: Vec::new(),
            asked: None,
            content: None,
            verdict: Verdict::Unasked,
            looked: None,
            base: None,
            layer: None,
        };
        lock(&self.0).entry(stage).or_default().push(entry);
    }

    /// Notes what a key is made of, and gives the key.
    pub(super) fn made_of(&self, stage: usize, (key, text): (CacheKey, Vec<u8>)) -> CacheKey {
        self.now(stage, |entry| entry.keys.push((key.clone(), text)));
        key
    }

    /// Notes what a stage begins with.
    pub(super) fn stands_on(&self, index: usize, stage: &Stage) {
        let base = stage.chain().map_or_else(|| "nothing".to_owned(), |chain| chain.0.to_string());
        self.now(index, |entry| entry.base = Some(base));
    }

    /// Notes what a trace had to say against a step.
    pub(super) fn looked(&self, stage: usize, path: &str, change: &str) {
        self.now(stage, |entry| entry.looked = Some((path.to_owned(), change.to_owned())));
    }

    /// Notes what the cache says of the step behind `key`. A step that ends with a record has ended.
    pub(super) fn judge(&self, stage: usize, key: &CacheKey, verdict: Verdict, record: Option<&CacheRecord>) {
        self.now(stage, |entry| {
            (entry.asked, entry.verdict) = (Some(key.clone()), verdict);
            if let Some(record) = record {
                entry.content.clone_from(&record.alias_of);
                entry.layer = record.layer;
                entry.time.get_or_insert(entry.began.elapsed());
            }
        });
    }

    /// The step has ended, with this layer if it made one.
    pub(super) fn end(&self, stage: usize, layer: Option<LayerRecord>) {
        self.now(stage, |entry| {
            entry.layer = entry.layer.or(layer);
            entry.time.get_or_insert(entry.began.elapsed());
        });
    }

    fn now(&self, stage: usize, note: impl FnOnce(&mut Entry)) {
        if let Some(entry) = lock(&self.0).get_mut(&stage).and_then(|entries| entries.last_mut()) {
            note(entry);
        }
    }
}

impl Executor<'_> {
    /// Keeps the table of what the step behind `key` reads. The build does without.
    pub(super) fn keep_table(&self, key: &CacheKey, table: &Table) {
        let text = serde_json::to_vec(table).expect("a table holds only strings");
        if let Err(error) = self.store.put_table(key, &text) {
            self.sink.event(Event::Warning(format!("what a step read is not recorded: {}", chain(&error))));
        }
    }
}

/// Of how many steps it is recorded what their keys are made of.
const MOST: usize = 1000;

/// The record of a build, as it grows: several platforms come one after the other.
pub(super) struct Diary {
    began: jiff::Timestamp,
    steps: Vec<StepRecord>,
    configs: BTreeMap<String, Value>,
}

impl Diary {
    pub(super) fn new() -> Self {
        Self { began: jiff::Timestamp::now(), steps: Vec::new(), configs: BTreeMap::new() }
    }

    /// Adds what one executor did for `platform`.
    pub(super) fn add(&mut self, executor: &Executor<'_>, platform: &Platform) {
        let platform = platform.to_string();
        let mut known = HashMap::new();
        for (stage, entries) in std::mem::take(&mut *lock(&executor.journal.0)) {
            let stage_name = &executor.dockerfile.stages[stage].from.value.name;
            for entry in entries {
                let is_one_more = self.steps.len() < MOST;
                let (inputs, config) =
                    if is_one_more { self.inputs(&entry, &mut known) } else { (Value::Null, None) };
                self.steps.push(StepRecord {
                    platform: platform.clone(),
                    stage,
                    stage_name: stage_name.clone(),
                    index: entry.place.0,
                    total: entry.place.1,
                    text: entry.text,
                    verdict: entry.verdict,
                    key: entry.asked,
                    content: entry.content,
                    inputs,
                    config,
                    looked: entry.looked,
                    base: entry.base,
                    layer: entry.layer,
                    milliseconds: entry
                        .time
                        .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
                });
            }
        }
    }

    /// What the key that was asked for is made of, its config apart.
    fn inputs(&mut self, entry: &Entry, known: &mut HashMap<String, String>) -> (Value, Option<String>) {
        let text = entry.keys.iter().rfind(|(key, _)| Some(key) == entry.asked.as_ref());
        let Some(mut inputs) = text.and_then(|(_, text)| serde_json::from_slice::<Value>(text).ok()) else {
            return (Value::Null, None);
        };
        if let Some(Value::Object(read)) = inputs.get_mut("inputs") {
            read.values_mut().for_each(digits);
        }
        let config = inputs.as_object_mut().and_then(|inputs| inputs.remove("config"));
        let config = config.map(|config| {
            let text = config.to_string();
            let name = known
                .entry(text)
                .or_insert_with_key(|text| blake3::hash(text.as_bytes()).to_hex()[..16].to_owned());
            self.configs.entry(name.clone()).or_insert(config);
            name.clone()
        });
        (inputs, config)
    }

    /// Has the store keep it, unless the build failed before it asked the cache for anything: bad input leaves nothing. The
    /// build does without.
    pub(super) fn keep(
        self,
        store: &Store,
        options: &Options,
        built: &Result<Subject, Error>,
        sink: &dyn Sink,
    ) {
        /// Bytes of a record that is kept whole.
        const LONGEST: usize = 3 << 20;
        if built.is_err() && self.steps.iter().all(|step| step.verdict == Verdict::Unasked) {
            return;
        }
        let (made, failure) = match built {
            Ok(subject) => (digests(subject), None),
            Err(error) => (Vec::new(), Some(without_passwords(&chain(error)))),
        };
        let failed = built.as_ref().err().and_then(|error| {
            let (place, piece) = (error.place()?, error.failed_state()?.piece.clone());
            Some(Failed { text: place.text.clone(), piece })
        });
        let mut record = BuildRecord {
            began: self.began.to_string(),
            dockerfile: options.dockerfile.name().to_owned(),
            target: options.target.clone(),
            made,
            names: options.tags.iter().map(|tag| tag.local().to_string()).collect(),
            failure,
            failed,
            steps: self.steps,
            configs: self.configs,
        };
        let mut text = serde_json::to_vec(&record).expect("a record holds only strings and numbers");
        if text.len() > LONGEST {
            record.configs.clear();
            record.steps.iter_mut().for_each(|step| step.inputs = Value::Null);
            text = serde_json::to_vec(&record).expect("a record holds only strings and numbers");
        }
        let name = format!("{:020}-{}", self.began.as_nanosecond(), std::process::id());
        if let Err(error) = store.put_build(&name, &text) {
            sink.event(Event::Warning(format!("the build is not recorded: {}", chain(&error))));
        }
    }
}

/// What a subject can be asked for by.
fn digests(subject: &Subject) -> Vec<Digest> {
    let mut digests = vec![subject.id()];
    for image in subject.images() {
        digests.extend([image.descriptor.digest, image.id()]);
    }
    digests
}

/// A digest that is told as numbers, as people write it.
fn digits(value: &mut Value) {
    let bytes =
        value.as_array().map(|bytes| bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()));
    if let Some(bytes) = bytes {
        *value = hex::encode(bytes.collect::<Vec<_>>()).into();
    }
}
