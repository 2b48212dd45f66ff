//! The tags of a repository (distribution-spec v1.1, "Listing Tags").

use reqwest::header::LINK;
use serde::Deserialize;

use super::access::Action;
use super::error::Error;
use super::wire::{Wire, accepted, up_to};
use crate::oci::Reference;

/// The longest page of tags, in bytes.
const LIMIT: u64 = 4 * 1024 * 1024;
/// Pages that are asked for.
const MAX_PAGES: usize = 1000;

#[derive(Deserialize)]
struct Page {
    /// Some registries say null of a repository without tags.
    #[serde(default)]
    tags: Option<Vec<String>>,
}

/// All tags, in the registry's order.
pub(super) fn list(wire: &Wire, repository: &Reference) -> Result<Vec<String>, Error> {
    let subject = format!("{}/{}", repository.registry().unwrap_or_default(), repository.repository());
    let protocol = |what: String| Error::Protocol { subject: subject.clone(), what };
    let mut tags = Vec::new();
    let mut query = String::new();
    for _ in 0..MAX_PAGES {
        let path = format!("{}/tags/list{query}", repository.repository());
        let (bytes, link) = wire.attempt(&subject, repository, Action::Pull, |route| {
            let request = route.grant.on(route.endpoint.http.get(route.endpoint.url(&path)));
            let (subject, host) = (subject.clone(), route.endpoint.host.clone());
            wire.runtime.run(async move {
                let mut answer = accepted(&subject, &host, request).await?;
                let link = answer.headers().get(LINK).and_then(|link| link.to_str().ok()).map(str::to_owned);
                let body = up_to(&mut answer, LIMIT).await;
                let bytes = body
                    .map_err(|error| Error::unanswered(&subject, &host, error))?
                    .ok_or(Error::TooLarge { subject, limit: LIMIT })?;
                Ok((bytes, link))
            })
        })?;
        let page: Page = serde_json::from_slice(&bytes).map_err(|why| protocol(format!("tags: {why}")))?;
        tags.extend(page.tags.unwrap_or_default());
        match link.as_deref().and_then(next) {
            Some(next) if next != query => query = next,
            _ => return Ok(tags),
        }
    }
    Err(protocol(format!("more than {MAX_PAGES} pages of tags")))
}

/// The query of the next page, from `<URL?query>; rel="next"` (RFC 5988). Wherever the URL points, the same registry is asked.
fn next(link: &str) -> Option<String> {
    let (url, rest) = link.trim_start().strip_prefix('<')?.split_once('>')?;
    let is_next = rest.contains("rel=\"next\"") || rest.contains("rel=next");
    let (_, query) = url.split_once('?').filter(|_| is_next)?;
    Some(format!("?{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_one_of_the_same_registry() {
        for (link, want) in [
            ("</v2/a/tags/list?last=b&n=2>; rel=\"next\"", Some("?last=b&n=2")),
            ("<https://elsewhere.example/v2/a/tags/list?last=b>; rel=next", Some("?last=b")),
            ("</v2/a/tags/list?last=b>; rel=\"prev\"", None),
            ("</v2/a/tags/list>; rel=\"next\"", None),
            ("nonsense", None),
        ] {
            assert_eq!(next(link).as_deref(), want, "{link}");
        }
    }
}
