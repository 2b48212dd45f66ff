//! What a verb answers, on stdout.

use std::io::{self, ErrorKind, Write as _};

use super::failure::Failure;

/// Prints a line of the answer. A reader that closed the pipe has what it wanted.
pub(super) fn line(text: impl std::fmt::Display) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(why) if why.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("standard output: {why}")))
        }
        _ => Ok(()),
    }
}
