//! The input is a Dockerfile. See `property::parsing` for what holds.
//!
//! `cargo fuzz run parse fuzz/seeds/parse`; `contrib/fuzz` does without cargo-fuzz and a nightly compiler.

#![no_main]
#![allow(dead_code, unused_imports, reason = "the program uses the rest of the room")]

#[path = "../../src/dockerfile/mod.rs"]
mod dockerfile;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    dockerfile::property::parsing(&String::from_utf8_lossy(input));
});
