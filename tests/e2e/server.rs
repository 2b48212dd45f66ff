//! An HTTP/1.1 server on loopback that answers as a test wants and remembers what it was asked, with TLS or without.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::loopback::Loopback;
use crate::support::tool;

/// What was asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// With the query; absolute where a proxy is asked.
    pub path: String,
    /// By lower-case name.
    pub headers: HashMap<String, String>,
    /// As long as `Content-Length` says.
    pub body: Vec<u8>,
}

/// What to answer: a status, headers, a body.
#[derive(Clone)]
pub struct Answer(pub u16, pub Vec<(&'static str, String)>, pub Vec<u8>);

/// A running server. Dropping it stops it.
pub struct Server {
    listener: Loopback,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers with `script`, which is told how many requests came before.
    pub fn start(script: impl Fn(&Request, usize) -> Answer + Send + 'static) -> Self {
        Self::with(None, script)
    }

    /// The same over TLS, with `cert.pem` and `key.pem` of `directory`.
    pub fn with_tls(directory: &Path, script: impl Fn(&Request, usize) -> Answer + Send + 'static) -> Self {
        let certificate = CertificateDer::from_pem_file(directory.join("cert.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(directory.join("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        Self::with(Some(Arc::new(config)), script)
    }

    fn with(
        tls: Option<Arc<ServerConfig>>,
        script: impl Fn(&Request, usize) -> Answer + Send + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&seen);
        let listener = Loopback::start(move |stream| match &tls {
            None => serve(stream, &script, &requests),
            Some(config) => {
                let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                serve(StreamOwned::new(connection, stream), &script, &requests);
            }
        });
        Self { listener, seen }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// What was asked since the last time.
    pub fn seen(&self) -> Vec<Request> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// One request and its answer. A client that hangs up has its reasons.
fn serve(
    mut stream: impl Read + Write,
    script: &dyn Fn(&Request, usize) -> Answer,
    seen: &Mutex<Vec<Request>>,
) {
    let Some(request) = read(&mut stream) else { return };
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let Answer(status, headers, body) = script(&request, before);
    let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.extend([name, ": ", &value, "\r\n"]);
    }
    drop(stream.write_all(&[head.as_bytes(), b"\r\n", &body].concat()).and_then(|()| stream.flush()));
}

fn read(stream: &mut impl Read) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut lines = reader.by_ref().lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    for line in lines {
        let line: String = line.ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { path, headers, body })
}

/// Writes a key and a certificate for 127.0.0.1 into `directory`, signed by itself.
pub fn certify(directory: &Path) {
    let at = |name: &str| directory.join(name).display().to_string();
    let (config, key, certificate) = (at("request.cnf"), at("key.pem"), at("cert.pem"));
    let text = "[req]\nprompt=no\ndistinguished_name=name\nx509_extensions=more\n[name]\nCN=127.0.0.1\n\
        [more]\nsubjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n";
    std::fs::write(&config, text).unwrap();
    let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-config", &config];
    tool("openssl", &[&request[..], &["-keyout", &key, "-out", &certificate]].concat());
}
