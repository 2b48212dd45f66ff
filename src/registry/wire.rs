//! What oci-client lacks: repeated attempts, renewed tokens, bounded answers, errors that keep their status.
//!
//! Every request of this room goes through [`Wire::attempt`]. The `Retry-After` of an upload is the one thing
//! that does not come through: oci-client drops the headers, so an upload backs off by our own delays.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oci_client::errors::OciDistributionError;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response};

use super::access::{Action, Grant, authorize};
use super::endpoint::Endpoint;
use super::error::{Error, Refusal, printable};
use super::runtime::Runtime;
use super::{Options, credentials};
use crate::oci::Reference;

/// No wait between two attempts is longer, whatever a registry asks for.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// The most that is read of an answer that is not a success, in bytes.
const REFUSAL_LIMIT: u64 = 64 * 1024;

/// What all requests share.
pub(super) struct Wire {
    pub options: Options,
    pub runtime: Runtime,
    endpoints: Mutex<HashMap<String, Arc<Endpoint>>>,
    grants: Mutex<HashMap<(String, String, Action), Grant>>,
}

/// Where one attempt goes, and with what.
pub(super) struct Route {
    pub endpoint: Arc<Endpoint>,
    pub grant: Grant,
}

impl Wire {
    pub(super) fn new(options: Options) -> Result<Self, Error> {
        // Fails if the process has a provider already; any will do.
        drop(rustls::crypto::ring::default_provider().install_default());
        let runtime = Runtime::start().map_err(Error::Thread)?;
        Ok(Self { options, runtime, endpoints: Mutex::default(), grants: Mutex::default() })
    }

    /// Makes `once` succeed if that takes no more than a few repetitions: after a 401 with a new grant, once;
    /// after what passes by itself, as often as the options say.
    pub(super) fn attempt<T>(
        &self,
        subject: &str,
        reference: &Reference,
        action: Action,
        mut once: impl FnMut(&Route) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut renewed = false;
        let mut repeated = 0;
        loop {
            match self.route(subject, reference, action).and_then(|route| once(&route)) {
                Err(Error::Unauthorized { .. }) if !renewed => {
                    renewed = true;
                    lock(&self.grants).remove(&grant_key(reference, action));
                }
                Err(error) if error.passes() && repeated < self.options.retries => {
                    std::thread::sleep(self.delay(repeated, error.retry_after()));
                    repeated += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// How long to wait before repetition number `repeated`.
    pub(super) fn delay(&self, repeated: u32, asked: Option<Duration>) -> Duration {
        let own = self.options.retry_delay.saturating_mul(2_u32.saturating_pow(repeated));
        asked.unwrap_or(own).min(LONGEST_WAIT)
    }

    fn route(&self, subject: &str, reference: &Reference, action: Action) -> Result<Route, Error> {
        // No lock is held while waiting for the network; two threads may find the same way twice.
        let registry = reference.registry().unwrap_or_default();
        let known = lock(&self.endpoints).get(registry).cloned();
        let endpoint = if let Some(endpoint) = known {
            endpoint
        } else {
            let insecure = self.options.is_insecure(subject, registry)?;
            let found = Endpoint::find(&self.runtime, subject, registry, insecure)?;
            Arc::clone(lock(&self.endpoints).entry(registry.to_owned()).or_insert(Arc::new(found)))
        };
        let key = grant_key(reference, action);
        let known = lock(&self.grants).get(&key).cloned();
        let grant = if let Some(grant) = known {
            grant
        } else {
            let repository = reference.repository();
            let login = credentials::find(&self.options, registry, repository)?;
            let grant = authorize(&self.runtime, &endpoint, subject, repository, login, action)?;
            lock(&self.grants).insert(key, grant.clone());
            grant
        };
        Ok(Route { endpoint, grant })
    }
}

fn grant_key(reference: &Reference, action: Action) -> (String, String, Action) {
    (reference.registry().unwrap_or_default().to_owned(), reference.repository().to_owned(), action)
}

/// The maps are whole after every statement, so a panic elsewhere leaves them usable.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends `request` and returns the answer if it is a success, its body unread.
pub(super) async fn accepted(subject: &str, host: &str, request: RequestBuilder) -> Result<Response, Error> {
    let mut answer = request.send().await.map_err(|error| Error::unanswered(subject, host, error))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let retry_after = retry_after(answer.headers());
    // The status is the news; if the words about it do not arrive, it is told without them.
    let words = up_to(&mut answer, REFUSAL_LIMIT).await.ok().flatten().unwrap_or_default();
    Err(Error::refused(subject, Refusal { retry_after, ..Refusal::new(status.as_u16(), &words) }))
}

/// The body of `answer`, or `None` if it is longer than `limit` bytes.
pub(super) async fn up_to(answer: &mut Response, limit: u64) -> reqwest::Result<Option<Vec<u8>>> {
    if answer.content_length().is_some_and(|announced| announced > limit) {
        return Ok(None);
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() as u64 > limit {
            return Ok(None);
        }
    }
    Ok(Some(body))
}

/// Seconds only. The date that HTTP also allows is taken as silence.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// An error of oci-client in our words.
pub(super) fn translate(subject: &str, host: &str, error: OciDistributionError) -> Error {
    match error {
        OciDistributionError::RequestError(error) => match error.status() {
            Some(status) => Error::refused(subject, Refusal::new(status.as_u16(), b"")),
            None => Error::unanswered(subject, host, error),
        },
        OciDistributionError::ServerError { code, message, .. } => {
            Error::refused(subject, Refusal::new(code, message.as_bytes()))
        }
        OciDistributionError::UnauthorizedError { .. } => Error::refused(subject, Refusal::new(401, b"")),
        error => Error::Protocol { subject: subject.to_owned(), what: printable(&error.to_string()) },
    }
}
