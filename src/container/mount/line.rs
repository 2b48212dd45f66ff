//! The line between a command and the server of a mounted root.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::Error;
use crate::store::LayerRecord;

/// The socket in the server's live directory.
const CONTROL: &str = "control";
/// The one question: what was written?
const CHANGES: u8 = b'c';

/// How long the server may take to show what the record says now.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open line. Closed by dropping, which waits until the server shows what the record says by then.
#[derive(Debug)]
pub(in crate::container) struct Line(UnixStream);

impl Drop for Line {
    fn drop(&mut self) {
        // A server that is gone, or stuck, tells nothing; the next command will find that out.
        drop(self.0.set_read_timeout(Some(PATIENCE)));
        drop(self.0.shutdown(Shutdown::Write));
        drop((&self.0).read(&mut [0]));
    }
}

/// What the server answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The layer of what was written; `None`: nothing was.
    Layer(Option<LayerRecord>),
    /// Why there is none, in words.
    Failed(String),
}

/// Whether the server with this live directory lives. It may be busy: nothing is waited for.
pub(super) fn is_there(live: &Path) -> Result<bool, Error> {
    Ok(connect(live)?.is_some())
}

fn connect(live: &Path) -> Result<Option<UnixStream>, Error> {
    match in_directory(live, UnixStream::connect) {
        Ok(stream) => Ok(Some(stream)),
        Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(why) => Err(failed("connect to the server", live)(why)),
    }
}

impl Line {
    /// To the server with this live directory; `None` if there is none any more.
    pub(super) fn open(live: &Path) -> Result<Option<Self>, Error> {
        Ok(connect(live)?.map(Self))
    }

    /// Has what was written made a layer of the store. `None`: the server is no more.
    pub(super) fn ask(&self) -> Result<Option<Answer>, Error> {
        let talk = || -> io::Result<_> {
            (&self.0).write_all(&[CHANGES])?;
            let mut answer = String::new();
            BufReader::new(&self.0).read_line(&mut answer)?;
            if answer.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(&answer)?)) }
        };
        match talk() {
            // One that is being killed still has its socket for a moment.
            Err(why) if matches!(why.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Ok(None),
            heard => heard.map_err(|why| Error::Mount(format!("ask the server of the mount: {why}"))),
        }
    }

    /// The other side: answers each question by `changes`, until the line is closed.
    pub(super) fn answer(mut stream: &UnixStream, mut changes: impl FnMut() -> Answer) -> io::Result<()> {
        let mut question = [0];
        while stream.read(&mut question)? == 1 {
            let mut answer = serde_json::to_string(&changes())?;
            answer.push('\n');
            stream.write_all(answer.as_bytes())?;
        }
        Ok(())
    }
}

/// Where the server listens.
pub(super) fn listen(live: &Path) -> Result<UnixListener, Error> {
    in_directory(live, UnixListener::bind).map_err(failed("listen in", live))
}

/// Removes the socket.
pub(super) fn hang_up(live: &Path) -> Result<(), Error> {
    std::fs::remove_file(live.join(CONTROL)).map_err(failed("remove the socket in", live))
}

/// The name of a socket has 107 bytes at most, so the directory is named by a descriptor (unix(7)).
fn in_directory<T>(live: &Path, work: impl FnOnce(PathBuf) -> io::Result<T>) -> io::Result<T> {
    let directory =
        rustix::fs::open(live, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    work(format!("/proc/self/fd/{}/{CONTROL}", directory.as_raw_fd()).into())
}

pub(super) fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |why| Error::Mount(format!("{what} {}: {why}", path.display()))
}
