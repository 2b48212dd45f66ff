//! The way to one registry: its address, its scheme, and the HTTP clients that go there.

use std::net::IpAddr;
use std::time::Duration;

use oci_client::client::{ClientConfig, ClientProtocol};

use super::error::Error;
use super::runtime::Runtime;

/// Where Docker Hub really is.
const HUB: &str = "registry-1.docker.io";
/// For a connection to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two pieces of an answer.
const READ_TIMEOUT: Duration = Duration::from_mins(2);
const USER_AGENT: &str = concat!("rbuild/", env!("CARGO_PKG_VERSION"));

/// One registry, as it turned out to be reachable.
pub(super) struct Endpoint {
    /// `host[:port]`, as requests name it.
    pub host: String,
    scheme: &'static str,
    /// For requests of our own.
    pub http: reqwest::Client,
    /// Learns what the registry wants to see. Its caches are not used.
    pub handshake: oci_client::Client,
    /// Uploads. It knows the tokens it was given, and asks nobody for others.
    pub uploads: oci_client::Client,
}

impl Endpoint {
    /// Finds the way to `registry`. Where both schemes are allowed the first that answers is taken: plain HTTP
    /// is tried first on this machine, TLS elsewhere.
    pub(super) fn find(
        runtime: &Runtime,
        subject: &str,
        registry: &str,
        insecure: bool,
    ) -> Result<Self, Error> {
        let host = if registry == "docker.io" { HUB } else { registry };
        let loopback = is_loopback(host);
        let http = http_client(loopback, insecure).map_err(|source| setup(subject, source))?;
        let scheme = match (loopback, insecure) {
            (true, _) => first_to_answer(runtime, subject, host, &http, ["http", "https"])?,
            (false, true) => first_to_answer(runtime, subject, host, &http, ["https", "http"])?,
            (false, false) => "https",
        };
        let [handshake, uploads] =
            [(); 2].map(|()| oci_client::Client::try_from(config(scheme, loopback, insecure)));
        let refused = |error| Error::Protocol { subject: subject.to_owned(), what: format!("{error}") };
        Ok(Self {
            host: host.to_owned(),
            scheme,
            http,
            handshake: handshake.map_err(refused)?,
            uploads: uploads.map_err(refused)?,
        })
    }

    /// The address of `path` in the registry's API.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}://{}/v2/{path}", self.scheme, self.host)
    }
}

/// Whether `host[:port]` is this machine.
pub(super) fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => registry,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn http_client(loopback: bool, insecure: bool) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .tls_danger_accept_invalid_certs(insecure);
    // A proxy's own loopback is another machine's.
    if loopback { builder.no_proxy().build() } else { builder.build() }
}

fn config(scheme: &str, loopback: bool, insecure: bool) -> ClientConfig {
    let protocol = if scheme == "http" { ClientProtocol::Http } else { ClientProtocol::Https };
    // No read timeout: reqwest counts it from the start of the request, so a long upload would end in it.
    let config = ClientConfig {
        protocol,
        accept_invalid_certificates: insecure,
        use_monolithic_push: true,
        connect_timeout: Some(CONNECT_TIMEOUT),
        user_agent: USER_AGENT,
        // A token is used until the registry refuses it.
        default_token_expiration_secs: 24 * 60 * 60,
        ..ClientConfig::default()
    };
    if !loopback {
        return config;
    }
    // oci-client can name a proxy but not forbid one; one that serves no address of this machine does the same.
    let nowhere = Some("http://127.0.0.1:9".to_owned());
    ClientConfig {
        http_proxy: nowhere.clone(),
        https_proxy: nowhere,
        no_proxy: Some("localhost,127.0.0.0/8,::1".to_owned()),
        ..config
    }
}

/// Asks for the API's root in both schemes. If neither answers, the first's failure is the one to tell.
fn first_to_answer(
    runtime: &Runtime,
    subject: &str,
    host: &str,
    http: &reqwest::Client,
    schemes: [&'static str; 2],
) -> Result<&'static str, Error> {
    let ask = |scheme: &'static str| {
        let request = http.get(format!("{scheme}://{host}/v2/"));
        match runtime.run(async move { request.send().await }) {
            // What Go's TLS servers say to plain HTTP; no registry says it of its root.
            Ok(answer) if scheme == "http" && answer.status() == 400 => Ok(None),
            Ok(_) => Ok(Some(scheme)),
            Err(source) => Err(Error::unanswered(subject, host, source)),
        }
    };
    let first = ask(schemes[0]);
    if let Ok(Some(scheme)) = first {
        return Ok(scheme);
    }
    match (first, ask(schemes[1])) {
        (_, Ok(Some(scheme))) => Ok(scheme),
        (Err(error), _) | (Ok(_), Err(error)) => Err(error),
        (Ok(_), Ok(None)) => {
            Err(Error::Protocol { subject: subject.to_owned(), what: "HTTP 400 for /v2/".to_owned() })
        }
    }
}

fn setup(subject: &str, source: reqwest::Error) -> Error {
    Error::Setup { subject: subject.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_several_names() {
        for (registry, want) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1", true),
            ("127.8.9.10:80", true),
            ("[::1]", true),
            ("[::1]:5000", true),
            ("docker.io", false),
            ("localhost.example.org", false),
            ("127.0.0.1.example.org:5000", false),
            ("128.0.0.1", false),
            ("[::2]:5000", false),
        ] {
            assert_eq!(is_loopback(registry), want, "{registry}");
        }
    }
}
