//! Uploads: is the blob there, and if not, send it in one request (distribution-spec v1.1, "Pushing blobs").
//!
//! oci-client does both. It takes the body as a stream; the file is read on the caller's thread, so that a
//! slow disk does not hold up the other transfers.

use std::fs::File;
use std::io::{self, Read};

use bytes::Bytes;
use oci_client::errors::OciDistributionError;
use tokio::sync::mpsc;

use super::access::{Action, address};
use super::error::Error;
use super::wire::{Route, Wire, translate};
use crate::oci::{Descriptor, Digest, Reference};

/// How much of the file is read at once, in bytes.
const PIECE: u64 = 256 * 1024;
/// How many pieces may wait for the network.
const AHEAD: usize = 4;

pub(super) fn has_blob(wire: &Wire, reference: &Reference, digest: &Digest) -> Result<bool, Error> {
    let subject = subject(reference, digest);
    wire.attempt(&subject, reference, Action::Push, |route| {
        let uploads = route.endpoint.uploads.clone();
        let (address, digest) = (address(&route.endpoint, reference.repository()), digest.to_string());
        let answer = wire.runtime.run(async move { uploads.blob_exists(&address, &digest).await });
        answer.map_err(|error| translate(&subject, &route.endpoint.host, error))
    })
}

pub(super) fn push_blob(
    wire: &Wire,
    reference: &Reference,
    blob: &Descriptor,
    open: &(dyn Fn() -> io::Result<File> + Sync),
    advanced: &(dyn Fn(u64) + Sync),
) -> Result<(), Error> {
    let subject = subject(reference, &blob.digest);
    let mut told = 0;
    wire.attempt(&subject, reference, Action::Push, |route| {
        let file = open()?;
        let (expected, actual) = (blob.size, file.metadata()?.len());
        if expected != actual {
            let subject = subject.clone();
            return Err(Error::Length { subject, expected, actual, verb: "are in the file" });
        }
        // A repetition starts over; what was told before is not told again.
        let mut sent = 0;
        let tell = |more: u64| {
            sent += more;
            if sent > told {
                advanced(sent - told);
                told = sent;
            }
        };
        send(wire, route, reference, &subject, blob, file, tell)
    })
}

fn send(
    wire: &Wire,
    route: &Route,
    reference: &Reference,
    subject: &str,
    blob: &Descriptor,
    mut file: File,
    mut tell: impl FnMut(u64),
) -> Result<(), Error> {
    let (pieces, mut body) = mpsc::channel::<Result<Bytes, OciDistributionError>>(AHEAD);
    let uploads = route.endpoint.uploads.clone();
    let address = address(&route.endpoint, reference.repository());
    let (digest, size) = (blob.digest.to_string(), blob.size);
    let task = wire.runtime.spawn(async move {
        let body = futures_util::stream::poll_fn(move |context| body.poll_recv(context));
        uploads.push_blob_stream(&address, body, &digest, Some(size)).await
    });
    let mut left = blob.size;
    while left > 0 {
        let mut piece = Vec::new();
        (&mut file).take(left.min(PIECE)).read_to_end(&mut piece)?;
        let length = piece.len() as u64;
        // The file became shorter: the request is abandoned with `pieces`. Or the registry has answered
        // without waiting for the rest.
        if length == 0 || pieces.blocking_send(Ok(piece.into())).is_err() {
            break;
        }
        left -= length;
        tell(length);
    }
    drop(pieces);
    match wire.runtime.wait(task) {
        Ok(_) => Ok(()),
        // Some registries store the blob and forget to say where.
        Err(OciDistributionError::RegistryNoLocationError) if has_blob(wire, reference, &blob.digest)? => {
            Ok(())
        }
        Err(error) => Err(translate(subject, &route.endpoint.host, error)),
    }
}

fn subject(reference: &Reference, digest: &Digest) -> String {
    let registry = reference.registry().unwrap_or_default();
    format!("blob {digest} of {registry}/{}", reference.repository())
}
