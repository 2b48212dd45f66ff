//! Files from the web: ADD of a URL. And what goes there: reports of a build.
//!
//! One request at a time, on the caller's thread. The body goes into a file of the caller's while it is hashed. What
//! passes by itself (no connection, a broken one, 408, 429, 5xx) is tried again; redirections are followed, and
//! credentials written into the URL go to no other host than the one they were written for. Proxies are those of the
//! environment, but for addresses of this machine, whose loopback is not a proxy's.
//!
//! A [`Document`] remembers by what the server recognises it ([`Validators`]; RFC 9110, section 8.8), so that the next
//! request can ask for it only if it changed.

mod error;
mod receive;
mod send;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{
    AUTHORIZATION, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{RequestBuilder, Url};
use serde::{Deserialize, Serialize};

use crate::oci::Digest;
pub use error::Error;
pub use send::send;

/// For a connection to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two pieces of an answer.
const READ_TIMEOUT: Duration = Duration::from_mins(2);
/// Redirections that are followed for one request.
const MAX_REDIRECTS: usize = 10;
/// The longest document, in bytes.
pub const LIMIT: u64 = 32 << 30;
const USER_AGENT: &str = concat!("rbuild/", env!("CARGO_PKG_VERSION"));

/// How to ask.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether certificates go unchecked.
    pub insecure: bool,
    /// How often a request is repeated that failed for a reason that passes.
    pub retries: u32,
    /// The wait before the first repetition; each further one waits twice as long. A `Retry-After` takes its place. No
    /// wait is longer than a minute.
    pub retry_delay: Duration,
    /// The longest document that is taken, in bytes.
    pub limit: u64,
}

/// By what a server recognises a document it has served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// The header `ETag`.
    pub etag: Option<String>,
    /// The header `Last-Modified`.
    pub last_modified: Option<String>,
}

/// A document that has arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Of its bytes.
    pub digest: Digest,
    /// How many they are.
    pub size: u64,
    /// How to ask for it again.
    pub validators: Validators,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is as it was.
    Unchanged,
    /// This; the bytes are in the file.
    Document(Document),
}

/// What is asked for.
#[derive(Clone, Copy, Default)]
pub struct Request<'a> {
    /// Where it is.
    pub url: &'a str,
    /// As what it is known: the server may answer that nothing changed.
    pub known: Option<&'a Validators>,
    /// The header `Authorization`, in the place of what the URL says. It goes to the host of the URL alone.
    pub authorization: Option<&'a str>,
}

/// Fetches what `request` asks for into `file`, from its start; the file is empty if nothing changed. `cancelled` is asked
/// several times a second.
pub fn fetch(
    options: &Options,
    request: Request<'_>,
    file: &File,
    cancelled: &dyn Fn() -> bool,
) -> Result<Answer, Error> {
    let mut address = parse(request.url)?;
    let subject = redacted(request.url);
    let mut authorization = None;
    if let Some(header) = request.authorization {
        // an http URL always takes them
        address.set_username("").and_then(|()| address.set_password(None)).unwrap_or_default();
        let invalid =
            |_| Error::Url { url: subject.clone(), why: "its authorization is no header".to_owned() };
        let mut header = HeaderValue::from_str(header).map_err(invalid)?;
        header.set_sensitive(true);
        authorization = Some(header);
    }
    let builder = builder(&address)
        .read_timeout(READ_TIMEOUT)
        .redirect(Policy::custom(redirect))
        .tls_danger_accept_invalid_certs(options.insecure);
    let client = builder.build().map_err(|source| Error::connection(&subject, source))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let ask = || {
        let asked = conditions(client.get(address.clone()), request.known);
        authorization.iter().fold(asked, |asked, header| asked.header(AUTHORIZATION, header.clone()))
    };
    let outcome =
        runtime.block_on(receive::until(cancelled, receive::attempts(options, &subject, ask, file)));
    // Not a plain drop: that would wait for a name server that does not answer.
    runtime.shutdown_background();
    outcome
}

/// A client for one request to `address`.
fn builder(address: &Url) -> reqwest::ClientBuilder {
    // Fails if the process has a provider already; any will do.
    drop(rustls::crypto::ring::default_provider().install_default());
    let builder =
        reqwest::Client::builder().user_agent(USER_AGENT).connect_timeout(CONNECT_TIMEOUT).referer(false);
    if is_loopback(address) { builder.no_proxy() } else { builder }
}

/// The address that `url` is, if it is one of http or https.
fn parse(url: &str) -> Result<Url, Error> {
    let invalid = |why: String| Error::Url { url: redacted(url), why };
    let address = Url::parse(url).map_err(|why| invalid(why.to_string()))?;
    match address.scheme() {
        "http" | "https" => Ok(address),
        other => Err(invalid(format!("the scheme {other:?} is neither http nor https"))),
    }
}

/// The name that a file from `url` gets: the last component of the path, decoded, or `__unnamed__` if there is none.
pub fn file_name(url: &str) -> Result<Vec<u8>, Error> {
    let address = parse(url)?;
    let path = decoded(address.path());
    let name = path.split(|&b| b == b'/').rfind(|name| !name.is_empty()).unwrap_or_default();
    match name {
        b"" | b"." | b".." => Ok(b"__unnamed__".to_vec()),
        name => Ok(name.to_vec()),
    }
}

/// `url` as it may be told: without user name and password, and without its query, which may hold a signature or a token.
pub fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (user, rest) = match rest[..authority].rfind('@') {
        Some(at) => ("xxxxx", &rest[at..]),
        None => ("", rest),
    };
    match rest.split_once('?') {
        Some((path, _)) => format!("{scheme}://{user}{path}?xxxxx"),
        None => format!("{scheme}://{user}{rest}"),
    }
}

/// The host of `url`, with its port if one is written: what a secret for it is called by. `None` if it is no URL of http
/// or https.
pub fn host(url: &str) -> Option<String> {
    let address = parse(url).ok()?;
    let host = address.host_str()?;
    Some(address.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// `%41` is `A`; what is no such triplet is itself.
pub fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|_| first == b'%').and_then(|digits| hex::decode(digits).ok());
        if let Some(&[byte]) = digits.as_deref() {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    bytes
}

fn conditions(request: RequestBuilder, known: Option<&Validators>) -> RequestBuilder {
    let Some(known) = known else { return request };
    let request = known.etag.iter().fold(request, |request, etag| request.header(IF_NONE_MATCH, etag));
    known.last_modified.iter().fold(request, |request, time| request.header(IF_MODIFIED_SINCE, time))
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let header = |name| headers.get(name).and_then(text);
        Self { etag: header(ETAG), last_modified: header(LAST_MODIFIED) }
    }
}

fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(format!("more than {MAX_REDIRECTS} redirections"));
    }
    match attempt.url().scheme() {
        "http" | "https" => attempt.follow(),
        other => {
            let why = format!("a redirection to the scheme {other:?}");
            attempt.error(why)
        }
    }
}

fn is_loopback(address: &Url) -> bool {
    let host = address.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
