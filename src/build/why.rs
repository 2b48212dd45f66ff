//! Why a step was a hit or a miss: its record held against that of an earlier build. Pure: records in, changes out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::copy::Table;
use super::journal::{BuildRecord, StepRecord, Verdict};
use crate::store::CacheKey;

/// What is told of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained<'a> {
    /// The step.
    #[serde(skip)]
    pub step: &'a StepRecord,
    /// When the build began that it is compared with, RFC 3339; `None` if none had this step.
    #[serde(rename = "comparedWith", skip_serializing_if = "Option::is_none")]
    pub compared_with: Option<&'a str>,
    /// The answer, in one line.
    pub reason: String,
    /// What is another than there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// One input that is another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// The kind of input: `instruction`, `setting`, `config`, `file`, `layers below`, `base`, `platform`, `author`.
    pub what: &'static str,
    /// Which of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it was; `None` if it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What it is; `None` if it is not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// Explains the steps of `record`. `earlier` are the builds before it, the newest first; `table` gives what a step read.
pub fn explain<'a>(
    record: &'a BuildRecord,
    earlier: &'a [BuildRecord],
    table: &dyn Fn(&CacheKey) -> Option<Table>,
) -> Vec<Explained<'a>> {
    let explain = |step: &'a StepRecord| {
        let before = before(record, step, earlier);
        let changes = before.map_or_else(Vec::new, |(build, before)| {
            let pair = Pair { new: (record, step), old: (build, before) };
            pair.changes(table)
        });
        let reason = reason(step, before.map(|(_, step)| step), &changes);
        Explained { step, compared_with: before.map(|(build, _)| build.began.as_str()), reason, changes }
    };
    record.steps.iter().map(explain).collect()
}

/// The step that stood in the same place when this was built last: with the same text, else with the same number. Where no
/// build of the same Dockerfile had it, one of any that has the same text.
fn before<'a>(
    record: &BuildRecord,
    step: &StepRecord,
    earlier: &'a [BuildRecord],
) -> Option<(&'a BuildRecord, &'a StepRecord)> {
    let same_stage = |other: &StepRecord| {
        other.platform == step.platform
            && match (&other.stage_name, &step.stage_name) {
                (None, None) => other.stage == step.stage,
                (other, own) => other == own,
            }
    };
    let nearest = |build: &'a BuildRecord| {
        let same_text = build.steps.iter().filter(|other| same_stage(other) && other.text == step.text);
        same_text.min_by_key(|other| other.index.abs_diff(step.index))
    };
    let same_place = |build: &'a BuildRecord| {
        let mut found = build.steps.iter().filter(|other| same_stage(other) && other.index == step.index);
        found.find(|other| step.index > 0 && other.verb() == step.verb())
    };
    let same_file =
        earlier.iter().filter(|build| build.dockerfile == record.dockerfile && build.target == record.target);
    let mut own = same_file.filter_map(|build| Some((build, nearest(build).or_else(|| same_place(build))?)));
    own.next().or_else(|| {
        let same_text = |other: &&StepRecord| other.platform == step.platform && other.text == step.text;
        earlier.iter().find_map(|build| Some((build, build.steps.iter().find(same_text)?)))
    })
}

impl StepRecord {
    fn verb(&self) -> &str {
        self.text.split_whitespace().next().unwrap_or_default()
    }

    fn input(&self, name: &str) -> Option<String> {
        match self.inputs.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// The key whose table tells what it read.
    fn read_by(&self) -> Option<&CacheKey> {
        self.content.as_ref().or(self.key.as_ref())
    }
}

fn reason(step: &StepRecord, before: Option<&StepRecord>, changes: &[Change]) -> String {
    let kinds: BTreeSet<_> = changes.iter().map(|change| change.what).collect();
    let kinds = kinds.into_iter().collect::<Vec<_>>().join(", ");
    let is_same = before.is_some_and(|before| before.key.is_some() && before.key == step.key);
    match (step.verdict, before) {
        (Verdict::Hit, _) if changes.is_empty() || is_same => "the same step is recorded".to_owned(),
        (Verdict::Hit, _) => format!("the same step is recorded, of another build than the last: {kinds}"),
        (Verdict::Traced, _) => "all that its command looks at is the same".to_owned(),
        (Verdict::Ignored, _) => "records were not to be taken (--no-cache, --no-cache-filter)".to_owned(),
        (Verdict::TooOld, _) => "its record is older than --cache-ttl".to_owned(),
        (Verdict::LayerGone, _) => "its record is there, and its layer is not".to_owned(),
        (Verdict::Damaged, _) => "its record is damaged".to_owned(),
        (Verdict::Unasked, _) if changes.is_empty() => "nothing to look up".to_owned(),
        (Verdict::Unknown, None) => "no build that is recorded had this step".to_owned(),
        (Verdict::Unknown, Some(before)) if is_same && before.verdict == Verdict::Unknown => {
            "nothing changed; it did not succeed then, or its record was removed".to_owned()
        }
        (Verdict::Unknown, Some(_)) if is_same => "nothing changed; its record was removed".to_owned(),
        (Verdict::Unknown, Some(_)) if changes.is_empty() => {
            "another key than then, and what it was made of is not recorded".to_owned()
        }
        (Verdict::Unasked, _) | (Verdict::Unknown, Some(_)) => format!("changed: {kinds}"),
    }
}

/// A step and the one before it, each in its build.
struct Pair<'a> {
    new: (&'a BuildRecord, &'a StepRecord),
    old: (&'a BuildRecord, &'a StepRecord),
}

impl Pair<'_> {
    fn changes(&self, table: &dyn Fn(&CacheKey) -> Option<Table>) -> Vec<Change> {
        let (old, new) = (self.old.1, self.new.1);
        let mut changes = Vec::new();
        if old.base != new.base {
            changes.push(Change { what: "base", name: None, from: old.base.clone(), to: new.base.clone() });
        }
        if let Some((path, change)) = &new.looked {
            let (name, to) = (Some(path.clone()), Some(change.clone()));
            changes.push(Change { what: "looked at", name, from: None, to });
        }
        if old.inputs.is_null() || new.inputs.is_null() {
            return changes;
        }
        for what in ["instruction", "platform", "author"] {
            let (from, to) = (old.input(what), new.input(what));
            if from != to {
                changes.push(Change { what, name: None, from, to });
            }
        }
        changes.extend(self.parent());
        changes.extend(self.settings());
        changes.extend(self.config());
        changes.extend(self.files(table));
        changes
    }

    /// The layers below, and the first step that made another one.
    fn parent(&self) -> Option<Change> {
        let ((old_build, old), (new_build, new)) = (self.old, self.new);
        let (from, to) = (old.input("parent"), new.input("parent"));
        if from == to {
            return None;
        }
        let above = |build: &'_ BuildRecord, step: &StepRecord| -> Vec<(String, String)> {
            let own = build
                .steps
                .iter()
                .filter(|other| other.platform == step.platform && other.stage == step.stage);
            let upper = own.take_while(|other| *other != step);
            let made = |step: &StepRecord| {
                step.base
                    .clone()
                    .or_else(|| step.layer.map(|layer| layer.diff_id.0.to_string()))
                    .unwrap_or_default()
            };
            upper.map(|step| (step.text.clone(), made(step))).filter(|(_, made)| !made.is_empty()).collect()
        };
        let (old, new) = (above(old_build, old), above(new_build, new));
        let first = new
            .iter()
            .enumerate()
            .find(|(number, (_, made))| old.get(*number).is_none_or(|old| old.1 != *made));
        let name = first.map(|(_, (text, _))| format!("since {}", text.lines().next().unwrap_or_default()));
        Some(Change { what: "layers below", name, from, to })
    }

    /// What else decides the result: mounts, the network, names. Those are lists of words.
    fn settings(&self) -> Vec<Change> {
        let words = |step: &StepRecord| -> Vec<String> {
            let words = step.inputs.get("settings").and_then(Value::as_array).cloned().unwrap_or_default();
            words.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let (old, new) = (words(self.old.1), words(self.new.1));
        if old == new || self.old.1.input("instruction") != self.new.1.input("instruction") {
            return Vec::new();
        }
        let gone = old.iter().filter(|word| !new.contains(word));
        let come = new.iter().filter(|word| !old.contains(word));
        let change = |from, to| Change { what: "setting", name: None, from, to };
        let gone = gone.map(|word| change(Some(word.clone()), None));
        gone.chain(come.map(|word| change(None, Some(word.clone())))).collect()
    }

    /// Fields of the config, variables one by one.
    fn config(&self) -> Vec<Change> {
        let fields = |(build, step): (&BuildRecord, &StepRecord)| {
            let config = step.config.as_ref().and_then(|name| build.configs.get(name));
            config.map(flat).unwrap_or_default()
        };
        let (old, new) = (fields(self.old), fields(self.new));
        differences("config", &old, &new)
    }

    /// What it reads, path by path where both tables are kept.
    fn files(&self, table: &dyn Fn(&CacheKey) -> Option<Table>) -> Vec<Change> {
        let (old, new) = (self.old.1, self.new.1);
        if old.read_by() == new.read_by() {
            return Vec::new();
        }
        let (from, to) = (old.input("inputs"), new.input("inputs"));
        let told = old.read_by().and_then(table).zip(new.read_by().and_then(table));
        let files = told.map(|(old, new)| differences("file", &old.0, &new.0)).unwrap_or_default();
        if files.is_empty() && from != to {
            return vec![Change { what: "what it reads", name: None, from, to }];
        }
        files
    }
}

fn differences(
    what: &'static str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> Vec<Change> {
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let changed = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let change = |name: &String| Change {
        what,
        name: Some(name.clone()),
        from: old.get(name).cloned(),
        to: new.get(name).cloned(),
    };
    changed.map(change).collect()
}

/// The fields of a config by name; of lists and maps each row.
fn flat(config: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut fields = BTreeMap::new();
    for (name, value) in config.as_object().into_iter().flatten() {
        match value {
            Value::Array(rows) if name == "Env" => {
                for row in rows.iter().filter_map(Value::as_str) {
                    let (variable, value) = row.split_once('=').unwrap_or((row, ""));
                    fields.insert(format!("Env {variable}"), value.to_owned());
                }
            }
            Value::Object(rows) => {
                fields.extend(rows.iter().map(|(row, value)| (format!("{name} {row}"), text(value))));
            }
            value => {
                fields.insert(name.clone(), text(value));
            }
        }
    }
    fields
}
