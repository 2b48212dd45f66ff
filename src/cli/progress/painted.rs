//! A line for a terminal: pieces of text, each in its tone; cut and coloured when it is drawn.

use super::text;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Dim,
    Good,
    Cached,
    Warning,
    Bad,
}

/// Whether tones are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    Shown,
    /// `NO_COLOR` is set.
    None,
}

/// Columns of a line's mark.
const MARK: usize = 8;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pieces: Vec<(Tone, String)>,
    /// The terminal is to break it where it does not fit.
    is_whole: bool,
}

impl Line {
    /// A line that begins with a mark of few columns.
    pub(super) fn marked(mark: &str, tone: Tone) -> Self {
        let pieces = vec![(tone, format!("{mark:>MARK$}")), (Tone::Plain, "  ".to_owned())];
        Self { pieces, is_whole: false }
    }

    /// The same with more text. That has no control characters.
    #[must_use]
    pub(super) fn with(mut self, tone: Tone, text: String) -> Self {
        self.pieces.push((tone, text));
        self
    }

    /// The same, of which nothing may be missing.
    #[must_use]
    pub(super) fn whole(self) -> Self {
        Self { is_whole: true, ..self }
    }

    /// What is written: at most `room` columns of it, unless it is to be whole.
    pub(super) fn painted(&self, room: usize, colours: Colours) -> String {
        let mut room = (!self.is_whole).then_some(room);
        let mut out = String::new();
        for (tone, text) in &self.pieces {
            let shown = room.map_or_else(|| text.clone(), |room| text::cut(text, room));
            let is_cut = shown != *text;
            room = room.map(|room| room - text::width(&shown));
            let code = match (tone, colours) {
                (Tone::Plain, _) | (_, Colours::None) => "",
                (Tone::Dim, _) => "2",
                (Tone::Good, _) => "32",
                (Tone::Cached, _) => "36",
                (Tone::Warning, _) => "33",
                (Tone::Bad, _) => "1;31",
            };
            match code {
                "" => out.push_str(&shown),
                code => out.extend(["\x1b[", code, "m", &shown, "\x1b[0m"]),
            }
            if is_cut {
                break;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_as_a_whole_and_coloured_by_its_pieces() {
        let line = Line::marked("cached", Tone::Cached)
            .with(Tone::Dim, "a 1/2  ".into())
            .with(Tone::Plain, "RUN 漢字".into());
        for (room, colours, want) in [
            (80, Colours::None, "  cached  a 1/2  RUN 漢字"),
            (25, Colours::None, "  cached  a 1/2  RUN 漢字"),
            (24, Colours::None, "  cached  a 1/2  RUN 漢…"),
            (15, Colours::None, "  cached  a 1/…"),
            (4, Colours::None, "  c…"),
            (0, Colours::None, ""),
            (13, Colours::Shown, "\x1b[36m  cached\x1b[0m  \x1b[2ma …\x1b[0m"),
        ] {
            assert_eq!(line.painted(room, colours), want, "{room}");
        }
        assert_eq!(line.whole().painted(4, Colours::None), "  cached  a 1/2  RUN 漢字");
    }
}
