//! Logins are kept in an auth file (containers-auth.json(5), Docker's config.json), or by the credential helper that the
//! file names.
//!
//! Whatever else stands in the file stays as it is. It is read and written under a lock on its directory, and replaced
//! whole, readable by its owner alone.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};

use super::error::{Error, printable};
use crate::oci::base64;

/// A file of logins, which need not be there yet.
#[derive(Clone, Debug)]
pub struct AuthFile {
    path: PathBuf,
}

impl AuthFile {
    /// The file at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a login under `key`: a registry, or a registry and a repository's beginning. Errors with
    /// [`Error::AuthFile`] if the file is not of its kind or cannot be written, with [`Error::Credentials`] if the helper
    /// refuses.
    pub fn log_in(&self, key: &str, user: &str, password: &str) -> Result<(), Error> {
        self.edit(|document| {
            if let Some(helper) = helper_of(document, key) {
                let login = json!({ "ServerURL": key, "Username": user, "Secret": password });
                self.ask(&helper, "store", key, &login.to_string())?;
                // what the file itself had would go before it elsewhere
                auths(document)?.remove(key);
                return Ok(((), true));
            }
            let login = base64(format!("{user}:{password}").as_bytes());
            auths(document)?.insert(key.to_owned(), json!({ "auth": login }));
            Ok(((), true))
        })
    }

    /// Forgets the login under `key`; whether there was one. Errors as [`Self::log_in`] does.
    pub fn log_out(&self, key: &str) -> Result<bool, Error> {
        if !self.path.exists() {
            return Ok(false);
        }
        self.edit(|document| {
            let helped = match helper_of(document, key) {
                Some(helper) => {
                    let known = self.ask(&helper, "get", key, key).is_ok();
                    if known {
                        self.ask(&helper, "erase", key, key)?;
                    }
                    known
                }
                None => false,
            };
            let listed = auths(document)?.remove(key).is_some();
            Ok((helped || listed, listed))
        })
    }

    /// Forgets all logins that the file itself has, and those of the helpers that it names for registries.
    pub fn log_out_everywhere(&self) -> Result<(), Error> {
        if !self.path.exists() {
            return Ok(());
        }
        self.edit(|document| {
            let helped = document.get("credHelpers").and_then(Value::as_object);
            let helped: Vec<String> = helped.into_iter().flat_map(Map::keys).cloned().collect();
            let common = document.contains_key("credsStore");
            let listed: Vec<String> = auths(document)?.keys().filter(|_| common).cloned().collect();
            for key in helped.into_iter().chain(listed) {
                if let Some(helper) = helper_of(document, &key)
                    && self.ask(&helper, "get", &key, &key).is_ok()
                {
                    self.ask(&helper, "erase", &key, &key)?;
                }
            }
            auths(document)?.clear();
            Ok(((), true))
        })
    }

    /// Lets `change` have the document, and writes it again if that says so.
    fn edit<T>(
        &self,
        change: impl FnOnce(&mut Map<String, Value>) -> Result<(T, bool), Error>,
    ) -> Result<T, Error> {
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let refuse = |source| Error::AuthFile { path: self.path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(refuse)?;
        let lock = File::open(directory).map_err(refuse)?;
        lock.lock().map_err(refuse)?;
        let mut document = match fs::read(&self.path) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Map::new(),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| refuse(error.into()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
            Err(error) => return Err(refuse(error)),
        };
        let (done, is_changed) = change(&mut document).map_err(|error| match error {
            Error::Io(source) => refuse(source),
            other => other,
        })?;
        if is_changed {
            self.write(directory, &document).map_err(refuse)?;
        }
        Ok(done)
    }

    fn write(&self, directory: &Path, document: &Map<String, Value>) -> io::Result<()> {
        // through a symlink, not over it
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(directory);
        let private = Permissions::from_mode(0o600);
        let mut whole = tempfile::Builder::new().permissions(private).tempfile_in(directory)?;
        let mut text = Vec::new();
        let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        serde::Serialize::serialize(document, &mut serde_json::Serializer::with_formatter(&mut text, tabs))?;
        whole.write_all(&text)?;
        whole.as_file().sync_all()?;
        whole.persist(&path)?;
        Ok(())
    }

    /// Asks `docker-credential-HELPER` (docker-credential-helpers, "Development"). What it says on stdout may be a secret.
    fn ask(&self, helper: &str, verb: &str, key: &str, input: &str) -> Result<(), Error> {
        let program = format!("docker-credential-{helper}");
        let refuse =
            |why: String| Error::Credentials { path: self.path.clone(), registry: key.to_owned(), why };
        let mut command = Command::new(&program);
        command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(|why| refuse(format!("{program}: {why}")))?;
        let sent = process.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
        let output = process.wait_with_output()?;
        match sent {
            _ if !output.status.success() => {
                let said = printable(&String::from_utf8_lossy(&output.stderr));
                Err(refuse(format!("{program} {verb}: {}: {said}", output.status)))
            }
            // one that succeeds without what it was told has not understood it
            Some(Err(why)) => Err(refuse(format!("{program} {verb}: {why}"))),
            _ => Ok(()),
        }
    }
}

/// The helper that keeps the login for `key`.
fn helper_of(document: &Map<String, Value>, key: &str) -> Option<String> {
    let own = document.get("credHelpers").and_then(|helpers| helpers.get(key));
    let name = own.or_else(|| document.get("credsStore"))?.as_str()?;
    (!name.is_empty()).then(|| name.to_owned())
}

fn auths(document: &mut Map<String, Value>) -> Result<&mut Map<String, Value>, Error> {
    let auths = document.entry("auths").or_insert_with(|| json!({}));
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "\"auths\" is no object");
    Ok(auths.as_object_mut().ok_or_else(wrong)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_come_and_go_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let file = AuthFile::at(dir.path().join("new/auth.json"));
        assert!(!file.log_out("r.example").unwrap());
        file.log_in("r.example", "u", "p:q").unwrap();
        file.log_in("r.example/team", "a", "b").unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["auths"]["r.example"]["auth"], "dTpwOnE=");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(file.path()), mode(file.path().parent().unwrap())), (0o600, 0o700));
        assert!(file.log_out("r.example").unwrap());
        assert!(!file.log_out("r.example").unwrap());

        fs::write(file.path(), r#"{"auths":{"a":{"auth":"x"},"b":{}},"HttpHeaders":{"k":["v"]}}"#).unwrap();
        file.log_out_everywhere().unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        let left: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(left, json!({ "auths": {}, "HttpHeaders": { "k": ["v"] } }));
    }

    #[test]
    fn files_of_another_kind_stay_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let file = AuthFile::at(dir.path().join("auth.json"));
        for text in ["{", "[]", r#"{"auths": 5}"#, r#"{"credsStore": "rbuild-test-absent"}"#] {
            fs::write(file.path(), text).unwrap();
            let error = file.log_in("r.example", "u", "p").unwrap_err();
            assert!(error.to_string().contains("auth.json"), "{text}: {error}");
            assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
        }
    }

    #[test]
    fn of_logins_at_once_none_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let file = AuthFile::at(dir.path().join("auth.json"));
        std::thread::scope(|scope| {
            for number in 0..8 {
                let file = &file;
                scope.spawn(move || file.log_in(&format!("r{number}.example"), "u", "p").unwrap());
            }
        });
        let text = fs::read_to_string(file.path()).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["auths"].as_object().unwrap().len(), 8, "{text}");
    }
}
