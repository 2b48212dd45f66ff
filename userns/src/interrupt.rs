//! Signals that ask the program to stop, received by a thread instead of a handler.
//!
//! A handler may do next to nothing; a thread that waits for the signals may do anything. They have to be
//! blocked before any other thread exists, so that every thread inherits the mask.

use nix::sys::signal::{SigSet, Signal};

/// The signals that ask to stop.
const STOP: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Blocks the stop signals and starts a thread that calls `stop` with the number of each one that comes.
///
/// Call it before any other thread exists. Errors with the kernel's errno if the mask cannot be set.
pub fn watch(mut stop: impl FnMut(i32) + Send + 'static) -> std::io::Result<()> {
    let signals = SigSet::from_iter(STOP);
    signals.thread_block()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        loop {
            match signals.wait() {
                Ok(signal) => stop(signal as i32),
                Err(nix::errno::Errno::EINTR) => {}
                // sigwait(3) knows only EINVAL, for a set that names no signal.
                Err(errno) => unreachable!("waiting for SIGINT, SIGTERM, SIGHUP: {errno}"),
            }
        }
    })?;
    Ok(())
}
