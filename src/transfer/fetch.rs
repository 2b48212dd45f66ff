//! One layer: from the registry, or from its packed blob, to tar and index.

use std::io::{self, BufReader, Read, Write};

use super::Error;
use super::parallel::Stop;
use super::pull::Pull;
use crate::layer::{self, Limits, Written};
use crate::oci::{Descriptor, DiffId, Digest};
use crate::progress::{Event, Sink};
use crate::registry;
use crate::store::{Store, TmpFile};

/// How much is taken from the network at once, in bytes.
const PIECE: usize = 256 * 1024;

/// Sees to it that the layer is in the store, packed as `blob` and plain as `diff_id`.
pub(super) fn layer(pull: &Pull<'_>, blob: &Descriptor, diff_id: DiffId, stop: &Stop) -> Result<(), Error> {
    if is_here(pull.store, blob, diff_id)? {
        return Ok(());
    }
    let _turn = pull.store.lock_blob(&blob.digest)?;
    if is_here(pull.store, blob, diff_id)? {
        return Ok(());
    }
    let packed = if blob.digest == diff_id.0 { None } else { Some(pull.store.tmp_file()?) };
    let tar = pull.store.tmp_file()?;
    pull.sink.event(Event::TransferStarted { blob: blob.digest, verb: "pull", size: blob.size });
    let source = pull.source.blob(blob)?;
    let copy = packed.as_ref();
    let mut tee = Tee { source, copy, blob: blob.digest, sink: pull.sink, stop, failure: None };
    let written = unpack(&pull.name, &mut tee, &tar)?;
    if written.diff_id != diff_id {
        let (name, blob, actual) = (pull.name.clone(), blob.digest, written.diff_id);
        return Err(Error::DiffId { name, blob, expected: diff_id, actual });
    }
    pull.store.commit_layer(tar, &written)?;
    if let Some(packed) = packed {
        pull.store.commit_blob(packed, blob.digest)?;
        pull.store.record_diff_id(&blob.digest, &diff_id)?;
    }
    pull.sink.event(Event::TransferDone { blob: blob.digest });
    Ok(())
}

/// Whether both forms are here and are known to be the same layer; if so they stay for as long as the store is
/// open. A tar that cannot be opened counts as absent: fetching it anew repairs it, or meets the same trouble
/// with less to lose.
fn is_here(store: &Store, blob: &Descriptor, diff_id: DiffId) -> Result<bool, Error> {
    let same = blob.digest == diff_id.0 || store.diff_id_of(&blob.digest)? == Some(diff_id);
    if !same || !store.holds(&blob.digest, blob.size)? {
        return Ok(false);
    }
    match store.layer(&diff_id) {
        Ok(layer) => Ok(store.holds(&diff_id.0, layer.size)?),
        Err(_) => Ok(false),
    }
}

/// Unpacks all that comes out of `tee` into `tar`.
fn unpack(name: &str, tee: &mut Tee<'_>, tar: &TmpFile) -> Result<Written, Error> {
    let blob = tee.blob;
    let file = tar.file().try_clone().map_err(Error::file(tar.path()))?;
    let outcome = layer::decompress(Box::new(BufReader::with_capacity(PIECE, &mut *tee)))
        .and_then(|(_, mut plain)| layer::ingest(&mut plain, file, &Limits::default()));
    // The blob's digest is known at its end only, and if that is wrong, nothing else is worth telling.
    let mut rest = [0; 8192];
    while tee.failure.is_none() && tee.step(&mut rest)? > 0 {}
    match tee.failure.take() {
        Some(failure) => Err(failure),
        None => {
            outcome.map_err(|source| Error::Unpack { name: name.to_owned(), blob, source: Box::new(source) })
        }
    }
}

/// What a blob's reader says within its `io::Error`.
pub(super) fn blob_error(error: io::Error) -> Error {
    // a layout's tells an error of this room
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::Registry(error.downcast().unwrap_or_else(registry::Error::Io)),
    }
}

/// A blob that is kept while it is read.
struct Tee<'a> {
    source: Box<dyn Read + Send>,
    copy: Option<&'a TmpFile>,
    blob: Digest,
    sink: &'a dyn Sink,
    stop: &'a Stop,
    /// Why reading ended early. Whoever reads gets an `io::Error` and may wrap it beyond recognition.
    failure: Option<Error>,
}

impl Tee<'_> {
    fn step(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        if self.stop.is_set() {
            return Err(Error::Stopped);
        }
        let len = self.source.read(buf).map_err(blob_error)?;
        if let Some(copy) = self.copy {
            copy.file().write_all(&buf[..len]).map_err(Error::file(copy.path()))?;
        }
        if len > 0 {
            self.sink.event(Event::TransferAdvanced { blob: self.blob, bytes: len as u64 });
        }
        Ok(len)
    }
}

impl Read for Tee<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.step(buf).map_err(|failure| {
            self.failure.get_or_insert(failure);
            io::Error::other("the transfer failed")
        })
    }
}
