//! A document that is sent somewhere, once.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::redirect::Policy;

use super::{Error, builder, parse, receive, redacted};

/// Sends `body` to `url` (POST) with these headers besides, within `limit`. Errors unless the server answers with success; a
/// redirection is none. `cancelled` is asked several times a second.
pub fn send(
    url: &str,
    headers: &[(String, String)],
    (media_type, body): (&'static str, Vec<u8>),
    limit: Duration,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), Error> {
    let (address, subject) = (parse(url)?, redacted(url));
    let client = builder(&address).redirect(Policy::none()).timeout(limit).build();
    let client = client.map_err(|source| Error::connection(&subject, source))?;
    let mut request = client.post(address).header(CONTENT_TYPE, media_type).body(body);
    for (name, value) in headers {
        let invalid = || Error::Url {
            url: subject.clone(),
            why: format!("{name:?} is no header, or has no value of one"),
        };
        let header: HeaderName = name.parse().map_err(|_| invalid())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
        value.set_sensitive(true);
        request = request.header(header, value);
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let sent = async {
        let answer = request.send().await.map_err(|source| Error::connection(&subject, source))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let reason = status.canonical_reason().unwrap_or_default();
        Err(Error::Status { url: subject.clone(), status: status.as_u16(), reason, retry_after: None })
    };
    let outcome = runtime.block_on(receive::until(cancelled, sent));
    // Not a plain drop: that would wait for a name server that does not answer.
    runtime.shutdown_background();
    outcome
}
