//! Finding `<<NAME` in an instruction.
//!
//! The words are cut as a shell cuts them, so that `"<<EOF"` in quotes, `<<<here` and `$((1 << 2))` are not taken for
//! the beginning of a document.

use std::ops::Range;

/// A `<<NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    /// Where it stands in the searched text, file descriptor and delimiter included.
    pub(super) at: Range<usize>,
    /// The delimiter without its quotes.
    pub(super) name: String,
    /// No part of the delimiter was quoted.
    pub(super) expand: bool,
    /// `<<-`: leading tabs do not count.
    pub(super) chomp: bool,
}

/// All heredocs that `text` begins, in order. Text that a shell could not cut into words has none.
pub(super) fn markers(text: &str) -> Vec<Marker> {
    if !text.contains("<<") {
        return Vec::new();
    }
    Scanner { text, at: 0, open_arithmetic: false }.markers().unwrap_or_default()
}

/// The body of a `<<-` heredoc: each line without its leading tabs.
pub(super) fn chomped(body: &str) -> String {
    body.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
}

/// The beginning of a heredoc, for one line of progress or history.
pub(super) fn summary(body: &str) -> String {
    let body = body.trim();
    match body.split_once('\n') {
        Some((first, _)) => format!("{}...", first.trim_end()),
        None => body.to_owned(),
    }
}

/// An open quote at the end of the text.
struct Unbalanced;

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// A `$((` without end was seen: do not search the rest of the text for one again and again.
    open_arithmetic: bool,
}

impl Scanner<'_> {
    fn markers(mut self) -> Result<Vec<Marker>, Unbalanced> {
        let mut found = Vec::new();
        loop {
            self.skip_while(char::is_whitespace);
            if self.peek().is_none() {
                return Ok(found);
            }
            match self.marker()? {
                Some(marker) => found.push(marker),
                None => self.skip_word()?,
            }
        }
    }

    /// At the beginning of a word: `[fd]<<[-][blanks]delimiter`.
    fn marker(&mut self) -> Result<Option<Marker>, Unbalanced> {
        let start = self.at;
        self.skip_while(|c| c.is_ascii_digit());
        if !self.eat("<<") {
            self.at = start;
            return Ok(None);
        }
        let chomp = self.eat("-");
        let before_blanks = self.at;
        self.skip_while(|c| c == ' ' || c == '\t');
        let spaced = self.at > before_blanks;
        // `x << 2` is a shift, not a document named 2
        let shift = spaced && self.peek().is_some_and(|c| c.is_ascii_digit());
        let Some((name, expand)) = (if shift { None } else { self.delimiter()? }) else {
            self.at = start;
            return Ok(None);
        };
        Ok(Some(Marker { at: start..self.at, name, expand, chomp }))
    }

    /// The delimiter without quotes and escapes, and whether it had no quotes. `None` if there is none.
    fn delimiter(&mut self) -> Result<Option<(String, bool)>, Unbalanced> {
        let mut name = String::new();
        let mut expand = true;
        while let Some(c) = self.peek() {
            match c {
                '<' => return Ok(None), // a here-string
                '\'' | '"' => {
                    expand = false;
                    let start = self.at + 1;
                    self.skip_quoted(c)?;
                    name.push_str(&self.text[start..self.at - 1]);
                }
                '\\' => {
                    self.bump();
                    name.extend(self.bump());
                }
                _ if ends_delimiter(c) => break,
                _ => name.extend(self.bump()),
            }
        }
        Ok((!name.is_empty()).then_some((name, expand)))
    }

    fn skip_word(&mut self) -> Result<(), Unbalanced> {
        while let Some(c) = self.peek().filter(|c| !c.is_whitespace()) {
            match c {
                '\'' | '"' => self.skip_quoted(c)?,
                '\\' => {
                    self.bump();
                    self.bump();
                }
                '$' if self.text[self.at..].starts_with("$((") => self.skip_arithmetic(),
                _ => {
                    self.bump();
                }
            }
        }
        Ok(())
    }

    fn skip_quoted(&mut self, quote: char) -> Result<(), Unbalanced> {
        self.bump();
        loop {
            match self.bump().ok_or(Unbalanced)? {
                c if c == quote => return Ok(()),
                '\\' if quote == '"' => {
                    self.bump();
                }
                _ => {}
            }
        }
    }

    /// Skips `$((…))`; without its end, only `$((`.
    fn skip_arithmetic(&mut self) {
        self.at += "$((".len();
        if self.open_arithmetic {
            return;
        }
        let mut depth = 2_usize;
        for (offset, c) in self.text[self.at..].char_indices() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.at += offset + 1;
                return;
            }
        }
        self.open_arithmetic = true;
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.text[self.at..].starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
    }
}

/// Blanks and the shell's operators end a delimiter: `<<EOF;`, `(cat <<EOF)`.
fn ends_delimiter(c: char) -> bool {
    c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')' | '>')
}

#[cfg(test)]
mod tests {
    use super::{markers, summary};

    #[test]
    fn markers_are_found_where_a_shell_finds_them() {
        for (text, expected) in [
            ("<<EOF", "EOF+"),
            ("<<-EOF", "-EOF+"),
            ("<< EOF", "EOF+"),
            ("3<<EOF", "EOF+"),
            ("cat <<EOF > /x", "EOF+"),
            ("cat <<'EOF'", "EOF"),
            ("cat <<\"E F\" x", "E F"),
            ("cat <<E'O'F", "EOF"),
            ("cat <<A - <<B", "A+ B+"),
            ("cat <<$EOF", "$EOF+"),
            ("(cat <<EOF) && echo <<X;", "EOF+ X+"),
            ("cat <<<word", ""),
            ("cat <<< word", ""),
            ("cat<<EOF", ""),
            ("echo \"a <<b\" '<<c'", ""),
            ("echo \\<<EOF", ""),
            ("echo $((1 << 2))", ""),
            ("echo $((x << y)) <<E", "E+"),
            ("echo $((x << y", "y+"),
            ("expr 1 << 2", ""),
            ("echo it's <<EOF", ""),
            ("<<", ""),
            ("<<''", ""),
            ("[\"cat\", \"<<EOF\"]", ""),
        ] {
            let found = markers(text).into_iter().map(|m| {
                let (dash, plus) = (if m.chomp { "-" } else { "" }, if m.expand { "+" } else { "" });
                format!("{dash}{}{plus}", m.name)
            });
            assert_eq!(found.collect::<Vec<_>>().join(" "), expected, "{text}");
        }
    }

    #[test]
    fn a_marker_knows_its_place() {
        let text = "cat 3<<-'A b' x";
        assert_eq!(&text[markers(text)[0].at.clone()], "3<<-'A b'");
    }

    #[test]
    fn a_summary_is_one_line() {
        for (body, expected) in
            [("a\n", "a"), ("\n a\r\nb\n", "a..."), ("", ""), ("set -e\nmake\n", "set -e...")]
        {
            assert_eq!(summary(body), expected, "{body:?}");
        }
    }
}
