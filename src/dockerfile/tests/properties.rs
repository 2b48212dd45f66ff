//! Whatever the input, nothing panics and every place lies in the source.

use crate::dockerfile::{
    IgnoreFile, expand, expand_heredoc, expand_words, glob, parse, parse_onbuild, render_excerpt,
};
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

fn check_places(text: &str) {
    match parse(text) {
        Ok(file) => {
            for step in file.stages.iter().flat_map(|stage| &stage.steps).chain(&file.global_args) {
                assert!(text.get(step.span.bytes()).is_some(), "{step:?}");
                let lines = text[..step.span.start].matches('\n').count() + 1;
                assert_eq!(step.span.first_line, lines, "{step:?}");
            }
        }
        Err(diagnostics) => {
            assert!(!diagnostics.0.is_empty());
            for diagnostic in &diagnostics.0 {
                assert!(text.get(diagnostic.span.bytes()).is_some(), "{diagnostic:?}");
                render_excerpt(text, "f", &diagnostic.span);
            }
        }
    }
}

proptest! {
    #[test]
    fn parse_never_panics(text in any::<String>()) {
        check_places(&text);
    }

    #[test]
    fn parse_never_panics_on_likely_text(text in dockerfile_like()) {
        check_places(&text);
        check_places(&format!("FROM a\n{text}"));
        let _ = parse_onbuild(&text, '`').map_err(|error| error.render(&text, "f"));
    }

    #[test]
    fn expand_never_panics(word in word_like(), any in any::<String>()) {
        let env = |name: &str| (name != "b").then(|| "aabca*".to_owned());
        for word in [&word, &any] {
            for escape in ['\\', '`'] {
                let _ = expand(word, escape, &env);
                let _ = expand_words(word, escape, &env);
            }
            let _ = expand_heredoc(word, &env);
        }
    }

    #[test]
    fn matching_never_panics(pattern in "[!*?\\[\\]^\\\\/.a-bä-]{0,12}", path in "[ab./\\[-]{0,12}") {
        let _ = glob::matches(&pattern, &path);
        if let Ok(file) = IgnoreFile::parse(&pattern) {
            file.ignores(&path);
            file.can_skip_dir(&path);
        }
    }

    #[test]
    fn a_skipped_directory_holds_nothing(
        lines in prop::collection::vec("!?(\\*\\*|[ab*?]{1,2})(/(\\*\\*|[ab*?]{1,2})){0,2}", 0..5),
        directory in "[ab]{1,2}(/[ab]{1,2})?",
        below in "[ab]{1,2}(/[ab]{1,2}){0,2}",
    ) {
        let file = IgnoreFile::parse(&lines.join("\n")).unwrap();
        if file.can_skip_dir(&directory) {
            let path = format!("{directory}/{below}");
            prop_assert!(file.ignores(&path), "{path}");
        }
    }
}
