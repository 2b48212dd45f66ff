//! What cargo's own harness answers to `cargo test` and `cargo nextest`, for a program whose `main` is its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// A test and its name.
pub struct Test {
    pub name: String,
    pub run: Box<dyn Fn()>,
}

/// Lists or runs what the arguments ask for. One after the other: runners that want more at once start more processes.
pub fn main(arguments: &[String], tests: &[Test]) -> ExitCode {
    let given = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if given("--list") {
        // none is ignored
        for test in tests.iter().filter(|_| !given("--ignored")) {
            println!("{}: test", test.name);
        }
        return ExitCode::SUCCESS;
    }
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let matches = |test: &Test, name: &str| {
        if given("--exact") { test.name == name } else { test.name.contains(name) }
    };
    let chosen = tests.iter().filter(|test| names.is_empty() || names.iter().any(|name| matches(test, name)));
    let mut failed = Vec::new();
    for test in chosen {
        let outcome = catch_unwind(AssertUnwindSafe(|| (test.run)()));
        println!("test {} ... {}", test.name, if outcome.is_ok() { "ok" } else { "FAILED" });
        failed.extend(outcome.is_err().then_some(test.name.as_str()));
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {}", failed.join(", "));
    ExitCode::FAILURE
}
