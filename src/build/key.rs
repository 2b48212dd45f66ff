//! Cache keys: what a step is, in one hash.
//!
//! A key covers the parent (chain id and config), the platform, the instruction after expansion and what
//! it reads. Secrets, proxies, cache mounts and modification times are never part of one.
//!
//! A step that reads files has a key over their *content*. One that reads files of layers, or files of the web whose
//! digest is known, has another before it, over their *names*: the digests of the layers and of the files. It is an alias, and
//! whoever finds it need not have those files at hand.

use serde::Serialize;

use crate::oci::{ChainId, ContainerConfig, Platform};
use crate::store::CacheKey;

/// Raise it when the meaning of a step changes: older records are then never found.
const VERSION: u32 = 5;

/// Everything a key covers.
#[derive(Serialize)]
pub(super) struct Ingredients<'a> {
    pub version: u32,
    pub platform: &'a Platform,
    pub parent: Option<ChainId>,
    pub config: &'a ContainerConfig,
    pub author: Option<&'a str>,
    /// The instruction after expansion.
    pub instruction: &'a str,
    /// Whatever else decides the result: mounts, network, names of machines, heredoc bodies.
    pub settings: &'a [String],
    /// A digest of the files that are read, with the kind of digest.
    pub inputs: Option<Inputs>,
}

/// A digest of the files a step reads.
#[derive(Clone, Copy, Serialize)]
pub(super) enum Inputs {
    /// Path, type, mode, owner, extended attributes and bytes.
    Content([u8; 32]),
    /// The digests of the layers and of the fetched files that have them.
    Named([u8; 32]),
}

impl<'a> Ingredients<'a> {
    pub(super) fn new(
        platform: &'a Platform,
        parent: Option<ChainId>,
        config: &'a ContainerConfig,
        author: Option<&'a str>,
        instruction: &'a str,
    ) -> Self {
        Self { version: VERSION, platform, parent, config, author, instruction, settings: &[], inputs: None }
    }

    /// The key, and the text that it is of. Field names and lengths are part of the text, so no two different sets run
    /// together.
    pub(super) fn key(&self) -> (CacheKey, Vec<u8>) {
        let text = serde_json::to_vec(self)
            .expect("ingredients hold only strings, numbers and maps with string keys");
        (CacheKey(blake3::hash(&text).to_hex().to_string()), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ingredient_changes_the_key() {
        let amd64: Platform = "linux/amd64".parse().unwrap();
        let arm64: Platform = "linux/arm64".parse().unwrap();
        let plain = ContainerConfig::default();
        let user = ContainerConfig { user: "a".into(), ..Default::default() };
        let parent = ChainId::of(&[crate::oci::DiffId(crate::oci::Digest::of(b"x"))]);
        let settings = ["a".to_owned()];
        let base = || Ingredients::new(&amd64, None, &plain, None, "RUN x");
        let rows = [
            ("nothing", base()),
            ("platform", Ingredients { platform: &arm64, ..base() }),
            ("parent", Ingredients { parent, ..base() }),
            ("config", Ingredients { config: &user, ..base() }),
            ("author", Ingredients { author: Some("a"), ..base() }),
            ("instruction", Ingredients { instruction: "RUN y", ..base() }),
            ("settings", Ingredients { settings: &settings, ..base() }),
            ("content", Ingredients { inputs: Some(Inputs::Content([1; 32])), ..base() }),
            ("named", Ingredients { inputs: Some(Inputs::Named([1; 32])), ..base() }),
        ];
        for (i, (name, row)) in rows.iter().enumerate() {
            for (other_name, other) in &rows[..i] {
                assert_ne!(row.key().0, other.key().0, "{name} and {other_name}");
            }
        }
        assert_eq!(base().key().0, base().key().0);
    }
}
