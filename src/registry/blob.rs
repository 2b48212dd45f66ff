//! Downloads: a blob as a stream that ends only if it was the right one.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use reqwest::Response;
use reqwest::header::{CONTENT_RANGE, RANGE};
use tokio::sync::mpsc;

use super::access::Action;
use super::error::Error;
use super::wire::{Wire, accepted};
use crate::oci::{Descriptor, Digest, Hasher, Reference};

/// How many pieces of a body (64 KiB or so each) may wait for their reader.
const AHEAD: usize = 16;

/// A blob on its way. Hashed and counted here, on the reading thread; received on the client's.
pub(super) struct BlobReader {
    wire: Arc<Wire>,
    reference: Reference,
    subject: String,
    digest: Digest,
    size: u64,
    pieces: mpsc::Receiver<reqwest::Result<Bytes>>,
    piece: Bytes,
    /// Bytes counted and hashed so far: those read and those in `piece`.
    received: u64,
    hasher: Hasher,
    /// How often the connection broke.
    breaks: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Receiving,
    Complete,
    Failed,
}

impl BlobReader {
    pub(super) fn open(wire: &Arc<Wire>, reference: &Reference, blob: &Descriptor) -> Result<Self, Error> {
        let registry = reference.registry().unwrap_or_default();
        let subject = format!("blob {} of {registry}/{}", blob.digest, reference.repository());
        let (digest, size) = (blob.digest, blob.size);
        let pieces = request(wire, reference, &subject, digest, size, 0)?;
        Ok(Self {
            wire: Arc::clone(wire),
            reference: reference.clone(),
            subject,
            digest,
            size,
            pieces,
            piece: Bytes::new(),
            received: 0,
            hasher: Hasher::default(),
            breaks: 0,
            state: State::Receiving,
        })
    }

    /// Waits for the next piece; `None` at the end, if it is the right one.
    fn next_piece(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.pieces.blocking_recv() {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    self.received += piece.len() as u64;
                    if self.received > self.size {
                        return Err(self.length("have come already"));
                    }
                    self.hasher.update(&piece);
                    return Ok(Some(piece));
                }
                Some(Err(error)) => self.resume(error)?,
                None => return self.verify().map(|()| None),
            }
        }
    }

    /// Asks for the rest after the connection broke.
    fn resume(&mut self, error: reqwest::Error) -> Result<(), Error> {
        let registry = self.reference.registry().unwrap_or_default();
        let error = Error::unanswered(&self.subject, registry, error);
        if !error.passes() || self.breaks >= self.wire.options.retries {
            return Err(match self.received {
                0 => error,
                _ => Error::Cut {
                    subject: self.subject.clone(),
                    received: self.received,
                    expected: self.size,
                    source: Box::new(error),
                },
            });
        }
        std::thread::sleep(self.wire.delay(self.breaks, None));
        self.breaks += 1;
        self.pieces =
            request(&self.wire, &self.reference, &self.subject, self.digest, self.size, self.received)?;
        Ok(())
    }

    fn verify(&mut self) -> Result<(), Error> {
        if self.received != self.size {
            return Err(self.length("came"));
        }
        let actual = std::mem::take(&mut self.hasher).finish();
        if actual != self.digest {
            return Err(Error::Digest { subject: self.subject.clone(), expected: self.digest, actual });
        }
        Ok(())
    }

    fn length(&self, verb: &'static str) -> Error {
        Error::Length { subject: self.subject.clone(), expected: self.size, actual: self.received, verb }
    }
}

impl Read for BlobReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.piece.is_empty() {
            match self.state {
                State::Receiving => {}
                State::Complete => return Ok(0),
                State::Failed => {
                    return Err(io::Error::other(format!("{}: read after an error", self.subject)));
                }
            }
            self.state = State::Failed;
            let Some(piece) = self.next_piece().map_err(io::Error::other)? else {
                self.state = State::Complete;
                return Ok(0);
            };
            self.piece = piece;
            self.state = State::Receiving;
        }
        let len = buf.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buf[..len]);
        Ok(len)
    }
}

/// Asks for a blob from `offset` on. What arrives goes into the channel until the reader is gone.
fn request(
    wire: &Arc<Wire>,
    reference: &Reference,
    subject: &str,
    digest: Digest,
    size: u64,
    offset: u64,
) -> Result<mpsc::Receiver<reqwest::Result<Bytes>>, Error> {
    let answer = wire.attempt(subject, reference, Action::Pull, |route| {
        let url = route.endpoint.url(&format!("{}/blobs/{digest}", reference.repository()));
        let mut request = route.grant.on(route.endpoint.http.get(url));
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        let (subject, host) = (subject.to_owned(), route.endpoint.host.clone());
        wire.runtime.run(async move { accepted(&subject, &host, request).await })
    })?;
    let skip = offset - starts_at(subject, &answer, offset)?;
    let announced = answer.content_length().map(|length| length + offset - skip);
    if let Some(actual) = announced.filter(|length| *length != size) {
        let subject = subject.to_owned();
        return Err(Error::Length { subject, expected: size, actual, verb: "are announced" });
    }
    let (sender, pieces) = mpsc::channel(AHEAD);
    // Runs until the body ends or nobody reads it any more; what it finds out is in the channel.
    drop(wire.runtime.spawn(receive(answer, skip, sender)));
    Ok(pieces)
}

/// The place in the blob where the answer's body starts: the one asked for, or 0 if the server knows no ranges.
fn starts_at(subject: &str, answer: &Response, offset: u64) -> Result<u64, Error> {
    if answer.status() != 206 {
        return Ok(0);
    }
    let range = answer.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
    let first = range.strip_prefix("bytes ").and_then(|range| range.split('-').next());
    match first.and_then(|first| first.parse::<u64>().ok()) {
        Some(first) if first == offset => Ok(offset),
        _ => Err(Error::Protocol {
            subject: subject.to_owned(),
            what: format!("Content-Range {range:?} for bytes from {offset} on"),
        }),
    }
}

/// Moves a body, without its first `skip` bytes, into the channel.
async fn receive(mut answer: Response, mut skip: u64, sender: mpsc::Sender<reqwest::Result<Bytes>>) {
    loop {
        let piece = match answer.chunk().await {
            Ok(Some(mut piece)) => {
                let known = usize::try_from(skip).map_or(piece.len(), |skip| skip.min(piece.len()));
                piece.advance(known);
                skip -= known as u64;
                Ok(piece)
            }
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let broken = piece.is_err();
        if sender.send(piece).await.is_err() || broken {
            return;
        }
    }
}
