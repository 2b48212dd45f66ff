//! Whether a registry knows a user: the handshake of a pull, without a repository.
//!
//! oci-client asks for a token of a repository, and has none to check a password with where the registry wants the
//! password itself. So the challenge is answered here: RFC 9110, section 11.6.1, and distribution's "Token
//! Authentication Implementation".

use reqwest::Url;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use serde::Deserialize;

use super::access::Grant;
use super::endpoint::Endpoint;
use super::error::Error;
use super::wire::{Wire, accepted, up_to};

/// The longest answer of a token server, in bytes.
const TOKEN_LIMIT: u64 = 1024 * 1024;

/// What a registry that does not let everyone in asks for.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

/// Errors with [`Error::Unauthorized`] if `registry` refuses user and password. One that lets everyone in does not.
pub(super) fn check(wire: &Wire, registry: &str, user: &str, password: &str) -> Result<(), Error> {
    let insecure = wire.options.is_insecure(registry, registry)?;
    let endpoint = Endpoint::find(&wire.runtime, registry, registry, insecure)?;
    let (user, password) = (user.to_owned(), password.to_owned());
    let subject = registry.to_owned();
    wire.runtime.run(async move {
        let http = &endpoint.http;
        let root = endpoint.url("");
        let answer = http.get(&root).send().await;
        let answer = answer.map_err(|error| Error::unanswered(&subject, &endpoint.host, error))?;
        if answer.status() != 401 {
            return accepted(&subject, &endpoint.host, http.get(&root)).await.map(drop);
        }
        let login = Grant::Basic { user: user.clone(), password };
        let grant = match challenge(answer.headers()) {
            Some(Challenge::Basic) => login,
            Some(Challenge::Bearer { realm, service }) => {
                let realm = token_server(&subject, &root, &realm, service.as_deref(), &user)?;
                let host = realm.host_str().unwrap_or_default().to_owned();
                let mut answer = accepted(&subject, &host, login.on(http.get(realm))).await?;
                Grant::Token(token(&subject, up_to(&mut answer, TOKEN_LIMIT).await)?)
            }
            None => return Err(protocol(&subject, "HTTP 401 without a challenge that is known")),
        };
        accepted(&subject, &endpoint.host, grant.on(http.get(&root))).await.map(drop)
    })
}

/// The address of the token server, with what is asked of it. A password that was meant for TLS goes nowhere without.
fn token_server(
    subject: &str,
    root: &str,
    realm: &str,
    service: Option<&str>,
    user: &str,
) -> Result<Url, Error> {
    let mut realm = Url::parse(realm).map_err(|_| protocol(subject, "a token server without an address"))?;
    if root.starts_with("https:") && realm.scheme() != "https" {
        return Err(protocol(subject, "a token server that would take the password without TLS"));
    }
    let mut query = realm.query_pairs_mut();
    query.append_pair("account", user);
    if let Some(service) = service {
        query.append_pair("service", service);
    }
    drop(query);
    Ok(realm)
}

fn token(subject: &str, body: reqwest::Result<Option<Vec<u8>>>) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let body = body.ok().flatten().unwrap_or_default();
    let answer: Option<Answer> = serde_json::from_slice(&body).ok();
    let token = answer.and_then(|answer| answer.token.or(answer.access_token));
    token.ok_or_else(|| protocol(subject, "the token server's answer has no token"))
}

fn protocol(subject: &str, what: &str) -> Error {
    Error::Protocol { subject: subject.to_owned(), what: what.to_owned() }
}

/// The first challenge that can be answered.
fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    headers.get_all(WWW_AUTHENTICATE).iter().find_map(|header| {
        let (scheme, rest) = header.to_str().ok()?.trim().split_once(' ')?;
        match &scheme.to_ascii_lowercase()[..] {
            "basic" => Some(Challenge::Basic),
            "bearer" => Some(Challenge::Bearer {
                realm: parameter(rest, "realm")?,
                service: parameter(rest, "service"),
            }),
            _ => None,
        }
    })
}

/// The value of `name="value"` in the list of a challenge's parameters.
fn parameter(list: &str, name: &str) -> Option<String> {
    let mut rest = list;
    loop {
        let (key, value) = rest.split_once('=')?;
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_once(',').unwrap_or((value, "")),
        };
        if key.trim_matches([',', ' ']).eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn challenges_are_read() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        for (header, want) in [
            ("Basic realm=\"r\"", Some(Challenge::Basic)),
            ("basic realm=r", Some(Challenge::Basic)),
            ("Bearer realm=\"https://a/t\",service=\"s\"", bearer("https://a/t", Some("s"))),
            ("Bearer service=\"a,b=c\", realm=\"https://a/t\"", bearer("https://a/t", Some("a,b=c"))),
            ("Bearer realm=https://a/t,service=s", bearer("https://a/t", Some("s"))),
            ("bearer Realm=\"https://a/t\"", bearer("https://a/t", None)),
            ("Bearer service=\"s\"", None),
            ("Bearer realm=\"https://a", None),
            ("Negotiate x", None),
            ("Basic", None),
        ] {
            let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_static(header))]);
            assert_eq!(challenge(&headers), want, "{header}");
        }
    }

    #[test]
    fn a_password_for_tls_goes_nowhere_without() {
        for (root, realm, is_asked) in [
            ("https://r/v2/", "https://t/token", true),
            ("https://r/v2/", "http://t/token", false),
            ("http://127.0.0.1/v2/", "http://127.0.0.1/token", true),
            ("https://r/v2/", "token", false),
        ] {
            assert_eq!(token_server("r", root, realm, Some("s"), "u").is_ok(), is_asked, "{root} {realm}");
        }
        let asked = token_server("r", "https://r/v2/", "https://t/token?a=b", Some("s p"), "u&v").unwrap();
        assert_eq!(asked.as_str(), "https://t/token?a=b&account=u%26v&service=s+p");
    }
}
