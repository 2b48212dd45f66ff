//! Every mistake and its message.

use crate::dockerfile::{Diagnostic, parse, parse_onbuild};

/// What is wrong with `FROM x` and then `text`; the marked source stands behind the message.
fn mistakes(text: &str) -> Vec<(String, String)> {
    let source = format!("FROM x\n{text}");
    let marked = |d: Diagnostic| (d.message, source[d.span.bytes()].to_owned());
    parse(&source).map_or_else(|diagnostics| diagnostics.0.into_iter().map(marked).collect(), |_| Vec::new())
}

#[test]
fn a_mistake_is_named_and_marked() {
    for (text, message, marked) in [
        ("FORM y", "unknown instruction: FORM (did you mean FROM?)", "FORM"),
        ("apt-get x", "unknown instruction: apt-get", "apt-get"),
        ("COPY --form=y a b", "unknown flag: --form (did you mean from?)", "--form=y"),
        ("RUN --mont=x y", "unknown flag: --mont (did you mean mount?)", "--mont=x"),
        ("COPY --from=a --from=b c d", "duplicate flag specified: from", "--from=b"),
        ("COPY --chown a b", "missing a value on flag: chown", "--chown"),
        ("COPY --link= a b", "missing a value on flag: link", "--link="),
        ("COPY --link=x a b", "expecting boolean value for flag link, not: x", "--link=x"),
        ("COPY --checksum=x a b", "unknown flag: --checksum", "--checksum=x"),
        ("ADD --parents a b", "unknown flag: --parents", "--parents"),
        ("ENV --x a=b", "unknown flag: --x", "--x"),
        ("CMD --x a", "unknown flag: --x", "--x"),
        (
            "RUN [\"a\", 1]",
            "when using JSON array syntax, arrays must be comprised of strings only",
            "[\"a\", 1]",
        ),
        ("ENV a", "ENV must have two arguments", "a"),
        ("ENV", "ENV requires at least one argument", "ENV"),
        ("ENV a=b c", "Syntax error - can't find = in \"c\". Must be of the form: name=value", "c"),
        ("ENV a=b =c", "ENV names can not be blank", "=c"),
        ("LABEL a", "LABEL must have two arguments", "a"),
        ("LABEL =c", "LABEL names can not be blank", "=c"),
        ("ARG", "ARG requires at least one argument", "ARG"),
        ("ARG =x", "ARG names can not be blank", "=x"),
        ("RUN cat <<EOF\nx\nEOF2", "unterminated heredoc", "cat <<EOF"),
        ("COPY <<A <<B /x\n1\nA\n2\n", "unterminated heredoc", "<<A <<B /x"),
        ("COPY x <<EOF\nEOF", "COPY cannot accept a heredoc as a destination", "x <<EOF"),
        ("ADD x <<EOF\nEOF", "ADD cannot accept a heredoc as a destination", "x <<EOF"),
        ("FROM", "FROM requires either one or three arguments", "FROM"),
        ("FROM a b", "FROM requires either one or three arguments", "a b"),
        ("FROM a AS", "FROM requires either one or three arguments", "a AS"),
        ("FROM a IS b", "FROM requires either one or three arguments", "a IS b"),
        (
            "FROM a AS 1x",
            "invalid name for build stage: \"1x\", name can't start with a number or contain symbols",
            "1x",
        ),
        (
            "FROM a AS x/y",
            "invalid name for build stage: \"x/y\", name can't start with a number or contain symbols",
            "x/y",
        ),
        ("FROM --platfrom=p a", "unknown flag: --platfrom (did you mean platform?)", "--platfrom=p"),
        (
            "COPY a",
            "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
            "a",
        ),
        ("ADD", "ADD requires at least two arguments", "ADD"),
        ("RUN", "RUN requires at least one argument", "RUN"),
        ("RUN []", "RUN requires at least one argument", "[]"),
        ("RUN --network=hots x", "unsupported network mode \"hots\" (did you mean host?)", "--network=hots"),
        ("RUN --cache=trace y", "unsupported cache mode \"trace\" (did you mean traced?)", "--cache=trace"),
        ("RUN --security=x y", "security \"x\" is not valid", "--security=x"),
        ("EXPOSE", "EXPOSE requires at least one argument", "EXPOSE"),
        ("EXPOSE 80 x/tcp $P", "invalid containerPort: x", "x/tcp"),
        ("EXPOSE 80/x", "invalid proto: x", "80/x"),
        ("STOPSIGNAL SIGFOO", "invalid signal: SIGFOO", "SIGFOO"),
        ("VOLUME", "VOLUME requires at least one argument", "VOLUME"),
        ("VOLUME []", "VOLUME requires at least one argument", "[]"),
        ("VOLUME [\"/a\", \" \"]", "VOLUME specified can not be an empty string", "[\"/a\", \" \"]"),
        ("USER", "USER requires exactly one argument", "USER"),
        ("WORKDIR", "WORKDIR requires exactly one argument", "WORKDIR"),
        ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument", "STOPSIGNAL"),
        ("MAINTAINER", "MAINTAINER requires exactly one argument", "MAINTAINER"),
        ("SHELL", "SHELL requires at least one argument", "SHELL"),
        ("SHELL []", "SHELL requires at least one argument", "[]"),
        ("SHELL bash -c", "SHELL requires the arguments to be in JSON form", "bash -c"),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument", "HEALTHCHECK"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments", "NONE x"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD", "CMD"),
        ("HEALTHCHECK CMD []", "Missing command after HEALTHCHECK CMD", "CMD []"),
        ("HEALTHCHECK curl x", "Unknown type \"CURL\" in HEALTHCHECK (try CMD)", "curl"),
        (
            "HEALTHCHECK --interval=5us CMD x",
            "Interval \"interval\" cannot be less than 1ms",
            "--interval=5us",
        ),
        ("HEALTHCHECK --timeout=5 CMD x", "missing unit in duration \"5\"", "--timeout=5"),
        ("HEALTHCHECK --timeout=5x CMD x", "unknown unit \"x\" in duration \"5x\"", "--timeout=5x"),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)", "--retries=-1"),
        ("HEALTHCHECK --retries=x CMD x", "--retries \"x\": invalid digit found in string", "--retries=x"),
        ("ONBUILD", "ONBUILD requires at least one argument", "ONBUILD"),
        ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", "ONBUILD"),
        ("ONBUILD from x", "FROM isn't allowed as an ONBUILD trigger", "from"),
        ("ONBUILD MAINTAINER x", "MAINTAINER isn't allowed as an ONBUILD trigger", "MAINTAINER"),
        ("ONBUILD RNU x", "unknown instruction: RNU (did you mean RUN?)", "RNU"),
        ("ONBUILD COPY --form=x a b", "unknown flag: --form (did you mean from?)", "--form=x"),
        ("ONBUILD RUN <<EOF\n", "unterminated heredoc", "RUN <<EOF"),
        ("RUN a \\\n  && b\n\nFROM", "FROM requires either one or three arguments", "FROM"),
        ("COPY \\\n --link=no \\\n a b", "expecting boolean value for flag link, not: no", "--link=no"),
    ] {
        assert_eq!(mistakes(text), [(message.to_owned(), marked.to_owned())], "{text:?}");
    }
}

#[test]
fn a_file_as_a_whole_can_be_wrong() {
    for (text, message, line) in [
        ("", "file with no instructions", 1),
        ("\n\n", "file with no instructions", 1),
        ("# only\n  # comments\n", "file with no instructions", 1),
        ("\\\n", "file with no instructions", 1),
        ("ARG x\n", "dockerfile contains no stages to build", 1),
        ("ARG x\nRUN y\nRUN z\n", "no build stage in current context", 2),
        ("# escape=x\nFROM a", "invalid escape token 'x' does not match ` or \\", 1),
        ("# escape=\\\n# escape=`\nFROM a", "only one escape parser directive can be used", 2),
        ("# syntax=a\n# Syntax=b\nFROM a", "only one syntax parser directive can be used", 2),
    ] {
        let diagnostics = parse(text).expect_err(text).0;
        let found: Vec<_> = diagnostics.iter().map(|d| (d.message.as_str(), d.span.first_line)).collect();
        assert_eq!(found, [(message, line)], "{text:?}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let text = "ARG =x y=\nFROM a\nRUN --x --network=z true\nFORM b\n\nENV a=b c d\nCOPY <<E /x\n";
    let lines: Vec<usize> = parse(text).expect_err(text).0.iter().map(|d| d.span.first_line).collect();
    assert_eq!(lines, [1, 3, 4, 6, 6, 7]);
}

#[test]
fn a_mistyped_first_from_is_reported_once() {
    let diagnostics = parse("FORM debian\nRUN x\nCMD y\n").expect_err("no FROM").0;
    assert_eq!(diagnostics.len(), 1, "{diagnostics:?}");
}

#[test]
fn a_line_has_a_longest_length() {
    for (length, fits) in [(65_535, true), (65_536, false)] {
        for end in ["", "\n", "\nRUN y\n"] {
            let line = format!("RUN {}", "x".repeat(length - "RUN ".len()));
            let parsed = parse(&format!("FROM a\n{line}{end}"));
            match parsed {
                Ok(_) => assert!(fits, "{length} bytes then {end:?}"),
                Err(diagnostics) => {
                    assert!(!fits, "{length} bytes then {end:?}");
                    let message = "dockerfile line greater than max allowed size of 65535";
                    assert_eq!(
                        (diagnostics.0[0].message.as_str(), diagnostics.0[0].span.first_line),
                        (message, 2)
                    );
                }
            }
        }
    }
    let body = "x".repeat(65_536);
    assert!(parse(&format!("FROM a\nCOPY <<E /x\n{body}\nE\n")).is_err(), "in a heredoc, too");
}

#[test]
fn a_stored_trigger_is_checked_again() {
    for (trigger, message) in [
        ("", "empty ONBUILD trigger"),
        ("ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("RUN x\nRUN y", "an ONBUILD trigger is one instruction, this is a second one"),
        ("RUN <<E\nx", "unterminated heredoc"),
        ("XYZZY", "unknown instruction: XYZZY"),
    ] {
        let diagnostics = parse_onbuild(trigger, '\\').expect_err(trigger);
        assert_eq!(diagnostics.0[0].message, message, "{trigger:?}");
    }
}
