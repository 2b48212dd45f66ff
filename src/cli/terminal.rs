//! The user's terminal while a command has one of its own: every key is passed on, none means anything here.

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::{Mutex, PoisonError};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::runtime::WindowSize;

/// How the terminal was, while it is otherwise. A signal that ends the program gives it back by this.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// What a terminal has that does not know its size.
const USUAL: WindowSize = WindowSize { rows: 24, columns: 80 };

/// A terminal in raw mode, for as long as this is held.
pub(super) struct Raw(());

impl Raw {
    /// Takes standard input, if it is a terminal.
    pub(super) fn begin() -> io::Result<Self> {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            let before = tcgetattr(&stdin)?;
            let mut raw = before.clone();
            raw.make_raw();
            *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
            tcsetattr(&stdin, OptionalActions::Drain, &raw)?;
        }
        Ok(Self(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Makes the terminal as it was, if it is not.
pub(super) fn restore() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        match tcsetattr(io::stdin(), OptionalActions::Drain, &before) {
            // A terminal that went away is nobody's.
            Ok(()) | Err(_) => {}
        }
    }
}

/// Whether standard input is a terminal.
pub(super) fn is_there() -> bool {
    io::stdin().is_terminal()
}

/// The size of the terminal that the user looks at.
pub(super) fn size() -> WindowSize {
    let of = |terminal: BorrowedFd<'_>| {
        let size = tcgetwinsize(terminal).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0)?;
        Some(WindowSize { rows: size.ws_row, columns: size.ws_col })
    };
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()].into_iter().find_map(of).unwrap_or(USUAL)
}
