//! The codec, by rows.

mod answers;
mod requests;
