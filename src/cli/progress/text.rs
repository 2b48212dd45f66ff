//! Text of unknown origin on a terminal: what a command prints must not command the terminal, and a line is cut by the
//! columns that it takes, not by its bytes.

use std::iter::Peekable;
use std::str::Chars;

use unicode_width::UnicodeWidthChar as _;

/// Columns of a tabulator.
const TAB: usize = 8;
/// Follows a character that is to be shown as a picture, which takes two columns.
const PICTURE: char = '\u{fe0f}';
/// The beginning of a command to the terminal.
const ESCAPE: char = '\u{1b}';

/// What a line shows that a command wrote: without commands to the terminal and other control characters, what a
/// carriage return has replaced left out.
pub(in crate::cli) fn harmless(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let shown = line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
    let mut text = String::with_capacity(shown.len());
    let mut column = 0;
    let mut letters = shown.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ESCAPE => skip_command(&mut letters),
            '\t' => {
                let spaces = TAB - column % TAB;
                text.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            letter if letter.is_control() || is_hidden(letter) => {}
            letter => {
                text.push(letter);
                column += columns(letter);
            }
        }
    }
    text
}

/// Skips what follows an escape: ECMA-48, 5.3 to 5.6.
fn skip_command(letters: &mut Peekable<Chars<'_>>) {
    match letters.next() {
        Some('[') => while letters.next_if(|letter| matches!(letter, ' '..='?')).is_some() {},
        Some(']' | 'P' | 'X' | '^' | '_') => return skip_string(letters),
        Some(' '..='/') => while letters.next_if(|letter| matches!(letter, ' '..='/')).is_some() {},
        _ => return,
    }
    letters.next_if(|letter| matches!(letter, '0'..='~'));
}

/// Skips up to the end of a control string. One without an end takes the line.
fn skip_string(letters: &mut Peekable<Chars<'_>>) {
    while let Some(letter) = letters.next() {
        if letter == '\u{7}' || (letter == ESCAPE && letters.next_if_eq(&'\\').is_some()) {
            return;
        }
    }
}

/// Whether it turns the text around it: what is shown would not be what is there.
fn is_hidden(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Columns that it takes at most.
fn columns(letter: char) -> usize {
    if letter == PICTURE { 1 } else { letter.width().unwrap_or(0) }
}

/// Columns of a text without control characters.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// As much of a text as fits, with an ellipsis where something is missing. A wide character is shown whole or not at all,
/// and what combines with one stays with it.
pub(super) fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let Some(room) = room.checked_sub(1) else { return String::new() };
    let mut taken = 0;
    let end = text.char_indices().find(|(_, letter)| {
        taken += columns(*letter);
        taken > room
    });
    let mut kept = text[..end.map_or(text.len(), |(at, _)| at)].to_owned();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_is_not_shown() {
        for (line, want) in [
            (&b"plain"[..], "plain"),
            (b"\x1b[1;31mred\x1b[0m", "red"),
            (b"\x1b[2J\x1b[?1049hcleared", "cleared"),
            (b"\x1b]0;title\x07after", "after"),
            (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            (b"\x1b]52;c;eA", ""),
            (b"\x1bPq#0\x1b\\sixel", "sixel"),
            (b"\x1b(0box\x1b7\x1b8\x1bc", "box"),
            (b"10%\r 50%\r100%\r", "100%"),
            (b"\r\r", ""),
            (b"a\tb\x08\x07\x00c", "a       bc"),
            (b"\xff\xc2\x9b31m", "\u{fffd}31m"),
            ("a\u{202e}txt.exe".as_bytes(), "atxt.exe"),
            ("漢\te\u{301}".as_bytes(), "漢      e\u{301}"),
            (b"\x1b", ""),
            (b"\x1b[", ""),
            (b"\x1b[38;5;", ""),
        ] {
            assert_eq!(harmless(line), want, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_text_is_cut_by_columns() {
        for (text, room, want) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("漢字", 4, "漢字"),
            ("漢字", 3, "漢…"),
            ("漢字x", 4, "漢…"),
            ("漢", 1, "…"),
            ("e\u{301}e\u{301}e\u{301}", 3, "e\u{301}e\u{301}e\u{301}"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("⚠\u{fe0f}x", 3, "⚠\u{fe0f}x"),
            ("⚠\u{fe0f}x", 2, "⚠…"),
            ("abc", 0, ""),
            ("", 0, ""),
        ] {
            let kept = cut(text, room);
            assert_eq!(kept, want, "{text:?} in {room}");
            assert!(width(&kept) <= room, "{text:?} in {room}");
        }
    }
}
