//! The Dockerfile language, case by case, beside other builders.
//!
//! A case is a folder `tests/cases/GROUP/NAME`; its name says which corner of the language it is about.
//!
//! | file | |
//! |---|---|
//! | `Dockerfile` | what is built |
//! | `context/` | the build context, if it has files |
//! | `setup` | a script run in a copy of the context, for what a repository cannot hold: modes, hard links, archives |
//! | `script` | instead of a Dockerfile: a shell script that calls `buildah`, and may leave an image called `$IMAGE` |
//! | `args` | further arguments of the build, one on a line |
//! | `Dockerfile.peer` | the same image in words that the peers know, where the case is about words that they do not |
//! | `expected` | the image: its config, and every entry in which its tree is not that of the base; or the refusal |
//! | `differs` | each peer that makes something else of it: which, why, and the lines of the difference |
//!
//! `expected` begins with the peers that gave the very same when they were last asked. rbuild is held against every case
//! by these tests. The peers, buildah and the BuildKit of docker, are asked by `contrib/oracle`, and buildah about some
//! cases by a test here.
//!
//! Times, layers and histories are not compared: each builder has its own.

mod builder;
mod case;
mod expectation;
mod oracle;
mod outcome;
#[path = "../e2e/support.rs"]
#[expect(dead_code, reason = "the other suite uses the rest")]
mod support;

use builder::Builder;
use case::Case;
use expectation::Expectation;
use outcome::Outcome;

/// The image that cases with a shell start from: a busybox, some users, and files to collide with.
const BASE: &str = "localhost/cases/base";

/// Builds every case of a group and names those that came out otherwise than recorded.
fn hold(group: &str) {
    let cases = Case::of_group(group);
    let mut wrong = Vec::new();
    for (case, outcome) in cases.iter().zip(builder::build_all(Builder::Rbuild, &cases)) {
        let expected = Expectation::read(&case.folder);
        if outcome.lines() != expected.lines {
            let changes = outcome::changes(&expected.lines, &outcome.lines()).join("\n");
            wrong.push(format!("{}:\n{changes}", case.name()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}

macro_rules! groups {
    ($($group:ident)*) => {
        const GROUPS: &[&str] = &[$(stringify!($group)),*];

        $(#[test]
        fn $group() {
            hold(stringify!($group));
        })*
    };
}

groups! { syntax heredoc expansion from arg env run mount copy add metadata onbuild ignored script }

#[test]
fn every_folder_is_a_case_that_says_what_is_expected() {
    let mut groups: Vec<String> = case::folders(case::ROOT.as_ref());
    groups.retain(|group| group != "base");
    let mut known: Vec<&str> = GROUPS.to_vec();
    known.sort_unstable();
    assert_eq!(groups, known);
    let cases: Vec<Case> = GROUPS.iter().flat_map(|group| Case::of_group(group)).collect();
    for case in &cases {
        let expected = Expectation::read(&case.folder);
        assert!(!expected.lines.is_empty(), "{}: nothing is expected", case.name());
        let ends_well = expected.lines.first().is_some_and(|line| line == "exit 0");
        assert!(ends_well || !case.is_script(), "{}: a script goes to its end", case.name());
        for Expectation { agrees, differs, .. } in [&expected] {
            let peers = [Builder::Buildah, Builder::Buildkit].into_iter();
            for peer in peers.filter(|peer| case.is_for(*peer)).map(Builder::name) {
                let (same, other) =
                    (agrees.iter().any(|name| name == peer), differs.iter().find(|d| d.peer == peer));
                assert!(same != other.is_some(), "{}: {peer} agrees or differs", case.name());
                assert!(other.is_none_or(|d| d.reason.len() > 9), "{}: why does {peer} differ?", case.name());
            }
        }
    }
    assert!(cases.len() >= 250, "{} cases", cases.len());
}
