//! Lock files of npm (docs.npmjs.com, "package-lock.json"): version 1 nests, versions 2 and 3 list paths.

use serde::Deserialize;
use std::collections::BTreeMap;

use super::{Error, Found, Kind, Package, told};

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    packages: BTreeMap<String, Entry>,
    #[serde(default)]
    dependencies: BTreeMap<String, Nested>,
}

#[derive(Deserialize)]
struct Entry {
    name: Option<String>,
    version: Option<String>,
    #[serde(default)]
    link: bool,
    license: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Nested {
    version: Option<String>,
    #[serde(default)]
    dependencies: BTreeMap<String, Nested>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Vec<Package>, Error> {
    let lock: Lock = serde_json::from_slice(bytes)?;
    let mut found = Found::default();
    for (path, entry) in &lock.packages {
        // The empty path is the project itself; a link stands for an entry of its own.
        let Some((_, by_path)) = path.rsplit_once("node_modules/").filter(|_| !entry.link) else { continue };
        let name = entry.name.as_deref().unwrap_or(by_path);
        if let Some(package) = found.push(Kind::Npm, name, entry.version.as_deref().unwrap_or_default())? {
            package.license = told(entry.license.as_ref().and_then(serde_json::Value::as_str));
        }
    }
    if lock.packages.is_empty() {
        // serde_json bounds how deep they nest.
        nested(&lock.dependencies, &mut found)?;
    }
    Ok(found.0)
}

fn nested(dependencies: &BTreeMap<String, Nested>, found: &mut Found) -> Result<(), Error> {
    for (name, entry) in dependencies {
        found.push(Kind::Npm, name, entry.version.as_deref().unwrap_or_default())?;
        nested(&entry.dependencies, found)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_of_lock_files_is_read() {
        for (row, text) in [
            (
                "1",
                r#"{"name":"p","version":"1.0.0","lockfileVersion":1,"dependencies":{"a":{"version":"1.1.0","dependencies":{"@s/b":{"version":"2.0.0"}}}}}"#,
            ),
            (
                "2",
                r#"{"lockfileVersion":2,"packages":{"":{"name":"p","version":"1.0.0"},"node_modules/a":{"version":"1.1.0","license":"MIT"},"node_modules/a/node_modules/@s/b":{"version":"2.0.0"},"node_modules/l":{"resolved":"l","link":true},"l":{"version":"9.0.0"}},"dependencies":{"a":{"version":"1.1.0"}}}"#,
            ),
            (
                "3",
                r#"{"lockfileVersion":3,"packages":{"node_modules/alias":{"name":"a","version":"1.1.0"},"node_modules/@s/b":{"version":"2.0.0"},"node_modules/none":{}}}"#,
            ),
        ] {
            let mut found: Vec<_> =
                read(text.as_bytes()).unwrap().into_iter().map(|p| (p.name, p.version)).collect();
            found.sort();
            let want = [("@s/b", "2.0.0"), ("a", "1.1.0")]
                .map(|(name, version)| (name.to_owned(), version.to_owned()));
            assert_eq!(found, want, "version {row}");
        }
        read(b"[1]").unwrap_err();
    }
}
