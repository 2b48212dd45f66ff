//! Python: what is installed (core metadata, PEP 566 and its successors), and what `requirements.txt` pins.

use super::{Error, Found, Kind, Package, told};

/// The one package of a `METADATA` or `PKG-INFO`.
pub(super) fn metadata(text: &str) -> Result<Vec<Package>, Error> {
    // The description follows the first empty line.
    let headers = || text.lines().take_while(|line| !line.is_empty());
    let field = |name: &str| {
        headers().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    };
    let mut found = Found::default();
    if let (Some(name), Some(version)) = (field("Name"), field("Version"))
        && let Some(package) = found.push(Kind::Pypi, name, version)?
    {
        package.license = told(field("License-Expression").or(field("License")));
    }
    Ok(found.0)
}

/// What is pinned to one version (`name[extra]==1.0 ; marker --hash=…`); anything else says no version.
pub(super) fn requirements(text: &str) -> Result<Vec<Package>, Error> {
    let mut found = Found::default();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim_start();
        let Some((name, rest)) = line.split_once("==").filter(|_| !line.starts_with('-')) else { continue };
        let name = name.split('[').next().unwrap_or_default().trim();
        let version = rest.trim_start_matches('=').trim_start();
        let end = version.find(|c: char| c.is_whitespace() || ";,\\".contains(c)).unwrap_or(version.len());
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if is_name && !version[..end].contains('*') {
            found.push(Kind::Pypi, name, &version[..end])?;
        }
    }
    Ok(found.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read_up_to_the_description() {
        let text = "Metadata-Version: 2.1\nName: PyYAML\nVersion: 6.0.1\nLicense: MIT\nClassifier: x\n\nName: not this\nVersion: 9\n";
        let found = metadata(text).unwrap();
        assert_eq!(
            (&*found[0].name, &*found[0].version, found[0].license.as_deref()),
            ("PyYAML", "6.0.1", Some("MIT"))
        );
        assert_eq!(found.len(), 1);
        assert!(metadata("Name: x\n\nVersion: 1\n").unwrap().is_empty());
    }

    #[test]
    fn only_what_is_pinned_counts() {
        let text = "# a comment\nflask==3.0.0\nrequests[socks] == 2.31.0 ; python_version > \"3\"\n\
            certifi===2024.2.2 \\\n    --hash=sha256:abc\nloose>=1\nstar==1.*\n-r other.txt\n-e git+https://x==y\n\
            two==1,==2\nhttps://x/y==1\n";
        let found: Vec<_> =
            requirements(text).unwrap().into_iter().map(|p| format!("{} {}", p.name, p.version)).collect();
        assert_eq!(found, ["flask 3.0.0", "requests 2.31.0", "certifi 2024.2.2", "two 1"]);
    }
}
