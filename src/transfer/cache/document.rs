//! The document of a cache: records, and the layers that they name.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::oci::DiffId;
use crate::store::{CacheKey, CacheRecord, LayerRecord};

const VERSION: u32 = 1;
/// More would not fit into a manifest that every registry takes, 4 MiB.
const MOST_LAYERS: usize = 10_000;

/// Records of a build cache, and the layers that they name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheDocument {
    version: u32,
    pub(super) layers: Vec<LayerRecord>,
    records: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    key: String,
    /// A place in `layers`.
    layer: Option<usize>,
    created: String,
    /// The key over the content, where this one is over names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alias_of: Option<String>,
}

impl CacheDocument {
    /// The document of `records`, the newest of them if there are more layers than a manifest holds. Of two records with
    /// one key the first counts.
    pub fn of<'r>(records: impl IntoIterator<Item = (&'r CacheKey, &'r CacheRecord)>) -> Self {
        let mut by_key: BTreeMap<&str, &CacheRecord> = BTreeMap::new();
        for (key, record) in records {
            by_key.entry(&key.0).or_insert(record);
        }
        let mut newest: Vec<_> = by_key.into_iter().collect();
        // RFC 3339 in UTC sorts as time does; the sort is stable, so equal times keep the order of the keys.
        newest.sort_by(|(_, a), (_, b)| b.created.cmp(&a.created));
        let mut document = Self { version: VERSION, layers: Vec::new(), records: Vec::new() };
        let mut places: HashMap<DiffId, usize> = HashMap::new();
        for (key, record) in newest {
            let layer = record.layer.map(|layer| {
                *places.entry(layer.diff_id).or_insert_with(|| {
                    document.layers.push(layer);
                    document.layers.len() - 1
                })
            });
            let (key, created) = (key.to_owned(), record.created.clone());
            let alias_of = record.alias_of.as_ref().map(|key| key.0.clone());
            document.records.push(Row { key, layer, created, alias_of });
            if document.layers.len() == MOST_LAYERS {
                break;
            }
        }
        document
    }

    /// Reads a document. The text says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let document: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        document.check().map(|()| document)
    }

    fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!("it is of version {}, this rbuild knows {VERSION}", self.version));
        }
        let mut diff_ids = HashSet::new();
        if let Some(twice) = self.layers.iter().find(|layer| !diff_ids.insert(layer.diff_id)) {
            return Err(format!("layer {} is in the list twice", twice.diff_id.0));
        }
        for (number, row) in self.records.iter().enumerate() {
            let wrong = |what: &str| Err(format!("record {number}: {what}"));
            let is_key = |key: &&String| {
                key.len() == 64 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            };
            if let Some(key) = row.alias_of.iter().chain([&row.key]).find(|key| !is_key(key)) {
                return wrong(&format!("{key:?} is no key"));
            }
            if row.layer.is_some_and(|layer| layer >= self.layers.len()) {
                return wrong("its layer is not in the list");
            }
            if row.created.parse::<jiff::Timestamp>().is_err() {
                return wrong(&format!("{:?} is no time", row.created));
            }
        }
        Ok(())
    }

    /// The records.
    pub(super) fn records(&self) -> impl Iterator<Item = (CacheKey, CacheRecord)> {
        self.records.iter().map(|row| {
            let layer = row.layer.map(|place| self.layers[place]);
            let alias_of = row.alias_of.clone().map(CacheKey);
            (CacheKey(row.key.clone()), CacheRecord { layer, created: row.created.clone(), alias_of })
        })
    }

    /// The bytes to hash and store.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a document holds only strings and numbers")
    }

    /// The document as a value of an image's config.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a document holds only strings and numbers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;

    fn record(bytes: &[u8], created: &str) -> CacheRecord {
        let layer = (!bytes.is_empty()).then(|| LayerRecord { diff_id: DiffId(Digest::of(bytes)), size: 7 });
        CacheRecord::new(layer, created.to_owned())
    }

    #[test]
    fn records_come_back_each_layer_once_and_the_first_of_a_key_counts() {
        let key = |digit: &str| CacheKey(digit.repeat(64));
        let (old, new) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00.5Z");
        let rows = [
            (key("a"), record(b"x", old)),
            (key("b"), record(b"x", new)),
            (key("c"), record(b"", old)),
            (key("a"), record(b"y", new)),
        ];
        let document = CacheDocument::of(rows.iter().map(|(key, record)| (key, record)));
        assert_eq!(document.layers.len(), 1);
        let read = CacheDocument::parse(&document.to_bytes()).unwrap();
        assert_eq!(read, document);
        let records: HashMap<_, _> = read.records().map(|(key, record)| (key.0, record)).collect();
        let want = rows[..3].iter().map(|(key, record)| (key.0.clone(), record.clone())).collect();
        assert_eq!(records, want);
    }

    #[test]
    fn what_is_no_document_is_told() {
        let key = "ab".repeat(32);
        let document = |version: u32, row: &str| {
            let layer = format!(r#"{{"diff_id":"{}","size":1}}"#, Digest::of(b"x"));
            format!(r#"{{"version":{version},"layers":[{layer}],"records":[{row}]}}"#)
        };
        let row = |key: &str, layer: &str, created: &str| {
            format!(r#"{{"key":"{key}","layer":{layer},"created":"{created}"}}"#)
        };
        let time = "2026-01-01T00:00:00Z";
        for (text, want) in [
            (document(1, &row(&key, "0", time)), ""),
            (document(1, &row(&key, "null", time)), ""),
            (document(2, ""), "it is of version 2, this rbuild knows 1"),
            (document(1, &row("../../x", "0", time)), "record 0: \"../../x\" is no key"),
            (document(1, &row(&key.to_uppercase(), "0", time)), "is no key"),
            (document(1, &row(&key, "1", time)), "record 0: its layer is not in the list"),
            (document(1, &row(&key, "-1", time)), "invalid value"),
            (document(1, &row(&key, "0", "yesterday")), "record 0: \"yesterday\" is no time"),
            ("{}".to_owned(), "missing field"),
            ("[".to_owned(), "EOF"),
        ] {
            let found = CacheDocument::parse(text.as_bytes()).err().unwrap_or_default();
            assert!(found.contains(want) && found.is_empty() == want.is_empty(), "{text}: {found}");
        }
    }
}
