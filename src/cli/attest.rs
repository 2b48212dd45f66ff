//! `bud --provenance`, `--sbom` and `--attest`.

use crate::build::{Attestations, Provenance, ProvenanceMode};

/// One attestation that is asked for, or refused.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// `None`: not wanted.
    Provenance(Option<Provenance>),
    /// Whether it is wanted.
    Sbom(bool),
}

/// `--provenance`: a truth, or `mode=` and `builder-id=`.
pub(super) fn provenance(text: &str) -> Result<Wanted, String> {
    if let Some(wanted) = truth(text) {
        let plain = Provenance { mode: ProvenanceMode::Min, builder_id: None };
        return Ok(Wanted::Provenance(wanted.then_some(plain)));
    }
    fields(text.split(','))
}

/// `--sbom`: a truth.
pub(super) fn sbom(text: &str) -> Result<Wanted, String> {
    let why =
        "expected true or false: rbuild reads the databases of packages itself, and runs no scanner for it";
    truth(text).map(Wanted::Sbom).ok_or_else(|| why.to_owned())
}

/// `--attest`: `type=provenance` or `type=sbom`, and their fields.
pub(super) fn attest(text: &str) -> Result<Wanted, String> {
    let mut words: Vec<&str> = text.split(',').collect();
    let is_kind = |word: &&str| word.starts_with("type=");
    let kind = words.iter().position(is_kind).map(|at| words.remove(at));
    let disabled = words.iter().position(|word| word.starts_with("disabled=")).map(|at| words.remove(at));
    let is_off = disabled.is_some_and(|word| truth(&word["disabled=".len()..]) != Some(false));
    match (kind, &words[..]) {
        (Some("type=sbom"), []) => Ok(Wanted::Sbom(!is_off)),
        (Some("type=sbom"), [field, ..]) => sbom(field),
        (Some("type=provenance"), _) if is_off => Ok(Wanted::Provenance(None)),
        (Some("type=provenance"), _) => fields(words.into_iter()),
        _ => Err("expected type=provenance or type=sbom".to_owned()),
    }
}

fn fields<'a>(words: impl Iterator<Item = &'a str>) -> Result<Wanted, String> {
    let mut provenance = Provenance { mode: ProvenanceMode::Min, builder_id: None };
    for word in words {
        match word.split_once('=') {
            Some(("mode", "min")) => provenance.mode = ProvenanceMode::Min,
            Some(("mode", "max")) => provenance.mode = ProvenanceMode::Max,
            Some(("version", "v1")) => {}
            Some(("version", _)) => return Err(format!("{word}: only v1 is written")),
            Some(("builder-id", id)) if !id.is_empty() => provenance.builder_id = Some(id.to_owned()),
            _ => return Err(format!("{word}: expected true, false, mode=min, mode=max or builder-id=URI")),
        }
    }
    Ok(Wanted::Provenance(Some(provenance)))
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// What is attested; of several wishes for one thing the last counts.
pub(super) fn all<'a>(wanted: impl Iterator<Item = &'a Wanted>) -> Attestations {
    let mut all = Attestations::default();
    for wanted in wanted {
        match wanted {
            Wanted::Provenance(provenance) => all.provenance.clone_from(provenance),
            Wanted::Sbom(sbom) => all.sbom = *sbom,
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read() {
        type Parse = fn(&str) -> Result<Wanted, String>;
        for (parse, text, want) in [
            (provenance as Parse, "true", Ok("Provenance(Some(Provenance { mode: Min, builder_id: None }))")),
            (provenance, "false", Ok("Provenance(None)")),
            (
                provenance,
                "mode=max,builder-id=https://ci",
                Ok("Provenance(Some(Provenance { mode: Max, builder_id: Some(\"https://ci\") }))"),
            ),
            (provenance, "mode=most", Err("mode=most: expected")),
            (provenance, "version=v0.2", Err("only v1 is written")),
            (sbom, "true", Ok("Sbom(true)")),
            (sbom, "syft", Err("runs no scanner")),
            (attest, "type=sbom", Ok("Sbom(true)")),
            (attest, "type=sbom,disabled=true", Ok("Sbom(false)")),
            (attest, "type=sbom,generator=x", Err("runs no scanner")),
            (
                attest,
                "type=provenance,mode=max",
                Ok("Provenance(Some(Provenance { mode: Max, builder_id: None }))"),
            ),
            (attest, "mode=max", Err("expected type=")),
        ] {
            match (parse(text), want) {
                (Ok(found), Ok(want)) => assert_eq!(format!("{found:?}"), want, "{text}"),
                (Err(found), Err(want)) => assert!(found.contains(want), "{text}: {found}"),
                (found, want) => panic!("{text}: {found:?}, expected {want:?}"),
            }
        }
    }
}
