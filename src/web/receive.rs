//! Attempts: one request and its body, again if what was wrong passes by itself.

use std::fs::File;
use std::future::Future;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};

use super::{Answer, Document, Error, Options, Validators};
use crate::oci::Hasher;

/// No wait between two attempts is longer, whatever a server asks for.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// How often it is asked whether to give up.
const TICK: Duration = Duration::from_millis(100);

/// Does `work` unless `cancelled` says otherwise first.
pub(super) async fn until<T>(
    cancelled: &dyn Fn() -> bool,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let stop = async {
        while !cancelled() {
            tokio::time::sleep(TICK).await;
        }
    };
    tokio::select! {
        outcome = work => outcome,
        () = stop => Err(Error::Cancelled),
    }
}

/// Sends what `ask` makes until an answer is final.
pub(super) async fn attempts(
    options: &Options,
    subject: &str,
    ask: impl Fn() -> RequestBuilder,
    file: &File,
) -> Result<Answer, Error> {
    let mut repeated = 0;
    loop {
        match attempt(options, subject, ask(), file).await {
            Err(error) if error.passes() && repeated < options.retries => {
                let own = options.retry_delay.saturating_mul(2_u32.saturating_pow(repeated));
                tokio::time::sleep(error.retry_after().unwrap_or(own).min(LONGEST_WAIT)).await;
                repeated += 1;
            }
            outcome => return outcome,
        }
    }
}

async fn attempt(
    options: &Options,
    subject: &str,
    request: RequestBuilder,
    file: &File,
) -> Result<Answer, Error> {
    let answer = request.send().await.map_err(|source| Error::connection(subject, source))?;
    match answer.status() {
        StatusCode::OK => body(options, subject, answer, file).await,
        StatusCode::NOT_MODIFIED => Ok(Answer::Unchanged),
        status => Err(Error::Status {
            url: subject.to_owned(),
            status: status.as_u16(),
            reason: status.canonical_reason().unwrap_or_default(),
            retry_after: retry_after(answer.headers()),
        }),
    }
}

/// Writes the body into `file`, which holds nothing else afterwards.
async fn body(options: &Options, subject: &str, mut answer: Response, file: &File) -> Result<Answer, Error> {
    let too_large = || Error::TooLarge { url: subject.to_owned(), limit: options.limit };
    if answer.content_length().is_some_and(|announced| announced > options.limit) {
        return Err(too_large());
    }
    let validators = Validators::of(answer.headers());
    let mut hasher = Hasher::default();
    let mut size = 0;
    file.set_len(0).map_err(Error::Write)?;
    while let Some(piece) = answer.chunk().await.map_err(|source| Error::connection(subject, source))? {
        if size + piece.len() as u64 > options.limit {
            return Err(too_large());
        }
        hasher.update(&piece);
        file.write_all_at(&piece, size).map_err(Error::Write)?;
        size += piece.len() as u64;
    }
    Ok(Answer::Document(Document { digest: hasher.finish(), size, validators }))
}

/// Seconds only. The date that HTTP also allows is taken as silence.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
