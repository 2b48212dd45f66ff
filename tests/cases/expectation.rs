//! The files `expected` and `differs`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// What a case is expected to become.
#[derive(Default)]
pub struct Expectation {
    /// The peers that gave the same.
    pub agrees: Vec<String>,
    /// The image or the refusal, as [`Outcome::lines`](super::Outcome::lines) has it.
    pub lines: Vec<String>,
    /// The peers that gave something else.
    pub differs: Vec<Difference>,
}

/// What a peer makes of the case instead.
pub struct Difference {
    pub peer: String,
    pub reason: String,
    /// See [`difference`](super::outcome::difference).
    pub lines: Vec<String>,
}

const AGREES: &str = "agrees:";

impl Expectation {
    /// What the folder says; nothing if it has no such files yet.
    pub fn read(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("expected")).unwrap_or_default();
        let (first, rest) = text.split_once('\n').unwrap_or_default();
        let agrees = first.strip_prefix(AGREES).unwrap_or_default().split_whitespace();
        let differs = fs::read_to_string(folder.join("differs")).unwrap_or_default();
        Self {
            agrees: agrees.map(str::to_owned).collect(),
            lines: rest.lines().map(str::to_owned).collect(),
            differs: differs.split("\n\n").filter_map(Difference::parse).collect(),
        }
    }

    pub fn write(&self, folder: &Path) {
        let agrees: String = self.agrees.iter().flat_map(|peer| [" ", peer]).collect();
        let lines: String = self.lines.iter().flat_map(|line| [line, "\n"]).collect();
        fs::write(folder.join("expected"), format!("{AGREES}{agrees}\n{lines}")).unwrap();
        let differs = folder.join("differs");
        if self.differs.is_empty() {
            // most cases never had one
            let _ = fs::remove_file(differs);
        } else {
            let sections: Vec<String> = self.differs.iter().map(Difference::to_text).collect();
            fs::write(differs, sections.join("\n")).unwrap();
        }
    }
}

impl Difference {
    /// `PEER: REASON`, which may go on on further lines, and then the lines with `-` and `+`.
    fn parse(section: &str) -> Option<Self> {
        let (peer, rest) = section.split_once(':')?;
        let is_difference = |line: &&str| line.starts_with("- ") || line.starts_with("+ ");
        let reason: Vec<&str> = rest.lines().take_while(|line| !is_difference(line)).map(str::trim).collect();
        let lines = rest.lines().filter(is_difference).map(str::to_owned);
        Some(Self {
            peer: peer.trim().to_owned(),
            reason: reason.join("\n").trim().to_owned(),
            lines: lines.collect(),
        })
    }

    fn to_text(&self) -> String {
        let mut text = format!("{}: {}\n", self.peer, self.reason);
        for line in &self.lines {
            let _ = writeln!(text, "{line}"); // writing to a String cannot fail
        }
        text
    }
}
