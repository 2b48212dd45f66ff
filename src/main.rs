//! The `rbuild` program.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all, while there is one thread: in a sandbox this does not return.
    rbuild::init();
    rbuild::cli::main()
}
