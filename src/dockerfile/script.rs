//! A Dockerfile's text and the files that it was put together from, so that a message can name the line as its writer
//! knows it.

use super::diagnostic::{Diagnostic, Diagnostics, render_excerpt};
use super::directive::Directives;
use super::source::Text;
use super::{Dockerfile, Span, parse};

/// The text of a Dockerfile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    text: String,
    /// In the order of the text; the first begins where it does.
    parts: Vec<Part>,
}

/// A stretch of the text that is one of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    /// The file's name.
    name: String,
    /// Where it begins, in bytes.
    start: usize,
    /// The line that it begins with: in the text, and in the file, both from 1.
    line: usize,
    line_of_file: usize,
}

impl Script {
    /// The text of one file.
    pub fn new(name: &str, text: &str) -> Self {
        let mut script = Self::default();
        script.append(name, 1, text);
        script
    }

    /// Goes on with `text`, whose first line is `line` of the file `name`.
    pub fn append(&mut self, name: &str, line: usize, text: &str) {
        let part = Part {
            name: name.to_owned(),
            start: self.text.len(),
            line: self.text.matches('\n').count() + 1,
            line_of_file: line,
        };
        self.parts.push(part);
        self.text.push_str(text);
    }

    /// Goes on with another file. What the first one leaves open at its end, a continuation or its last line, ends there.
    pub fn join(&mut self, other: &Self) {
        self.close();
        for (number, part) in other.parts.iter().enumerate() {
            let end = other.parts.get(number + 1).map_or(other.text.len(), |next| next.start);
            self.append(&part.name, part.line_of_file, &other.text[part.start..end]);
        }
    }

    fn close(&mut self) {
        let escape = Directives::parse(&Text::new(&self.text), &mut Vec::new()).escape;
        let end = self.text.trim_end().len();
        if self.text[..end].ends_with(escape) && !self.text[..end - 1].ends_with(escape) {
            self.text.truncate(end - 1);
        }
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of the first file.
    pub fn name(&self) -> &str {
        self.parts.first().map_or("", |part| &part.name)
    }

    /// The file that `span` is in, and the line there.
    pub fn place(&self, span: &Span) -> (&str, usize) {
        let (name, _, span) = self.local(span);
        (name, span.first_line)
    }

    /// Shows a place: see [`render_excerpt`].
    pub fn excerpt(&self, span: &Span) -> String {
        let (name, text, span) = self.local(span);
        render_excerpt(text, name, &span)
    }

    /// Shows all that is wrong: see [`Diagnostics::render`].
    pub fn render(&self, diagnostics: &Diagnostics) -> String {
        diagnostics.render_with(|diagnostic| {
            let (name, text, span) = self.local(&diagnostic.span);
            Diagnostic { span, ..diagnostic.clone() }.render(text, name)
        })
    }

    /// Parses it.
    pub fn parse(&self) -> Result<Dockerfile, Diagnostics> {
        parse(&self.text)
    }

    /// `span` within its part: the file's name, the part's text, and the place there.
    fn local(&self, span: &Span) -> (&str, &str, Span) {
        let number = self.parts.iter().rposition(|part| part.start <= span.start);
        let Some(part) = number.and_then(|number| self.parts.get(number)) else { return ("", "", *span) };
        let line = |line: usize| line.saturating_sub(part.line) + part.line_of_file;
        let local = Span {
            first_line: line(span.first_line),
            last_line: line(span.last_line),
            start: span.start - part.start,
            end: span.end.saturating_sub(part.start),
        };
        (&part.name, &self.text[part.start..], local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_as_its_file_has_it() {
        let mut script = Script::new("a", "FROM x\nRUN a \\\n");
        script.join(&Script::new("b", "# b\nRUN b"));
        let mut included = Script::new("c", "RUN c\n");
        included.append("c.inc", 7, "RUN d\n");
        included.append("c", 3, "NONE e\n");
        script.join(&included);
        assert_eq!(script.text(), "FROM x\nRUN a \n# b\nRUN b\nRUN c\nRUN d\nNONE e\n");
        for (word, want) in [
            ("FROM", ("a", 1)),
            ("RUN a", ("a", 2)),
            ("RUN b", ("b", 2)),
            ("RUN c", ("c", 1)),
            ("RUN d", ("c.inc", 7)),
            ("NONE", ("c", 3)),
        ] {
            let start = script.text().find(word).unwrap();
            let line = script.text()[..start].matches('\n').count() + 1;
            let span = Span { first_line: line, last_line: line, start, end: start + word.len() };
            assert_eq!(script.place(&span), want, "{word}");
            assert!(script.excerpt(&span).contains(&format!("--> {}:{}:1\n", want.0, want.1)), "{word}");
        }
        let wrong = script.render(&script.parse().unwrap_err());
        assert!(wrong.contains("error on line 3: unknown instruction: NONE"), "{wrong}");
        assert!(wrong.contains("--> c:3:1\n"), "{wrong}");
    }
}
