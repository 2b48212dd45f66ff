//! Parser directives: `# escape=`, `# syntax=`, `# check=` at the very top of the file.

use super::Span;
use super::diagnostic::Diagnostic;
use super::source::Text;

/// What the directives of a file say.
pub(super) struct Directives {
    pub(super) escape: char,
    pub(super) check: Option<String>,
}

impl Directives {
    /// Reads the directives. The first line that is none (blank, another comment, an instruction) ends them.
    pub(super) fn parse(text: &Text, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut directives = Self { escape: '\\', check: None };
        let mut seen = Vec::new();
        let lines = (0..).map_while(|index| text.line(index));
        let found = lines.map_while(|line| directive(line, "#"));
        for (index, (name, value)) in found.enumerate() {
            let mut refuse = |message| {
                diagnostics.push(Diagnostic { span: text.line_span(index), message, hint: None });
            };
            if seen.contains(&name) {
                refuse(format!("only one {name} parser directive can be used"));
                continue;
            }
            match (name.as_str(), value) {
                ("escape", "\\") => directives.escape = '\\',
                ("escape", "`") => directives.escape = '`',
                ("escape", _) => refuse(format!("invalid escape token '{value}' does not match ` or \\")),
                ("check", _) => directives.check = Some(value.to_owned()),
                _ => {}
            }
            seen.push(name);
        }
        directives
    }
}

/// How many lines of the text, from its first on, are directives.
pub(super) fn count(text: &Text) -> usize {
    (0..).map_while(|index| text.line(index)).take_while(|line| directive(line, "#").is_some()).count()
}

/// Where the directive `# check=` stands, if the text has one.
pub(super) fn check_span(text: &Text) -> Option<Span> {
    let is_check = |line: &str| directive(line, "#").is_some_and(|(name, _)| name == "check");
    (0..count(text)).find(|&index| text.line(index).is_some_and(is_check)).map(|index| text.line_span(index))
}

/// The value of the `syntax` directive, which names the program a build file is written for.
///
/// Unlike other directives it is found behind a `#!` line, in `//` comments, and as `{"syntax": "…"}`, so that files
/// in other languages than Dockerfile can be told apart.
pub fn detect_syntax(text: &str) -> Option<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("#!") => rest,
        _ => text,
    };
    let in_comments = |comment: &'static str| {
        let mut directives = text.lines().map_while(|line| directive(line, comment));
        directives.find(|(name, _)| name == "syntax").map(|(_, value)| value.to_owned())
    };
    in_comments("#").or_else(|| in_comments("//")).or_else(|| syntax_in_json(text))
}

fn syntax_in_json(text: &str) -> Option<String> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
    Some(object.get("syntax")?.as_str()?.to_owned())
}

/// A line's directive, if it is one that is known: the name in lower case, and the value.
fn directive<'l>(line: &'l str, comment: &str) -> Option<(String, &'l str)> {
    let (name, value) = line.trim_start().strip_prefix(comment)?.split_once('=')?;
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
    (matches!(name.as_str(), "escape" | "syntax" | "check") && !value.is_empty()).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::detect_syntax;

    #[test]
    fn syntax_is_detected_in_every_notation() {
        for (text, expected) in [
            ("# syntax=docker/dockerfile:1\nFROM a", Some("docker/dockerfile:1")),
            ("#syntax = x y \r\n", Some("x y")),
            ("#!/usr/bin/env x\n#syntax=x", Some("x")),
            ("# escape=`\n# SYNTAX=x", Some("x")),
            ("// check=skip=all\n// syntax=x\nthen", Some("x")),
            ("{\"syntax\": \"x\", \"n\": 1}", Some("x")),
            ("{\"syntax\": 1}", None),
            ("{\"syntax\"", None),
            ("# hello\n# syntax=x", None),
            ("\n# syntax=x", None),
            ("# unknown=y\n# syntax=x", None),
            ("FROM a\n# syntax=x", None),
            ("# syntax=", None),
            ("", None),
        ] {
            assert_eq!(detect_syntax(text).as_deref(), expected, "{text:?}");
        }
    }
}
