//! An ssh agent for one command: a socket of our own, behind which the agent of the user stands, or keys of files.
//!
//! Only two things are let through (OpenSSH, PROTOCOL.agent): what keys there are, and a signature by one of them. A
//! command can neither add, remove nor lock keys, and a key that was read from a file never leaves this process.

mod keys;
mod protocol;

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};

pub use keys::Key;

/// How many connections a command may have at a time.
const CONNECTIONS: usize = 64;

/// What answers for an agent.
#[derive(Clone, Debug)]
pub enum Backend {
    /// The agent that listens at this socket.
    Socket(PathBuf),
    /// These keys.
    Keys(Arc<Vec<Key>>),
}

/// What goes wrong with an agent or a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket of our own.
    #[error("listen at {}", path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A key file is not what OpenSSH writes.
    #[error(
        "{name}: no private key in OpenSSH's format (ssh-keygen -p -f FILE rewrites an older one): {why}"
    )]
    NoKey {
        /// What it is called.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A key file has a passphrase, which nobody is asked for.
    #[error("{0}: the key is encrypted: add it to an agent (ssh-add) and forward that")]
    Encrypted(String),
    /// A key of a kind that is not carried out.
    #[error("{name}: keys of type {kind} are not supported: add it to an agent (ssh-add) and forward that")]
    Kind {
        /// What it is called.
        name: String,
        /// `ssh-dss`, …
        kind: String,
    },
}

/// A running agent. Dropped, it ends, with every connection to it.
#[derive(Debug)]
pub struct Agent {
    path: PathBuf,
    /// Closed, it wakes the listener.
    stop: Option<io::PipeWriter>,
    listener: Option<JoinHandle<()>>,
    connections: Connections,
}

type Connections = Arc<Mutex<Vec<Weak<UnixStream>>>>;

impl Agent {
    /// Listens at `path`, where nothing is yet, for the user of this process alone.
    pub fn start(backend: Backend, path: &Path) -> Result<Self, Error> {
        let at = |source| Error::Listen { path: path.to_owned(), source };
        let listener = bind(path).map_err(at)?;
        let (stopped, stop) = io::pipe().map_err(at)?;
        let connections = Connections::default();
        let theirs = Arc::clone(&connections);
        let serve = move || listen(&listener, &stopped, &backend, &theirs);
        let thread = thread::Builder::new().name("ssh agent".to_owned()).spawn(serve).map_err(at)?;
        Ok(Self { path: path.to_owned(), stop: Some(stop), listener: Some(thread), connections })
    }
}

/// What cannot be removed goes with the directory. A thread that panicked has told so itself.
impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.listener.take().map(JoinHandle::join));
        for connection in living(&self.connections) {
            drop(connection.shutdown(std::net::Shutdown::Both));
        }
        drop(std::fs::remove_file(&self.path));
    }
}

/// By the descriptor of its directory: the name of a socket has room for 108 bytes, and a store may lie deep.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let (directory, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory: OwnedFd = rustix::fs::open(directory, flags, Mode::empty())?;
    let near = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    let listener = UnixListener::bind(near)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn listen(listener: &UnixListener, stopped: &io::PipeReader, backend: &Backend, connections: &Connections) {
    loop {
        let mut polled = [PollFd::new(listener, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        if !polled[1].revents().is_empty() {
            return;
        }
        // one that went away again, or for which there is no descriptor left, is refused by being closed
        let Ok((connection, _)) = listener.accept() else { continue };
        if living(connections).len() < CONNECTIONS && connection.set_nonblocking(false).is_ok() {
            let connection = Arc::new(connection);
            lock(connections).push(Arc::downgrade(&connection));
            let backend = backend.clone();
            let serve = move || protocol::serve(&connection, &backend);
            // without a thread it is closed
            drop(thread::Builder::new().name("ssh connection".to_owned()).spawn(serve));
        }
    }
}

/// The connections that are open; those that are not are forgotten.
fn living(connections: &Connections) -> Vec<Arc<UnixStream>> {
    let mut connections = lock(connections);
    connections.retain(|connection| connection.strong_count() > 0);
    connections.iter().filter_map(Weak::upgrade).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a key file.
pub fn read_key(path: &Path) -> io::Result<String> {
    use std::io::Read as _;
    /// The longest key file, in bytes: that of an RSA key of 16384 bits has a fifth of it.
    const LIMIT: u64 = 64 << 10;
    let mut text = String::new();
    File::open(path)?.take(LIMIT).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Runs a program of OpenSSH against an agent.
    fn ask(agent: &Path, program: &str, args: &[&str]) -> (bool, String) {
        let output = Command::new(program).args(args).env("SSH_AUTH_SOCK", agent).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    fn generate(dir: &Path, name: &str, options: &[&str]) -> PathBuf {
        let path = dir.join(name);
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-C", name, "-f"]).arg(&path).args(options);
        assert!(command.status().expect("the package openssh-client is installed").success());
        path
    }

    const KINDS: [(&str, &[&str]); 4] = [
        ("ed25519", &["-t", "ed25519", "-N", ""]),
        ("rsa", &["-t", "rsa", "-b", "2048", "-N", ""]),
        ("p256", &["-t", "ecdsa", "-b", "256", "-N", ""]),
        ("p384", &["-t", "ecdsa", "-b", "384", "-N", ""]),
    ];

    #[test]
    fn keys_of_files_sign_as_openssh_expects() {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<_> = KINDS.iter().map(|(name, options)| generate(dir.path(), name, options)).collect();
        let keys = files.iter().map(|file| Key::parse("key", &read_key(file).unwrap()).unwrap());
        // deeper than the name of a socket may be long
        let deep = dir.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let socket = deep.join("s");
        let agent = Agent::start(Backend::Keys(Arc::new(keys.collect())), &socket).unwrap();
        let near = dir.path().join("near");
        std::os::unix::fs::symlink(&deep, &near).unwrap();
        let near = near.join("s");
        let (good, listed) = ask(&near, "ssh-add", &["-l"]);
        assert!(good && KINDS.iter().all(|(name, _)| listed.contains(name)), "{listed}");
        for (file, (name, _)) in files.iter().zip(KINDS) {
            // signs by the agent; RSA by SHA-512
            let public = file.with_extension("pub");
            let (data, signature) = (dir.path().join("data"), dir.path().join("data.sig"));
            std::fs::write(&data, name).unwrap();
            let [public, data] = [&public, &data].map(|path| path.to_str().unwrap());
            let (good, said) = ask(&near, "ssh-keygen", &["-Y", "sign", "-n", "file", "-f", public, data]);
            assert!(good, "{name}: {said}");
            let signature = signature.to_str().unwrap();
            let verify = format!("ssh-keygen -Y check-novalidate -n file -s {signature} < {data}");
            let (good, said) = ask(&near, "sh", &["-c", &verify]);
            assert!(good, "{name}: {said}");
            std::fs::remove_file(signature).unwrap();
        }
        for args in [&["-D"][..], &["-x"], &["-d", files[0].to_str().unwrap()], &[files[0].to_str().unwrap()]]
        {
            let (good, said) = ask(&near, "ssh-add", args);
            assert!(!good || said.contains("refused") || args == ["-x"], "{args:?}: {said}");
        }
        assert!(ask(&near, "ssh-add", &["-l"]).1.lines().count() == KINDS.len());
        drop(agent);
        assert!(!socket.exists());
    }

    #[test]
    fn what_is_no_key_is_refused_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let read = |path: &Path| Key::parse("the key", &read_key(path).unwrap()).unwrap_err().to_string();
        let encrypted = generate(dir.path(), "e", &["-t", "ed25519", "-N", "passphrase"]);
        assert!(read(&encrypted).starts_with("the key: the key is encrypted"));
        // One in some hundreds begins with so many zeros that the parser takes it for malformed.
        let mut large = ["l", "m", "n"]
            .iter()
            .map(|name| read(&generate(dir.path(), name, &["-t", "ecdsa", "-b", "521", "-N", ""])));
        assert!(large.any(|said| said.contains("keys of type ecdsa-sha2-nistp521 are not supported")));
        let old = generate(dir.path(), "o", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""]);
        assert!(read(&old).contains("ssh-keygen -p -f FILE rewrites an older one"));
        assert!(read(&encrypted.with_extension("pub")).contains("no private key in OpenSSH's format"));
    }

    #[test]
    fn an_agent_is_forwarded_but_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        let key = generate(dir.path(), "k", &["-t", "ed25519", "-N", ""]);
        let own = dir.path().join("own");
        let mut program = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&own)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while UnixStream::connect(&own).is_err() {
            thread::yield_now();
        }
        assert!(ask(&own, "ssh-add", &[key.to_str().unwrap()]).0);
        let socket = dir.path().join("forwarded");
        let agent = Agent::start(Backend::Socket(own.clone()), &socket).unwrap();
        let (good, listed) = ask(&socket, "ssh-add", &["-l"]);
        assert!(good && listed.contains("ED25519"), "{listed}");
        assert!(ask(&socket, "ssh-add", &["-T", key.with_extension("pub").to_str().unwrap()]).0);
        ask(&socket, "ssh-add", &["-D"]);
        assert!(ask(&own, "ssh-add", &["-l"]).1.contains("ED25519"), "still there");
        program.kill().unwrap();
        program.wait().unwrap();
        let (good, _) = ask(&socket, "ssh-add", &["-l"]);
        assert!(!good, "an agent that is gone has no keys");
        drop(agent);
    }
}
