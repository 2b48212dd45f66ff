//! The live view on a terminal: a thread draws it some times a second, whoever tells something waits for no terminal.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::painted::{Colours, Line};
use super::screen::{RESTORE, Screen, Size};
use super::view::View;
use crate::progress::{Event, Sink};

/// The time from one frame to the next.
const FRAME: Duration = Duration::from_millis(80);
/// What a terminal has that does not know its size.
const USUAL: Size = Size { columns: 80, rows: 24 };

/// Whether a view is on the terminal.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// A sink that draws.
pub(super) struct Live {
    shared: Arc<Shared>,
    drawer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    /// Drawing has to end.
    ended: Condvar,
    began: Instant,
    colours: Colours,
}

#[derive(Default)]
struct State {
    view: View,
    is_ended: bool,
    /// The work came to its end.
    is_done: bool,
}

impl Live {
    /// Begins to draw on standard error.
    pub(super) fn start(colours: Colours) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            ended: Condvar::new(),
            began: Instant::now(),
            colours,
        });
        let drawn = Arc::clone(&shared);
        let drawer = std::thread::Builder::new().name("progress".to_owned()).spawn(move || drawn.draw())?;
        Ok(Self { shared, drawer: Mutex::new(Some(drawer)) })
    }

    /// Tells the end of work that succeeded, and gives the terminal back.
    pub(super) fn finish(&self) {
        self.shared.state().is_done = true;
        self.end();
    }

    /// Gives the terminal back.
    fn end(&self) {
        self.shared.state().is_ended = true;
        self.shared.ended.notify_all();
        let drawer = self.drawer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // if it panicked, that was told, and the terminal is not its own any more
        drop(drawer.map(JoinHandle::join));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.end();
    }
}

impl Sink for Live {
    fn event(&self, event: Event) {
        let at = self.shared.began.elapsed();
        self.shared.state().view.take(event, at);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self) {
        let mut screen = Screen::default();
        loop {
            let waited = self.ended.wait_timeout_while(self.state(), FRAME, |state| !state.is_ended);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            let (at, size) = (self.began.elapsed(), size());
            let mut settled = state.view.settled();
            if state.is_ended {
                settled.extend(state.view.summary(at).filter(|_| state.is_done));
                drop(state);
                write(&screen.end(&self.painted(&settled, size)));
                SHOWN.store(false, Ordering::Relaxed);
                return;
            }
            let now = state.view.now(at, size);
            drop(state);
            if settled.is_empty() && now.is_empty() && !SHOWN.load(Ordering::Relaxed) {
                continue;
            }
            SHOWN.store(true, Ordering::Relaxed);
            write(&screen.draw(&self.painted(&settled, size), self.painted(&now, size), size));
        }
    }

    fn painted(&self, lines: &[Line], size: Size) -> Vec<String> {
        // A character in the last column would leave the cursor beyond it.
        let room = size.columns.saturating_sub(1);
        lines.iter().map(|line| line.painted(room, self.colours)).collect()
    }
}

/// Gives back the terminal of a program that ends in the middle of its work.
pub(in crate::cli) fn restore() {
    if SHOWN.load(Ordering::Relaxed) {
        write(RESTORE);
    }
}

fn size() -> Size {
    let Ok(asked) = rustix::termios::tcgetwinsize(io::stderr()) else { return USUAL };
    let known = |count: u16, usual| if count == 0 { usual } else { usize::from(count) };
    Size { columns: known(asked.ws_col, USUAL.columns), rows: known(asked.ws_row, USUAL.rows) }
}

/// One write, so that nothing comes between its bytes. A terminal that went away wants no more; the work goes on.
fn write(text: &str) {
    if !text.is_empty() {
        drop(io::stderr().lock().write_all(text.as_bytes()));
    }
}
