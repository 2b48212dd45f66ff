//! The codec, by rows.

mod requests;
