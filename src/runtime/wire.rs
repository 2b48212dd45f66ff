//! What the coordinator and the sandbox say to each other: JSON in packets, with descriptors.
//!
//! A packet holds what fits into a socket's buffer. A longer message (a job with a long environment) travels as a
//! memory file whose descriptor comes last; the index of a layer, which may be many megabytes, always does.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rbuild_userns::socket::Packets;
use rustix::fs::MemfdFlags;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Error, Exit, Groups, Job, LayerFiles, Network, RootfsChoice, Stdin, Traced};
use crate::fuse::{NoRings, Transport};
use crate::layer::Written;
use crate::oci::DiffId;

/// The longest packet, in bytes: far below the socket buffer of 208 KiB that the kernel gives by default.
const PACKET_LIMIT: usize = 64 << 10;
/// The longest message, in bytes. Arguments and environment are bound to about 2 MiB by `execve` itself.
const MESSAGE_LIMIT: u64 = 16 << 20;
/// The longest index of one layer, in bytes: ten million entries at a hundred bytes.
const INDEX_LIMIT: u64 = 1 << 30;
/// The longest trace, in bytes; who keeps one has a bound of its own below that.
const TRACE_LIMIT: u64 = 64 << 20;

/// How a sandbox comes into being; said over the control connection.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Birth {
    /// Coordinator: begin, in these namespaces.
    Begin(Users, Groups),
    /// Sandbox: in its namespaces, waiting for its id map.
    Unshared,
    /// Coordinator: the map is written.
    Mapped,
    /// Sandbox: ready for connections.
    Ready,
    /// Sandbox: it cannot start, and why.
    Failed(String),
}

/// Whose user namespace a sandbox lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Users {
    /// Its own.
    New,
    /// The coordinator's, which is privileged.
    Kept,
}

/// Coordinator to init: a new connection (the descriptor that comes along).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Connect {
    /// What init empties should the coordinator die.
    pub live: Option<PathBuf>,
    /// What it empties at its end.
    pub shelf: Option<PathBuf>,
}

/// The first message on a connection.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Request {
    /// Run a command. Descriptors: the tar to write, standard output, standard error, and of a pipe the standard input.
    Run(Box<Job>, Stdin),
    /// Try every driver with this scratch directory.
    Probe(PathBuf),
    /// Try what else a step may need of the kernel.
    Try,
    /// Bring this network up and take it down again.
    ProbeNetwork(Network),
    /// Remove these directory trees.
    Sweep(Vec<PathBuf>),
    /// Write what a cache of RUN holds. Descriptor: the tar to write.
    Pack(PathBuf),
    /// Give a cache of RUN what a layer holds.
    Fill {
        /// The cache.
        directory: PathBuf,
        /// All of it, and nothing else.
        layer: LayerFiles,
        /// An empty directory of the store.
        live: PathBuf,
    },
}

/// A request that was really made, and the errno if it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub request: rbuild_userns::host::Request,
    pub errno: Option<i32>,
}

/// What the coordinator may say while a command runs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Interrupt {
    /// End it.
    Stop,
}

/// What came of trying the drivers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Trials {
    /// Each with its refusal.
    pub(crate) drivers: Vec<(RootfsChoice, Option<String>)>,
    /// How FUSE requests come; `None` without FUSE.
    pub(crate) transport: Option<Transport>,
    /// Why not through rings.
    pub(crate) no_rings: Option<NoRings>,
    /// Why nobody answers them on the caller's CPU.
    pub(crate) no_companions: Option<String>,
}

/// The answer to a request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reply {
    /// The command ended. With a layer its index comes along, and then what the command looked at.
    Ran {
        /// How.
        exit: Exit,
        /// The frozen layer, if it is kept after such an end.
        layer: Option<Summary>,
        /// What comes of the trace.
        trace: Told,
    },
    /// The terminal of the command, by its other end, which comes along. The answer proper follows.
    Terminal,
    /// It was stopped as asked.
    Stopped,
    /// What works.
    Probed(Trials),
    /// What came of it.
    Tried(Vec<Attempt>),
    /// The network works, and this program carries its packets.
    ProbedNetwork(Option<String>),
    /// The trees are gone.
    Swept,
    /// The tar is written.
    Packed,
    /// The cache is filled.
    Filled,
    /// It cannot be done, and why.
    Refused(String),
}

/// What is told of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Told {
    /// There is none.
    Nothing,
    /// It comes along, last.
    Seen,
    /// It cannot be told, and why.
    Lost(String),
}

impl Told {
    /// Divides it into what fits a message and a file.
    pub(crate) fn divide(traced: Option<&Traced>) -> Result<(Self, Option<OwnedFd>), Error> {
        Ok(match traced {
            None => (Self::Nothing, None),
            Some(Traced::Seen(bytes)) => (Self::Seen, Some(memory_file("trace", bytes)?)),
            Some(Traced::Lost(why)) => (Self::Lost(why.clone()), None),
        })
    }

    /// Puts it together again. It comes last of `descriptors`.
    pub(crate) fn join(self, descriptors: &mut Vec<OwnedFd>) -> Result<Option<Traced>, Error> {
        Ok(match self {
            Self::Nothing => None,
            Self::Lost(why) => Some(Traced::Lost(why)),
            Self::Seen => {
                let came_without = || Error::Protocol("a trace came without its file".to_owned());
                let file = descriptors.pop().ok_or_else(came_without)?;
                Some(Traced::Seen(read_whole(file, TRACE_LIMIT)?))
            }
        })
    }
}

/// A [`Written`] without its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub diff_id: DiffId,
    pub size: u64,
    pub entries: u64,
}

impl Summary {
    /// Divides a layer into what fits a message and a file for its index.
    pub(crate) fn divide(written: &Written) -> Result<(Self, OwnedFd), Error> {
        let summary = Self { diff_id: written.diff_id, size: written.size, entries: written.entries };
        Ok((summary, memory_file("index", &written.index)?))
    }

    /// Puts it together again.
    pub(crate) fn join(self, index: OwnedFd) -> Result<Written, Error> {
        let index = read_whole(index, INDEX_LIMIT)?;
        Ok(Written { diff_id: self.diff_id, size: self.size, entries: self.entries, index })
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Channel(Packets);

/// How the JSON of a packet travels: its first byte.
const INLINE: u8 = b'i';
const IN_FILE: u8 = b'f';

impl Channel {
    /// Both ends of a new connection.
    pub(crate) fn pair() -> Result<(Self, Self), Error> {
        let (here, there) = Packets::pair()?;
        Ok((Self(here), Self(there)))
    }

    /// A descriptor that should be one end; `None` if it is not a socket of our kind.
    pub(crate) fn from_descriptor(descriptor: OwnedFd) -> Option<Self> {
        Packets::from_descriptor(descriptor).map(Self)
    }

    /// Sends a message and descriptors.
    pub(crate) fn send<T: Serialize>(&self, message: &T, with: &[BorrowedFd<'_>]) -> Result<(), Error> {
        let mut packet = vec![INLINE];
        serde_json::to_writer(&mut packet, message)?;
        if packet.len() <= PACKET_LIMIT {
            return Ok(self.0.send(&packet, with)?);
        }
        let file = memory_file("message", &packet[1..])?;
        let descriptors: Vec<_> = with.iter().copied().chain([file.as_fd()]).collect();
        Ok(self.0.send(&[IN_FILE], &descriptors)?)
    }

    /// Receives a message and exactly `count` descriptors. `None`: the other end is gone.
    pub(crate) fn receive_with<T: DeserializeOwned>(
        &self,
        count: usize,
    ) -> Result<Option<(T, Vec<OwnedFd>)>, Error> {
        let Some((message, descriptors)) = self.receive_any()? else { return Ok(None) };
        if descriptors.len() != count {
            let found = descriptors.len();
            return Err(Error::Protocol(format!("{found} descriptors came along, expected {count}")));
        }
        Ok(Some((message, descriptors)))
    }

    /// Receives a message without descriptors. `None`: the other end is gone.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        Ok(self.receive_with(0)?.map(|(message, _)| message))
    }

    /// Receives a message and whatever descriptors come along. `None`: the other end is gone.
    pub(crate) fn receive_any<T: DeserializeOwned>(&self) -> Result<Option<(T, Vec<OwnedFd>)>, Error> {
        let Some(mut packet) = self.0.receive(PACKET_LIMIT)? else { return Ok(None) };
        let message = match (packet.bytes.split_first(), packet.descriptors.len()) {
            (Some((&INLINE, json)), _) => serde_json::from_slice(json)?,
            (Some((&IN_FILE, [])), 1..) => {
                let file = packet.descriptors.pop().expect("at least one, by the pattern");
                serde_json::from_slice(&read_whole(file, MESSAGE_LIMIT)?)?
            }
            _ => return Err(Error::Protocol("a packet of unknown form".to_owned())),
        };
        Ok(Some((message, packet.descriptors)))
    }

    /// Ends the connection for both sides, also for whoever holds a copy of it.
    pub(crate) fn shut_down(&self) -> Result<(), Error> {
        Ok(self.0.shut_down()?)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn memory_file(name: &str, bytes: &[u8]) -> Result<OwnedFd, Error> {
    let mut file = File::from(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file.into())
}

fn read_whole(file: OwnedFd, limit: u64) -> Result<Vec<u8>, Error> {
    let mut file = File::from(file);
    let len = file.metadata()?.len();
    if len > limit {
        return Err(Error::Protocol(format!("a message of {len} bytes, more than {limit}")));
    }
    file.rewind()?;
    let mut bytes = Vec::new();
    // the sender may still hold the file and write on: never more than the limit
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An error and its causes as one line, for the other side of a connection.
pub(crate) fn in_words(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut words: Vec<String> = causes.map(ToString::to_string).collect();
    words.dedup();
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_every_length_arrive() {
        let (here, there) = Channel::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        for len in [0, 1, PACKET_LIMIT - 3, PACKET_LIMIT - 2, PACKET_LIMIT, 5 << 20] {
            let text = "x".repeat(len);
            here.send(&text, &[file.as_fd()]).unwrap();
            let (came, descriptors) = there.receive_with::<String>(1).unwrap().unwrap();
            assert_eq!(came.len(), len);
            assert_eq!(descriptors.len(), 1, "of length {len}");
        }
        drop(here);
        assert!(there.receive::<String>().unwrap().is_none());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let rows: &[(&[u8], &str)] = &[
            (b"x", "unknown form"),
            (b"f", "unknown form"),
            (b"fmore", "unknown form"),
            (b"i", "message of the sandbox"),
            (b"i{", "message of the sandbox"),
            (b"i{\"stop\":1}", "message of the sandbox"),
        ];
        for (bytes, want) in rows {
            let (here, there) = Packets::pair().unwrap();
            here.send(bytes, &[]).unwrap();
            let error = Channel(there).receive::<Interrupt>().unwrap_err().to_string();
            assert!(error.contains(want), "{}: {error}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_message_above_the_limit_is_refused() {
        let (here, there) = Packets::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        file.set_len(MESSAGE_LIMIT + 1).unwrap();
        here.send(&[IN_FILE], &[file.as_fd()]).unwrap();
        let error = Channel(there).receive::<Interrupt>().unwrap_err().to_string();
        assert!(error.contains("16777217 bytes"), "{error}");
    }
}
