//! `copy` and `add`: files into the root of a container.

use super::run::{Record, tell};
use super::{Error, Held, Means};
use crate::build::{Context, Piece};
use crate::dockerfile::Copy;
use crate::oci::{Platform, Reference};
use crate::transfer::{self, PullPolicy};

pub use crate::build::Copied;

/// Copies from `files`, or from the root that `from` is, into a container. `told` is what the history will say of it, before
/// the digest of what was copied, if it is to say anything.
///
/// Errors leave the container as it was.
pub fn copy(
    means: &Means<'_>,
    held: &mut Held,
    copy: &Copy,
    files: Context,
    from: Option<&Piece>,
    (told, record): (&str, Record),
) -> Result<Copied, Error> {
    let options = means.options();
    let bench = means.bench(files, &options)?;
    let mut state = held.container().state.clone();
    let copied = bench.copy(&mut state.piece, copy, from)?;
    if record == Record::Told {
        let text = format!("/bin/sh -c #(nop) {told}{}", hex::encode(copied.content));
        tell(&mut state.piece.image.history, text);
    }
    held.save(state)?;
    Ok(copied)
}

/// What a copy is made from that is called `name`: a container as it is now, or else an image.
pub fn source(means: &Means<'_>, name: &str) -> Result<Piece, Error> {
    if let Some(container) = super::find(means.store, name)? {
        // Where it is mounted, with what was written there.
        let is_mounted = container.state.mount.is_some();
        return Ok(if is_mounted {
            means.hold(name)?.container().state.piece.clone()
        } else {
            container.state.piece
        });
    }
    let reference: Reference = name.parse()?;
    let (platform, policy) = (Platform::host(), PullPolicy::Missing);
    let image = transfer::obtain(means.store, means.client, &reference, &platform, policy, means.sink);
    Ok(Piece::on_image(&image.map_err(Box::new)?))
}
