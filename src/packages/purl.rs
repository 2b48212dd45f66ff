//! Package URLs (github.com/package-url/purl-spec): what a package is called wherever packages are compared.

use std::fmt::Write as _;

use super::{Kind, Package};

/// What `etc/os-release` says of the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// `debian`, `alpine`, `fedora`, …
    pub id: Option<String>,
    /// `12`, `3.19.1`, …
    pub version: Option<String>,
}

impl Distribution {
    /// Reads the text of `etc/os-release` (os-release(5)).
    pub fn parse(text: &str) -> Self {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
            let word = line.trim().trim_matches(['"', '\'']);
            let is_word = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            (is_word && !word.is_empty() && word.len() < 64).then(|| word.to_owned())
        };
        Self { id: field("ID"), version: field("VERSION_ID") }
    }
}

impl Package {
    /// Its package URL. `distribution` tells whose packages those of dpkg, apk and rpm are.
    pub fn purl(&self, distribution: &Distribution) -> String {
        let own = |fallback: &str| distribution.id.clone().unwrap_or_else(|| fallback.to_owned());
        let (kind, namespace, name) = match self.kind {
            Kind::Deb => ("deb", own("debian"), self.name.to_lowercase()),
            Kind::Apk => ("apk", own("alpine"), self.name.to_lowercase()),
            Kind::Rpm => ("rpm", own("redhat"), self.name.clone()),
            Kind::Npm => match self.name.split_once('/') {
                Some((scope, name)) => ("npm", scope.to_lowercase(), name.to_lowercase()),
                None => ("npm", String::new(), self.name.to_lowercase()),
            },
            Kind::Pypi => ("pypi", String::new(), self.name.to_lowercase().replace('_', "-")),
            Kind::Cargo => ("cargo", String::new(), self.name.clone()),
            Kind::Golang => match self.name.rsplit_once('/') {
                Some((namespace, name)) => ("golang", namespace.to_lowercase(), name.to_lowercase()),
                None => ("golang", String::new(), self.name.to_lowercase()),
            },
        };
        let mut purl = format!("pkg:{kind}/");
        for part in namespace.split('/').filter(|part| !part.is_empty()) {
            encode(part, &mut purl);
            purl.push('/');
        }
        encode(&name, &mut purl);
        purl.push('@');
        encode(&self.version, &mut purl);
        self.qualifiers(distribution, &mut purl);
        purl
    }

    /// Sorted by their names, as the specification wants it.
    fn qualifiers(&self, distribution: &Distribution, purl: &mut String) {
        let is_of_distribution = matches!(self.kind, Kind::Deb | Kind::Apk | Kind::Rpm);
        let distro = match distribution {
            Distribution { id: Some(id), version: Some(version) } if is_of_distribution => {
                Some(format!("{id}-{version}"))
            }
            _ => None,
        };
        let qualifiers = [
            ("arch", self.architecture.clone()),
            ("distro", distro),
            ("epoch", self.epoch.map(|epoch| epoch.to_string())),
        ];
        let mut divider = '?';
        for (name, value) in qualifiers {
            if let Some(value) = value {
                purl.push(divider);
                purl.push_str(name);
                purl.push('=');
                encode(&value, purl);
                divider = '&';
            }
        }
    }
}

/// Percent-encodes all but the unreserved characters and the colon.
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(byte.into());
        } else {
            write!(out, "%{byte:02X}").expect("a string takes every byte");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_called_as_the_specification_says() {
        let debian =
            Distribution::parse("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\nVERSION_ID=\"12\"\n");
        let package = |kind, name: &str, version: &str, architecture: Option<&str>, epoch| Package {
            kind,
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: architecture.map(str::to_owned),
            epoch,
            license: None,
        };
        for (package, want) in [
            (
                package(Kind::Deb, "libstdc++6", "1:12.2.0-14", Some("amd64"), None),
                "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14?arch=amd64&distro=debian-12",
            ),
            (
                package(Kind::Rpm, "bash", "5.1-2.el9", Some("x86_64"), Some(1)),
                "pkg:rpm/debian/bash@5.1-2.el9?arch=x86_64&distro=debian-12&epoch=1",
            ),
            (
                package(Kind::Npm, "@angular/animation", "12.3.1", None, None),
                "pkg:npm/%40angular/animation@12.3.1",
            ),
            (package(Kind::Pypi, "Flask_Login", "1.0", None, None), "pkg:pypi/flask-login@1.0"),
            (package(Kind::Cargo, "rand", "0.7.2", None, None), "pkg:cargo/rand@0.7.2"),
            (
                package(Kind::Golang, "github.com/A/b", "v1.0.0+incompatible", None, None),
                "pkg:golang/github.com/a/b@v1.0.0%2Bincompatible",
            ),
        ] {
            assert_eq!(package.purl(&debian), want);
        }
        let alpine = package(Kind::Apk, "musl", "1.2.4-r2", None, None);
        assert_eq!(alpine.purl(&Distribution::default()), "pkg:apk/alpine/musl@1.2.4-r2");
        assert_eq!(Distribution::parse("ID=\"$(x)\"\nVERSION_ID=1/2\n"), Distribution::default());
    }
}
