//! The whole input of `rbuild-idmap`: its arguments and both databases. Whatever they say, no id is mapped that is not the
//! caller's, and nothing panics.
//!
//! `cargo fuzz run idmap fuzz/seeds/idmap` in `userns/`; `contrib/fuzz` does without cargo-fuzz and a nightly compiler.

#![no_main]
#![allow(dead_code, reason = "the program uses the rest of these modules")]

#[path = "../../src/bin/rbuild-idmap/decide.rs"]
mod decide;
#[path = "../../src/bin/rbuild-idmap/judge.rs"]
mod judge;
#[path = "../../src/bin/rbuild-idmap/request.rs"]
mod request;

/// As the program has it.
#[derive(Debug)]
pub enum Failure {
    Refused(String),
    Usage(String),
    System(String),
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    decide::property::nothing_but_the_callers(input);
});
