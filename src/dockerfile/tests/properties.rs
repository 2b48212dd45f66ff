//! Random input for what holds for any: see [`property`].

use crate::dockerfile::{glob, property};
use proptest::prelude::*;

/// Text that looks enough like a Dockerfile to get deep into the parser.
fn dockerfile_like() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("FROM a"),
        Just("RUN "),
        Just("COPY "),
        Just("ENV "),
        Just("ONBUILD "),
        Just("HEALTHCHECK "),
        Just("CMD "),
        Just("# escape=`"),
        Just("--mount="),
        Just("--link "),
        Just("--interval=1"),
        Just("<<EOF"),
        Just("<<-'E'"),
        Just("EOF"),
        Just("\n"),
        Just("\n"),
        Just("\r\n"),
        Just("\\\n"),
        Just("`"),
        Just("\\"),
        Just("\""),
        Just("'"),
        Just("["),
        Just("]"),
        Just("$(("),
        Just("="),
        Just(" "),
        Just("\t"),
        Just("ä"),
        Just("\u{feff}"),
        Just("#"),
    ];
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

fn word_like() -> impl Strategy<Value = String> {
    "([$#%/:?+*{}'\"`\\\\ a-cä-]|\\$\\{a|\\$\\{b:-|\\$\\{a//){0,24}"
}

proptest! {
    #[test]
    fn any_text_parses_or_says_why(text in any::<String>()) {
        property::parsing(&text);
    }

    #[test]
    fn likely_text_parses_or_says_why(text in dockerfile_like()) {
        property::parsing(&text);
        property::parsing(&format!("FROM a\n{text}"));
    }

    #[test]
    fn words_expand_or_say_why(word in word_like(), value in word_like(), any in any::<String>()) {
        property::expansion(&word, &value);
        property::expansion(&any, &word);
    }

    #[test]
    fn patterns_match_or_say_why(pattern in "[!*?\\[\\]^\\\\/.a-bä-]{0,12}", path in "[ab./\\[-]{0,12}") {
        let _ = glob::matches(&pattern, &path);
        property::ignoring(&pattern, &path);
    }

    #[test]
    fn a_skipped_directory_holds_nothing(
        lines in prop::collection::vec("!?(\\*\\*|[ab*?]{1,2})(/(\\*\\*|[ab*?]{1,2})){0,2}", 0..5),
        directory in "[ab]{1,2}(/[ab]{1,2})?",
        below in "[ab]{1,2}(/[ab]{1,2}){0,2}",
    ) {
        property::ignoring(&lines.join("\n"), &format!("{directory}/{below}"));
    }
}
