//! `copy` and `add`: files into the root of a container.

use super::{Error, Held, Means};
use crate::build::{Context, Piece};
use crate::dockerfile::Copy;

pub use crate::build::Copied;

/// Copies from `files`, or from the root that `from` is, into a container.
///
/// Errors leave the container as it was.
pub fn copy(
    means: &Means<'_>,
    held: &mut Held,
    copy: &Copy,
    files: Context,
    from: Option<&Piece>,
) -> Result<Copied, Error> {
    let options = means.options();
    let bench = means.bench(files, &options)?;
    let mut state = held.container().state.clone();
    let copied = bench.copy(&mut state.piece, copy, from)?;
    held.save(state)?;
    Ok(copied)
}
