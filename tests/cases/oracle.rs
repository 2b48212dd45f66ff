//! The peers, asked.

use crate::builder::{Builder, build_all};
use crate::case::Case;
use crate::expectation::{Difference, Expectation};
use crate::outcome::{Outcome, difference};
use crate::{GROUPS, support};

/// Cases of every group, with and without RUN, that the peer is asked about wherever the tests run.
const SAMPLE: [&str; 17] = [
    "syntax/a-byte-order-mark-before-a-directive",
    "heredoc/tabs-are-stripped",
    "expansion/all-matches-replaced",
    "from/a-stage-passes-on-everything",
    "arg/global-yields-to-a-default-of-the-stage",
    "env/the-old-form-with-quotes",
    "run/a-directory-replaced-by-another",
    "run/hard-links",
    "mount/a-stage",
    "copy/directories-within-take-the-mode-of-the-source",
    "copy/owner-by-names",
    "add/a-tar-over-what-is-there",
    "metadata/everything-is-passed-on",
    "ignored/an-exception-from-an-exception",
    "script/a-file-is-copied-with-owner-and-mode",
    "script/containers-are-listed",
    "script/settings-are-taken-back",
];

#[test]
fn a_sample_is_what_buildah_makes_of_it() {
    if support::provided("RBUILD_TEST_REGISTRY").is_none() {
        return; // buildah is there where that is
    }
    let cases: Vec<Case> =
        SAMPLE.iter().map(|name| Case { folder: format!("{}/{name}", crate::case::ROOT).into() }).collect();
    let outcomes = build_all(Builder::Buildah, &cases);
    let wrong: Vec<String> = cases
        .iter()
        .zip(&outcomes)
        .filter_map(|(case, outcome)| disagreement(case, Builder::Buildah, outcome))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What the peer makes of a case that is neither expected nor among its recorded differences.
fn disagreement(case: &Case, peer: Builder, outcome: &Outcome) -> Option<String> {
    if !case.is_for(peer) {
        return None;
    }
    let expected = Expectation::read(&case.folder);
    let found = difference(&expected.lines, &outcome.lines());
    let recorded = expected.differs.iter().find(|differs| differs.peer == peer.name());
    let recorded = recorded.map(|differs| differs.lines.clone()).unwrap_or_default();
    (found != recorded).then(|| format!("{}: {}:\n{}", case.name(), peer.name(), found.join("\n")))
}

/// `contrib/oracle`: compares the peers that `RBUILD_CASES_PEERS` names with what is recorded about them, or writes it
/// down where `RBUILD_CASES_RECORD` is set, together with what rbuild gives. A difference that is new has the reason
/// `?` then, which the tests do not accept: a person has to say why, or mend it.
#[test]
fn all_cases_are_what_the_peers_make_of_them() {
    let Ok(peers) = std::env::var("RBUILD_CASES_PEERS") else {
        eprintln!("skipped: contrib/oracle asks the peers about all cases");
        return;
    };
    let peers: Vec<Builder> = [Builder::Buildah, Builder::Buildkit]
        .into_iter()
        .filter(|peer| peers.split_whitespace().any(|name| name == peer.name()))
        .collect();
    let cases: Vec<Case> = GROUPS.iter().flat_map(|group| Case::of_group(group)).collect();
    let outcomes: Vec<(Builder, Vec<Outcome>)> =
        peers.iter().map(|&peer| (peer, build_all(peer, &cases))).collect();
    if std::env::var_os("RBUILD_CASES_RECORD").is_some() {
        for (index, (case, own)) in cases.iter().zip(build_all(Builder::Rbuild, &cases)).enumerate() {
            let peers = outcomes.iter().map(|(peer, outcomes)| (*peer, &outcomes[index]));
            record(case, &own, peers);
        }
        return;
    }
    let of_peer = |(peer, outcomes): &(Builder, Vec<Outcome>)| -> Vec<String> {
        cases.iter().zip(outcomes).filter_map(|(case, outcome)| disagreement(case, *peer, outcome)).collect()
    };
    let wrong: Vec<String> = outcomes.iter().flat_map(of_peer).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn record<'a>(case: &Case, own: &Outcome, peers: impl Iterator<Item = (Builder, &'a Outcome)>) {
    let mut expected = Expectation::read(&case.folder);
    expected.lines = own.lines();
    for (peer, outcome) in peers.filter(|(peer, _)| case.is_for(*peer)) {
        let name = peer.name().to_owned();
        let known = expected.differs.iter().position(|differs| differs.peer == name);
        let known = known.map(|index| expected.differs.remove(index));
        expected.agrees.retain(|agrees| *agrees != name);
        let lines = difference(&expected.lines, &outcome.lines());
        if lines.is_empty() {
            expected.agrees.push(name);
        } else {
            // The reason of another difference is no reason.
            let same = known.filter(|known| known.lines == lines || known.lines.is_empty());
            let reason = same.map_or_else(|| "?".to_owned(), |known| known.reason);
            expected.differs.push(Difference { peer: name, reason, lines });
        }
    }
    expected.agrees.sort();
    expected.differs.sort_by(|a, b| a.peer.cmp(&b.peer));
    expected.write(&case.folder);
}
