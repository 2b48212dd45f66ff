//! Ignore files, row by row.

use crate::dockerfile::IgnoreFile;

fn file(text: &str) -> IgnoreFile {
    IgnoreFile::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn the_last_matching_pattern_decides() {
    for (text, path, ignored) in [
        ("", "a", false),
        ("a", "a", true),
        ("a", "a/b/c", true),
        ("a", "ab", false),
        ("a", "b/a", false),
        ("/a", "a", true),
        ("./a", "a", true),
        ("a/", "a/b", true),
        ("a//b/../c/", "a/c", true),
        ("a/./b", "a/b", true),
        ("../a", "a", false),
        ("/../a", "a", true),
        ("  a  \r\n", "a", true),
        ("\u{feff}a", "a", true),
        ("# a\n#b", "#b", false),
        (" #b", "#b", true),
        ("*", "a", true),
        ("*", ".git/config", true),
        ("*.md", "README.md", true),
        ("*.md", "docs/a.md", false),
        ("**/*.md", "docs/x/a.md", true),
        ("**/*.md", "a.md", true),
        ("**.md", "docs/x/a.md", true),
        ("**", "a/b", true),
        ("**/foo", "foo", true),
        ("**/foo", "a/b/foo/c", true),
        ("**/foo", "afoo", false),
        ("**foo", "a/bfoo", true),
        ("a/**", "a/b/c", true),
        ("a/**", "a", false),
        ("a/**/b", "a/b", true),
        ("a/**/b", "a/x/y/b/z", true),
        ("a**b", "ab", true),
        ("a**b", "ax/b", true),
        ("a**b", "axb", false),
        ("foo**", "foobar/x", true),
        ("*/b", "a/b/c", true),
        ("*/b", "b", false),
        ("a?", "ab", true),
        ("a?", "a/", false),
        ("a?c", "a/c", false),
        ("[a-c]x", "bx", true),
        ("[^a-c]x", "bx", false),
        ("[^a-c]x", "dx", true),
        ("[[]x", "[x", true),
        ("[&~^]x", "^x", true),
        ("\\*a", "*a", true),
        ("\\*a", "ba", false),
        ("a\\ b", "a b", true),
        ("{a,b}", "a", false),
        ("{a,b}", "{a,b}", true),
        ("a.b+c$", "a.b+c$", true),
        ("a.b", "axb", false),
        ("ä*", "äö", true),
        ("a\n!a/b", "a/b", false),
        ("a\n!a/b", "a/b/c", false),
        ("a\n!a/b", "a/c", true),
        ("a\n!a/b\na/b/c", "a/b/c", true),
        ("!a\na", "a", true),
        ("*\n!*.go\n!src", "src/x", false),
        ("*\n! src", "src", false),
        ("!a", "b", false),
        (".", "a", false),
        ("/", "a", false),
        ("**", ".", false),
        ("*", "", false),
        ("Dockerfile\n.dockerignore", "Dockerfile", true),
    ] {
        assert_eq!(file(text).ignores(path), ignored, "{text:?} on {path:?}");
    }
}

#[test]
fn a_directory_is_skipped_when_no_exception_can_match_below() {
    for (text, directory, skip) in [
        ("a", "a", true),
        ("a", "b", false),
        ("a/*", "a", false),
        ("*\n!b", "a", true),
        ("*\n!a/b", "a", false),
        ("*\n!a/b/c", "a/b", false),
        ("*\n!a/b/c", "a/x", true),
        ("*\n!a/b", "a/b", false),
        ("*\n!**/x", "a", false),
        ("*\n!a*/x", "abc", false),
        ("*\n!a*/x", "bcd", true),
        ("!a/b\n*", "a", true),
        ("*\n!a/b\na", "a", true),
        ("*\n![ab]/x", "a", false),
        ("*\n!.", "a", true),
    ] {
        assert_eq!(file(text).can_skip_dir(directory), skip, "{text:?} on {directory:?}");
    }
}

#[test]
fn bad_patterns_name_their_line() {
    for (text, message) in [
        ("a\n!", "line 2: illegal exclusion pattern: \"!\""),
        ("! ", "line 1: illegal exclusion pattern: \"!\""),
        ("a\n\n[", "line 3: syntax error in pattern \"[\""),
        ("a[]", "line 1: syntax error in pattern \"a[]\""),
        ("a\\", "line 1: syntax error in pattern \"a\\\\\""),
    ] {
        assert_eq!(IgnoreFile::parse(text).expect_err(text).to_string(), message, "{text:?}");
    }
}
