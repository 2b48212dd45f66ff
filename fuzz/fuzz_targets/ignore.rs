//! The input is an ignore file, and before its first line feed a path. See `property::ignoring` for what holds.
//!
//! `cargo fuzz run ignore fuzz/seeds/ignore`; `contrib/fuzz` does without cargo-fuzz and a nightly compiler.

#![no_main]
#![allow(dead_code, unused_imports, reason = "the program uses the rest of the room")]

#[path = "../../src/dockerfile/mod.rs"]
mod dockerfile;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let (first, rest) = text.split_once('\n').unwrap_or(("v", &text));
    dockerfile::property::ignoring(rest, first);
});
