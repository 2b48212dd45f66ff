//! Which user name and password go to a registry: the auth files of containers and of Docker.
//!
//! The key is chosen here, because `docker_credential` knows registries only and containers-auth.json(5) has
//! keys for repositories as well; what stands under the key is read by `docker_credential`, which also asks
//! the `docker-credential-*` programs.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde::Deserialize;
use serde_json::Value;

use super::Options;
use super::error::{Error, printable};

/// The key under which Docker keeps its Hub's login.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// What a helper says of a registry it knows nothing about (docker-credential-helpers, "credentials").
const NOT_FOUND: &str = "credentials not found";

/// The keys of an auth file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    #[serde(default)]
    auths: BTreeMap<String, Value>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, Value>,
    creds_store: Option<String>,
}

/// User and password for a repository of `registry`; `None` where nobody has logged in.
pub(super) fn find(
    options: &Options,
    registry: &str,
    repository: &str,
) -> Result<Option<(String, String)>, Error> {
    if let Some(given) = &options.credentials {
        return Ok(Some(given.clone()));
    }
    for path in &options.auth_files {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                continue;
            }
            Err(source) => return Err(Error::AuthFile { path: path.clone(), source }),
        };
        if let Some(found) = find_in(path, &bytes, registry, repository)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn find_in(
    path: &Path,
    bytes: &[u8],
    registry: &str,
    repository: &str,
) -> Result<Option<(String, String)>, Error> {
    let refuse =
        |why: String| Error::Credentials { path: path.to_owned(), registry: registry.to_owned(), why };
    let keys: Keys = serde_json::from_slice(bytes)
        .map_err(|source| Error::AuthFile { path: path.to_owned(), source: source.into() })?;
    let Some(key) = choose(&keys, registry, repository) else { return Ok(None) };
    match docker_credential::get_credential_from_reader(bytes, &key) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Some((user, password))),
        Ok(DockerCredential::IdentityToken(_)) => {
            Err(Error::IdentityToken { path: path.to_owned(), registry: registry.to_owned() })
        }
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        Err(CredentialRetrievalError::HelperFailure { stdout, stderr, .. })
            if stdout.contains(NOT_FOUND) || stderr.contains(NOT_FOUND) =>
        {
            Ok(None)
        }
        // Not its standard output: a helper that fails half-way may have put the secret there.
        Err(CredentialRetrievalError::HelperFailure { helper, stderr, .. }) => {
            Err(refuse(format!("{helper} fails: {}", printable(&stderr))))
        }
        Err(error) => Err(refuse(printable(&error.to_string()))),
    }
}

/// The key that fits `registry/repository` best: the longest path first, then a helper of the registry's
/// own, then the registry in Docker's spellings; the common helper where no key fits.
fn choose(keys: &Keys, registry: &str, repository: &str) -> Option<String> {
    let whole = format!("{registry}/{repository}");
    let paths = std::iter::successors(Some(whole.as_str()), |path| path.rsplit_once('/').map(|(up, _)| up));
    let mut wanted: Vec<String> = paths.map(str::to_owned).collect();
    for spelling in ["https://{}", "https://{}/", "https://{}/v1/", "https://{}/v2/", "http://{}", "{}/"] {
        wanted.push(spelling.replace("{}", registry));
    }
    if registry == "docker.io" {
        wanted.extend([HUB_KEY, "index.docker.io", "registry-1.docker.io"].map(str::to_owned));
    }
    let listed =
        wanted.into_iter().find(|key| keys.cred_helpers.contains_key(key) || keys.auths.contains_key(key));
    let common = || {
        let key = if registry == "docker.io" { HUB_KEY } else { registry };
        keys.creds_store.as_ref().map(|_| key.to_owned())
    };
    listed.or_else(common)
}

#[cfg(test)]
mod tests {
    use super::*;

    // `auth` is base64 of `user:password`: dTpw is u:p, YTpi is a:b.
    const FILE: &str = r#"{
        "auths": {
            "r.example": {"auth": "dTpw"},
            "r.example/team": {"auth": "YTpi"},
            "r.example/team/secret": {"username": "x", "password": "y:z"},
            "https://old.example/v1/": {"auth": "dTpw"},
            "https://index.docker.io/v1/": {"auth": "YTpi"},
            "token.example": {"identitytoken": "t"},
            "broken.example": {"auth": "%%%"},
            "empty.example": {}
        },
        "credHelpers": {"helped.example": "rbuild-test-absent"}
    }"#;

    fn found_in(file: &str, name: &str) -> Result<Option<(String, String)>, Error> {
        let (registry, repository) = name.split_once('/').unwrap_or((name, ""));
        find_in(Path::new("auth.json"), file.as_bytes(), registry, repository)
    }

    #[test]
    fn the_longest_key_wins() {
        for (name, want) in [
            ("r.example/a", Some(("u", "p"))),
            ("r.example", Some(("u", "p"))),
            ("docker.io", Some(("a", "b"))),
            ("r.example/team/a", Some(("a", "b"))),
            ("r.example/team/a/b/c", Some(("a", "b"))),
            ("r.example/team/secret", Some(("x", "y:z"))),
            ("r.example/teams/a", Some(("u", "p"))),
            ("old.example/a", Some(("u", "p"))),
            ("docker.io/library/debian", Some(("a", "b"))),
            ("empty.example/a", None),
            ("nobody.example/a", None),
        ] {
            let found = found_in(FILE, name).unwrap();
            let found = found.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
            assert_eq!(found, want, "{name}");
        }
    }

    #[test]
    fn logins_that_cannot_be_used_are_told_without_the_secret() {
        for (name, file, want) in [
            ("token.example/a", FILE, "identity token"),
            ("broken.example/a", FILE, "decode"),
            ("helped.example/a", FILE, "helper"),
            ("r.example/a", "{", "auth.json"),
            ("r.example/a", r#"{"auths": 5}"#, "auth.json"),
        ] {
            let error = found_in(file, name).unwrap_err();
            assert!(error.to_string().contains(want), "{name} with {file:.20}: {error}");
        }
    }

    #[test]
    fn files_are_asked_in_order_and_given_credentials_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let [absent, other, first, second] =
            ["absent", "other", "first", "second"].map(|name| dir.path().join(name));
        std::fs::write(&other, r#"{"auths": {"else.example": {"auth": "dTpw"}}}"#).unwrap();
        std::fs::write(&first, r#"{"auths": {"r.example": {"auth": "dTpw"}}}"#).unwrap();
        std::fs::write(&second, r#"{"auths": {"r.example": {"auth": "YTpi"}}}"#).unwrap();
        let mut options = Options { auth_files: vec![absent, other, first, second], ..Options::default() };
        assert_eq!(find(&options, "r.example", "a").unwrap(), Some(("u".to_owned(), "p".to_owned())));
        options.credentials = Some(("me".to_owned(), "mine".to_owned()));
        assert_eq!(find(&options, "r.example", "a").unwrap(), Some(("me".to_owned(), "mine".to_owned())));
        assert!(!format!("{options:?}").contains("mine"));
    }
}
