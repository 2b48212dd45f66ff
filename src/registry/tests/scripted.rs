//! An HTTP/1.1 server that answers as told, well or badly.
//!
//! One thread, one connection at a time, each closed after its answer.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::loopback::Loopback;

/// What was asked.
pub(crate) struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    pub body: Vec<u8>,
    headers: HashMap<String, String>,
}

impl Request {
    /// The header called `name`, in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn read(stream: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split_whitespace();
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
                None => break,
            };
        }
        let length = headers.get("content-length").map_or(0, |length: &String| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Self { method, path, body, headers })
    }
}

/// What to answer.
pub(crate) struct Reply {
    head: Vec<String>,
    body: Vec<u8>,
    length: Length,
}

enum Length {
    True,
    Unannounced,
    Promised(usize),
    Endless,
    /// No answer at all, or `body` without a head.
    Raw,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            head: vec![format!("HTTP/1.1 {status} X"), "Connection: close".to_owned()],
            body: Vec::new(),
            length: Length::True,
        }
    }

    pub(crate) fn hang_up() -> Self {
        Self { head: Vec::new(), body: Vec::new(), length: Length::Raw }
    }

    pub(crate) fn garbage() -> Self {
        Self { body: b"SSH-2.0-nonsense\r\n\r\n".to_vec(), ..Self::hang_up() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push(format!("{name}: {value}"));
        self
    }

    pub(crate) fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_owned();
        self
    }

    pub(crate) fn json(self, body: &str) -> Self {
        self.header("Content-Type", "application/json").body(body.as_bytes())
    }

    /// Announces `length` bytes, whatever the body has.
    pub(crate) fn promise(mut self, length: usize) -> Self {
        self.length = Length::Promised(length);
        self
    }

    /// The body ends where the connection does.
    pub(crate) fn unannounced(mut self) -> Self {
        self.length = Length::Unannounced;
        self
    }

    /// A body that does not end before its reader does.
    pub(crate) fn endless(mut self) -> Self {
        self.length = Length::Endless;
        self
    }

    fn write(mut self, stream: &mut TcpStream, to_head: bool) -> std::io::Result<()> {
        match self.length {
            Length::Raw => return stream.write_all(&self.body),
            Length::True => self.head.push(format!("Content-Length: {}", self.body.len())),
            Length::Promised(length) => self.head.push(format!("Content-Length: {length}")),
            Length::Unannounced | Length::Endless => {}
        }
        stream.write_all(format!("{}\r\n\r\n", self.head.join("\r\n")).as_bytes())?;
        if to_head {
            return Ok(());
        }
        stream.write_all(&self.body)?;
        if !matches!(self.length, Length::Endless) {
            return Ok(());
        }
        loop {
            stream.write_all(&[b' '; 8192])?;
        }
    }
}

/// A running server. Dropping it stops it, and fails the test if the script did.
pub(crate) struct Server(Loopback);

impl Server {
    /// Answers with `script`, which is told how many requests of the same method and path came before.
    pub(crate) fn start(script: impl Fn(&Request, usize) -> Reply + Send + 'static) -> Self {
        let mut counts = HashMap::new();
        Self(Loopback::start(move |mut stream| {
            let Some(request) = Request::read(&stream) else { return };
            let count: &mut usize = counts.entry((request.method.clone(), request.path.clone())).or_default();
            let reply = script(&request, *count);
            *count += 1;
            // A client that has heard enough hangs up.
            drop(reply.write(&mut stream, request.method == "HEAD"));
        }))
    }

    /// `127.0.0.1:port`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address()
    }
}
