//! Tests of the whole room, as tables.

mod accepted;
mod expansion;
mod ignored;
mod outlined;
mod properties;
mod refused;
mod rendered;
