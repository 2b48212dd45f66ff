//! Bytes on their way into a layer: written in 1 MiB chunks while another thread hashes the chunk before.
//!
//! SHA-256 and the copy into the page cache cost about the same, so that doing them side by side doubles the speed. A
//! layer of less than one chunk (a WORKDIR, a small COPY) starts no thread. At most [`CHUNKS`] chunks exist.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use super::Error;
use crate::oci::{Digest, Hasher};

/// Length of a full chunk, in bytes.
pub(super) const CHUNK: usize = 1 << 20;
/// One being filled or parsed, one waiting, one being hashed, one to spare.
const CHUNKS: usize = 4;

/// Takes full chunks, writes them one after the other from the start of a file, and hashes them.
pub(super) struct Spool {
    out: Option<File>,
    hashing: Option<Hashing>,
    at: u64,
    pool: Vec<Arc<Vec<u8>>>,
}

enum Hashing {
    Here(Hasher),
    Beside { chunks: SyncSender<Arc<Vec<u8>>>, thread: JoinHandle<Hasher> },
}

impl Spool {
    /// Writes to `out` and hashes.
    pub(super) fn write_to(out: File) -> Self {
        Self { out: Some(out), ..Self::hash_only() }
    }

    /// Hashes and writes nothing.
    pub(super) fn hash_only() -> Self {
        Self { hashing: Some(Hashing::Here(Hasher::default())), ..Self::pass() }
    }

    /// Only lends buffers.
    pub(super) fn pass() -> Self {
        Self { out: None, hashing: None, at: 0, pool: Vec::with_capacity(CHUNKS) }
    }

    /// A buffer of [`CHUNK`] bytes, with arbitrary content, to be filled and given to [`Spool::commit`].
    pub(super) fn spare(&mut self) -> Vec<u8> {
        let unused = self.pool.iter().position(|chunk| Arc::strong_count(chunk) == 1);
        let recycled = unused.and_then(|at| Arc::try_unwrap(self.pool.swap_remove(at)).ok());
        // Zeroed by the kernel, page by page as they are touched: a small layer takes little of it.
        let mut chunk = recycled.unwrap_or_else(|| vec![0; CHUNK]);
        chunk.resize(CHUNK, 0);
        chunk
    }

    /// Writes and hashes `chunk`. It comes back to be read; drop it before the next [`Spool::spare`].
    pub(super) fn commit(&mut self, chunk: Vec<u8>) -> Result<Arc<Vec<u8>>, Error> {
        let chunk = Arc::new(chunk);
        if let Some(hashing) = &mut self.hashing {
            hashing.update(&chunk);
        }
        if let Some(out) = &self.out {
            out.write_all_at(&chunk, self.at).map_err(|source| Error::Write { offset: self.at, source })?;
        }
        self.at += chunk.len() as u64;
        self.pool.push(Arc::clone(&chunk));
        Ok(chunk)
    }

    /// Digest and number of all bytes committed.
    pub(super) fn finish(self) -> (Digest, u64) {
        let hasher = self.hashing.map_or_else(Hasher::default, Hashing::finish);
        (hasher.finish(), self.at)
    }
}

impl Hashing {
    fn update(&mut self, chunk: &Arc<Vec<u8>>) {
        if let (Self::Here(hasher), CHUNK) = (&*self, chunk.len()) {
            // More will follow. Where the system has no thread left, hashing goes on here, only slower.
            if let Some(beside) = Self::beside(hasher.clone()) {
                *self = beside;
            }
        }
        match self {
            Self::Here(hasher) => hasher.update(chunk),
            // The thread ends only when this sender is dropped, or by a panic, which `finish` passes on.
            Self::Beside { chunks, .. } => drop(chunks.send(Arc::clone(chunk))),
        }
    }

    fn beside(mut hasher: Hasher) -> Option<Self> {
        let (chunks, incoming) = sync_channel::<Arc<Vec<u8>>>(1);
        let thread = Builder::new()
            .name("sha256".to_owned())
            .spawn(move || {
                while let Ok(chunk) = incoming.recv() {
                    hasher.update(&chunk);
                }
                hasher
            })
            .ok()?;
        Some(Self::Beside { chunks, thread })
    }

    fn finish(self) -> Hasher {
        match self {
            Self::Here(hasher) => hasher,
            Self::Beside { chunks, thread } => {
                drop(chunks);
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_spool_keeps_every_byte_and_few_buffers() {
        for lengths in [vec![], vec![1], vec![CHUNK], vec![CHUNK, CHUNK, 7], vec![CHUNK; 6]] {
            let mut file = tempfile::tempfile().unwrap();
            let mut spool = Spool::write_to(file.try_clone().unwrap());
            let mut want = Vec::new();
            for (fill, len) in (1..).zip(&lengths) {
                let mut chunk = spool.spare();
                chunk.truncate(*len);
                chunk.fill(fill);
                want.extend_from_slice(&chunk);
                spool.commit(chunk).unwrap();
                assert!(spool.pool.len() <= CHUNKS, "{lengths:?}");
            }
            assert_eq!(spool.finish(), (Digest::of(&want), want.len() as u64), "{lengths:?}");
            let mut found = Vec::new();
            file.read_to_end(&mut found).unwrap();
            assert!(found == want, "{lengths:?}");
        }
    }
}
