//! The program as people use it: real builds, a real kernel, a real registry.
//!
//! `contrib/check` prepares what these tests need and runs them in lanes, each as another user: `mapped` (an ordinary
//! user with subordinate ids; all tests), `single` (one id) and `root`. Tests of the modules `lanes`, `doctor` and
//! `escapes` run in all three.

mod archived;
mod attest;
mod build;
mod cache;
mod call;
mod cli;
mod completion;
mod confined;
mod containers;
mod contexts;
mod contracts;
mod copy;
mod debian;
mod doctor;
mod elsewhere;
mod escapes;
mod exports;
mod fidelity;
mod global;
mod graph;
mod image;
mod kill;
mod lanes;
mod limits;
mod login;
#[path = "../loopback/mod.rs"]
mod loopback;
mod manifest;
mod manual;
mod outputs;
mod platforms;
mod repository;
mod sent;
mod server;
mod shown;
mod suites;
mod support;
mod terminal;
mod unread;
mod why;
