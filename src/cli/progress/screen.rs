//! The lowest lines of a terminal, redrawn as they change.
//!
//! The cursor rests in the first column of the first of these lines, hidden. Wherever a terminal of another width breaks
//! them, all that is ours is below the cursor, and one command erases it. A frame is one piece of bytes that the terminal
//! shows at once (synchronized output, where it knows it), and holds only the lines that are others.

use std::fmt::Write as _;

/// Begins and ends what is to be shown at once: the DEC private mode 2026.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";
const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// From the cursor to the end of the screen, and of the line.
const ERASE_BELOW: &str = "\x1b[J";
const ERASE_REST: &str = "\x1b[K";

/// What gives a terminal back that is left in the middle.
pub(super) const RESTORE: &str = "\r\x1b[J\x1b[?25h\x1b[?2026l";

/// Of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// Characters of a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

/// What is shown now.
#[derive(Default)]
pub(super) struct Screen {
    lines: Vec<String>,
    size: Option<Size>,
}

impl Screen {
    /// The bytes that have the terminal show `lines`, below `above`, which scroll away. Each of `lines` has to be shorter
    /// than a line of the terminal, and there must be fewer of them than that has.
    pub(super) fn draw(&mut self, above: &[String], lines: Vec<String>, size: Size) -> String {
        let is_new = self.size.is_none();
        let is_whole = !above.is_empty() || self.size != Some(size);
        let mut pen = Pen { text: String::new(), row: 0, rows: self.lines.len() };
        if is_whole {
            pen.erase_all();
            for line in above {
                pen.text.push_str(line);
                pen.text.push_str("\r\n");
            }
            self.lines.clear();
        }
        for (row, line) in lines.iter().enumerate().filter(|(row, line)| self.lines.get(*row) != Some(line)) {
            pen.go_to(row);
            pen.text.push_str(line);
            pen.text.push_str(ERASE_REST);
        }
        if lines.len() < self.lines.len() {
            pen.go_to(lines.len());
            pen.text.push_str(ERASE_BELOW);
        }
        pen.go_to(0);
        (self.lines, self.size) = (lines, Some(size));
        match pen.text.as_str() {
            "" => String::new(),
            text if is_new => format!("{HIDE_CURSOR}{BEGIN}{text}\r{END}"),
            text => format!("{BEGIN}{text}\r{END}"),
        }
    }

    /// The same for the last time: nothing but `above` is left.
    pub(super) fn end(mut self, above: &[String]) -> String {
        let Some(size) = self.size else {
            return above.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect();
        };
        // whatever else was written meanwhile
        self.size = Some(Size { columns: 0, rows: 0 });
        let text = self.draw(above, Vec::new(), size);
        format!("{text}{SHOW_CURSOR}")
    }
}

/// Where the cursor is, as its text is written.
struct Pen {
    text: String,
    row: usize,
    /// How many lines there are to go to.
    rows: usize,
}

impl Pen {
    fn erase_all(&mut self) {
        self.text.push('\r');
        self.text.push_str(ERASE_BELOW);
        self.rows = 0;
    }

    /// Goes to the first column of a line, which is made if it is the one after the last.
    fn go_to(&mut self, row: usize) {
        let moved = match row {
            row if row < self.row => write!(self.text, "\x1b[{}A\r", self.row - row),
            row if row == self.row => Ok(()),
            row if row < self.rows => write!(self.text, "\x1b[{}B\r", row - self.row),
            row => {
                let last = self.rows.saturating_sub(1);
                self.go_to(last);
                (last..row).for_each(|_| self.text.push_str("\r\n"));
                Ok(())
            }
        };
        moved.expect("a string takes all");
        self.row = row;
        self.rows = self.rows.max(row + 1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a terminal shows of the lines that scrolled away and of those that are there, without blank ones at the end.
    fn shown(terminal: &mut vt100::Parser) -> Vec<String> {
        let (_, columns) = terminal.screen().size();
        terminal.screen_mut().set_scrollback(usize::MAX);
        let mut lines = Vec::new();
        for back in (1..=terminal.screen().scrollback()).rev() {
            terminal.screen_mut().set_scrollback(back);
            lines.extend(terminal.screen().rows(0, columns).next());
        }
        terminal.screen_mut().set_scrollback(0);
        lines.extend(terminal.screen().rows(0, columns));
        lines.truncate(lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1));
        lines
    }

    #[test]
    fn only_what_changed_is_written() {
        let size = Size { columns: 20, rows: 5 };
        let mut screen = Screen::default();
        let lines = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
        let first = screen.draw(&[], lines(&["one", "two", "three"]), size);
        assert_eq!(
            first,
            "\x1b[?25l\x1b[?2026h\r\x1b[Jone\x1b[K\r\ntwo\x1b[K\r\nthree\x1b[K\x1b[2A\r\r\x1b[?2026l"
        );
        assert_eq!(screen.draw(&[], lines(&["one", "two", "three"]), size), "");
        let changed = screen.draw(&[], lines(&["one", "2", "three"]), size);
        assert_eq!(changed, "\x1b[?2026h\x1b[1B\r2\x1b[K\x1b[1A\r\r\x1b[?2026l");
        assert!(
            screen.draw(&[], lines(&["one", "2", "three"]), Size { columns: 9, ..size }).contains("three")
        );
        assert_eq!(screen.end(&lines(&["done"])), "\x1b[?2026h\r\x1b[Jdone\r\n\r\x1b[?2026l\x1b[?25h");
    }

    proptest! {
        /// After every frame a terminal shows all lines that went above and then the present ones, whatever was there
        /// before, and also after its size changed.
        #[test]
        fn a_terminal_shows_each_frame(
            frames in proptest::collection::vec(
                (proptest::collection::vec("[a-z]{0,8}x", 0..3), proptest::collection::vec("[a-zé漢]{0,4}x", 0..5), any::<bool>()),
                1..12,
            ),
        ) {
            let mut terminal = vt100::Parser::new(6, 10, 1000);
            terminal.process(b"$ rbuild\r\n");
            let mut screen = Screen::default();
            let mut above = vec!["$ rbuild".to_owned()];
            let mut size = Size { columns: 10, rows: 6 };
            for (scrolled, lines, is_resized) in frames {
                if is_resized {
                    size.columns = 30 - size.columns;
                    terminal.screen_mut().set_size(6, u16::try_from(size.columns).unwrap());
                }
                let bytes = screen.draw(&scrolled, lines.clone(), size);
                terminal.process(bytes.as_bytes());
                above.extend(scrolled);
                let want: Vec<_> = above.iter().chain(&lines).cloned().collect();
                prop_assert_eq!(shown(&mut terminal), want);
                prop_assert!(terminal.screen().hide_cursor());
            }
            terminal.process(screen.end(&["end".to_owned()]).as_bytes());
            above.push("end".to_owned());
            prop_assert_eq!(shown(&mut terminal), above);
            prop_assert!(!terminal.screen().hide_cursor());
        }
    }
}
