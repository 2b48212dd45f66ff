//! Expansion, row by row.

use crate::dockerfile::{expand, expand_heredoc, expand_words};

fn env(name: &str) -> Option<String> {
    let value = match name {
        "v" => "value",
        "empty" => "",
        "path" => "/usr/local/bin/x.tar.gz",
        "star" => "a*b?c\\d",
        "braces" => "a}b{c",
        "ports" => "80  443/tcp",
        "1" => "one",
        "@" => "at",
        "_x9" => "under",
        "dollar" => "$v",
        "ä" => "never",
        _ => return None,
    };
    Some(value.to_owned())
}

#[test]
fn words_expand() {
    for (word, expected) in [
        ("", ""),
        ("plain", "plain"),
        ("$v", "value"),
        ("${v}", "value"),
        ("a${v}b$v-c", "avaluebvalue-c"),
        ("$unset", ""),
        ("${unset}x", "x"),
        ("$_x9", "under"),
        ("$1x", "onex"),
        ("$@", "at"),
        ("${@}", "at"),
        ("$", "$"),
        ("a$", "a$"),
        ("$.x", "$.x"),
        ("$ä", "$ä"),
        ("$dollar", "$v"),
        ("${v:-w}", "value"),
        ("${empty:-w}", "w"),
        ("${unset:-w}", "w"),
        ("${empty-w}", ""),
        ("${unset-w}", "w"),
        ("${unset:-}", ""),
        ("${unset:-$v}", "value"),
        ("${unset:-${empty:-${v}}}", "value"),
        ("${unset:-a b}", "a b"),
        ("${unset:-'}'}", "}"),
        ("${unset:-a\\}b}", "a}b"),
        ("${unset:-\"$v\"}", "value"),
        ("${v:+w}", "w"),
        ("${empty:+w}", ""),
        ("${unset:+w}", ""),
        ("${v+w}", "w"),
        ("${empty+w}", "w"),
        ("${unset+w}", ""),
        ("${v:?m}", "value"),
        ("${empty?m}", ""),
        ("${path#*/}", "usr/local/bin/x.tar.gz"),
        ("${path##*/}", "x.tar.gz"),
        ("${path%.*}", "/usr/local/bin/x.tar"),
        ("${path%%.*}", "/usr/local/bin/x"),
        ("${path#/usr}", "/local/bin/x.tar.gz"),
        ("${path#nope}", "/usr/local/bin/x.tar.gz"),
        ("${path%/???????*}", "/usr/local/bin"),
        ("${v#?}", "alue"),
        ("${v##*}", ""),
        ("${v#*}", "value"),
        ("${v%}", "value"),
        ("${v#[uvw]}", "value"),
        ("${v%$1}", "value"),
        ("${unset#x}", ""),
        ("${star#a\\*}", "b?c\\d"),
        ("${star#a\\?}", "a*b?c\\d"),
        ("${star%c\\\\d}", "a*b?"),
        ("${braces#a\\}}", "b{c"),
        ("${v/a/A}", "vAlue"),
        ("${v/u*/}", "val"),
        ("${path/\\//:}", ":usr/local/bin/x.tar.gz"),
        ("${path//\\//:}", ":usr:local:bin:x.tar.gz"),
        ("${v//[a-z]/x}", "value"),
        ("${v//?/x}", "xxxxx"),
        ("${v/a/$1}", "vonelue"),
        ("${v/a/\\}}", "v}lue"),
        ("${v/${unset:-l}/$dollar}", "va$vue"),
        ("${unset/a/b}", ""),
        ("'$v \"x\" \\n'", "$v \"x\" \\n"),
        ("$'v'", "$v"),
        ("\"$v\"", "value"),
        ("\"a\\\"b\\$v\\\\c\\d'\"", "a\"b$v\\c\\d'"),
        ("a\"b\"'c'd", "abcd"),
        ("\\$v", "$v"),
        ("\\a\\\\b\\\"", "a\\b\""),
        ("a\\", "a"),
    ] {
        let value = expand(word, '\\', &env).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(value, expected, "{word}");
    }
}

#[test]
fn the_escape_may_be_a_backtick() {
    for (word, expected) in [
        ("c:\\$v", "c:\\value"),
        ("`$v", "$v"),
        ("\"`$v`\"\\n\"", "$v\"\\n"),
        ("${unset:-`}}", "}"),
        ("``", "`"),
    ] {
        assert_eq!(expand(word, '`', &env).unwrap(), expected, "{word}");
    }
}

#[test]
fn bad_words_say_why() {
    for (word, reason) in [
        ("${v", "syntax error: missing '}'"),
        ("${", "syntax error: missing '}'"),
        ("${v:", "syntax error: missing '}'"),
        ("${v:-x", "syntax error: missing '}'"),
        ("${v#x", "syntax error: missing '}'"),
        ("${v/a/b", "syntax error: missing '}'"),
        ("${v/a}", "syntax error: missing '/' in ${}"),
        ("${}", "syntax error: bad substitution"),
        ("${:}", "syntax error: bad substitution"),
        ("${{v}}", "syntax error: bad substitution"),
        ("${ v}", "syntax error: bad substitution"),
        ("${v:#}", "unsupported modifier (:#) in substitution"),
        ("${v^}", "unsupported modifier (^) in substitution"),
        ("${v:0:1}", "unsupported modifier (:0) in substitution"),
        ("${empty:?}", "empty: is not allowed to be empty"),
        ("${unset:?}", "unset: is not allowed to be unset"),
        ("${unset?}", "unset: is not allowed to be unset"),
        ("${unset:?set $1 first}", "unset: set one first"),
        ("'x", "unexpected end of statement while looking for matching single-quote"),
        ("\"x", "unexpected end of statement while looking for matching double-quote"),
        ("\"x\\", "unexpected end of statement while looking for matching double-quote"),
        ("${unset:-'x}", "unexpected end of statement while looking for matching single-quote"),
    ] {
        let error = expand(word, '\\', &env).expect_err(word);
        assert_eq!(error.reason.to_string(), reason, "{word}");
        assert_eq!(error.to_string(), format!("process {word:?}: {reason}"));
    }
}

#[test]
fn only_expose_splits_values() {
    for (word, expected) in [
        ("$ports", &["80", "443/tcp"][..]),
        ("\"$ports\"", &["80  443/tcp"]),
        ("1-$ports", &["1-80", "443/tcp"]),
        ("a\\ b", &["a b"]),
        ("$unset", &[]),
        ("''", &[]),
        (" a  b ", &["a", "b"]),
    ] {
        assert_eq!(expand_words(word, '\\', &env).unwrap(), expected, "{word}");
    }
}

#[test]
fn documents_keep_quotes_and_backslashes() {
    for (body, expected) in [
        ("a '$v' \"${v}\"\n", "a 'value' \"value\"\n"),
        ("\\$v \\\\ \\n \\'", "$v \\ \\n \\'"),
        ("it's\n", "it's\n"),
        ("a\\", "a\\"),
        ("\\\n", "\\\n"),
        ("${unset:-it's}", "it's"),
        ("${v#v}", "alue"),
    ] {
        assert_eq!(expand_heredoc(body, &env).unwrap(), expected, "{body:?}");
    }
    assert!(expand_heredoc("${v", &env).is_err());
}

#[test]
fn nesting_and_length_are_bounded() {
    let nested = |depth: usize| format!("{}x{}", "${unset:-".repeat(depth), "}".repeat(depth));
    assert_eq!(expand(&nested(60), '\\', &env).unwrap(), "x");
    for depth in [100, 10_000] {
        let error = expand(&nested(depth), '\\', &env).expect_err("too deep");
        assert_eq!(error.reason.to_string(), "substitutions nested more than 64 deep");
    }
    let big = |_: &str| Some("x".repeat(1 << 20));
    for word in
        ["$a".repeat(17), format!("\"{}\"", "$a".repeat(17)), format!("${{a//x/{}}}", "y".repeat(100))]
    {
        let error = expand(&word, '\\', &big).expect_err("too long");
        assert_eq!(error.reason.to_string(), "value longer than 16777216 bytes");
        let error = expand_words(&word, '\\', &big).expect_err("too long");
        assert_eq!(error.reason.to_string(), "value longer than 16777216 bytes");
    }
}
