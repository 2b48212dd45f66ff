//! The sandbox, used as any program that embeds the library uses it: `main` calls [`rbuild::init`] first.
//!
//! Runs as root and as an ordinary user; what the account or machine cannot do is skipped and says why. Arguments select
//! tests by a part of their name.

mod bench;
mod end;
mod process;
mod root;

use std::panic::catch_unwind;
use std::process::ExitCode;

use rbuild::runtime::RootfsChoice;

/// A name and what it stands for.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    rbuild::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, dir] = &arguments[..]
        && role == end::COORDINATOR
    {
        end::coordinate(dir.as_ref());
    }
    if let Some(why) = bench::unfit() {
        println!("sandbox: all skipped: {why}");
        return ExitCode::SUCCESS;
    }
    let chosen = |name: &str| {
        let mut parts = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
        parts.peek().is_none() || parts.any(|part| name.contains(part.as_str()))
    };
    let tests = [process::TESTS, root::TESTS, end::TESTS].concat();
    let mut failed = Vec::new();
    for driver in [RootfsChoice::Kernel, RootfsChoice::Fuse] {
        if let Err(why) = bench::choose(driver) {
            println!("{driver:?}: skipped: {why}");
            continue;
        }
        for (name, test) in tests.iter().filter(|(name, _)| chosen(name)) {
            let outcome = catch_unwind(test);
            println!("test {driver:?} {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
            failed.extend(outcome.is_err().then_some(*name));
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {}", failed.join(", "));
    ExitCode::FAILURE
}
