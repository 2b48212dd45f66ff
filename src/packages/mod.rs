//! Packages: what the databases and lock files in an image say is installed, and the SPDX document that lists it.
//!
//! ```text
//! dpkg    var/lib/dpkg/status, status.d/*        npm      package-lock.json, node_modules/.package-lock.json
//! apk     lib/apk/db/installed                   python   *.dist-info/METADATA, PKG-INFO, requirements*.txt
//! rpm     rpmdb.sqlite (sqlite)                  cargo    Cargo.lock
//!                                                go       go.mod, go.sum
//! ```
//!
//! This room is pure: bytes in, packages out. The bytes come from images and are hostile: every reader takes them once from
//! front to back, follows no number without looking where it leads, and stops at [`PACKAGE_LIMIT`].

mod cargo;
mod go;
mod npm;
mod purl;
mod python;
mod rpm;
mod spdx;
mod sqlite;
mod stanza;

use std::path::Path;

pub use purl::Distribution;
pub use spdx::{Document, Subject};

/// More packages than this are not read from one file.
pub const PACKAGE_LIMIT: usize = 200_000;
/// The longest name, version or license that is taken, in bytes.
const FIELD_LIMIT: usize = 4096;

/// Whose package something is: the types of package URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Debian's and its descendants'.
    Deb,
    /// Alpine's.
    Apk,
    /// Of rpm.
    Rpm,
    /// Of npm.
    Npm,
    /// Of the Python Package Index.
    Pypi,
    /// A crate.
    Cargo,
    /// A Go module.
    Golang,
}

/// An installed, or locked, package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Whose it is.
    pub kind: Kind,
    /// Its name, as its kind has it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `amd64`, `noarch`, …
    pub architecture: Option<String>,
    /// The number before the version that orders rpm's versions.
    pub epoch: Option<u32>,
    /// What it says of its license.
    pub license: Option<String>,
}

/// Why a file is not what its name promises.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not text.
    #[error("not UTF-8 at byte {0}")]
    Utf8(usize),
    /// Not JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Not a database, or one that is damaged.
    #[error("byte {at}: {why}")]
    Malformed {
        /// Where.
        at: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// More packages than are read.
    #[error("more than {PACKAGE_LIMIT} packages")]
    TooMany,
}

/// A file that tells of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `var/lib/dpkg/status`.
    DpkgStatus,
    /// A file of `var/lib/dpkg/status.d`.
    DpkgPackage,
    /// `lib/apk/db/installed`.
    Apk,
    /// `rpmdb.sqlite`.
    Rpm,
    /// A database of rpm in a form that is not read: Berkeley DB, or rpm's own `ndb`.
    RpmOther,
    /// `package-lock.json`.
    Npm,
    /// `METADATA` or `PKG-INFO`.
    PythonMetadata,
    /// `requirements.txt`, whose exact versions count.
    PythonRequirements,
    /// `Cargo.lock`.
    Cargo,
    /// `go.mod`.
    GoMod,
    /// `go.sum`, which counts where no `go.mod` is beside it.
    GoSum,
}

impl Source {
    /// What the file at `path` is, judged by its name alone; no leading slash.
    pub fn of(path: &[u8]) -> Option<Self> {
        let path = std::str::from_utf8(path).ok()?;
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (above, parent) = directory.rsplit_once('/').unwrap_or(("", directory));
        match name {
            "status" if directory == "var/lib/dpkg" => Some(Self::DpkgStatus),
            "installed" if matches!(directory, "lib/apk/db" | "usr/lib/apk/db") => Some(Self::Apk),
            "rpmdb.sqlite" if is_rpm(directory) => Some(Self::Rpm),
            "Packages" | "Packages.db" if is_rpm(directory) => Some(Self::RpmOther),
            _ if directory == "var/lib/dpkg/status.d" && !name.ends_with(".md5sums") => {
                Some(Self::DpkgPackage)
            }
            "package-lock.json" | "npm-shrinkwrap.json" | ".package-lock.json" => Some(Self::Npm),
            "METADATA" if parent.ends_with(".dist-info") => Some(Self::PythonMetadata),
            "PKG-INFO" if parent.ends_with(".egg-info") || (parent == "EGG-INFO" && ends(above, "egg")) => {
                Some(Self::PythonMetadata)
            }
            "Cargo.lock" => Some(Self::Cargo),
            "go.mod" => Some(Self::GoMod),
            "go.sum" => Some(Self::GoSum),
            _ if name.starts_with("requirements") && ends(name, "txt") => Some(Self::PythonRequirements),
            _ => None,
        }
    }

    /// The packages that `bytes`, the content of such a file, tells of.
    pub fn read(self, bytes: &[u8]) -> Result<Vec<Package>, Error> {
        match self {
            Self::DpkgStatus | Self::DpkgPackage => stanza::dpkg(text(bytes)?),
            Self::Apk => stanza::apk(text(bytes)?),
            Self::Rpm => rpm::read(bytes),
            Self::RpmOther => Err(Error::Malformed {
                at: 0,
                why: "a database of rpm in Berkeley DB or ndb is not read; rpmdb --rebuilddb of rpm 4.16 or later makes it sqlite",
            }),
            Self::Npm => npm::read(bytes),
            Self::PythonMetadata => python::metadata(&String::from_utf8_lossy(bytes)),
            Self::PythonRequirements => python::requirements(text(bytes)?),
            Self::Cargo => cargo::read(text(bytes)?),
            Self::GoMod => go::module(text(bytes)?),
            Self::GoSum => go::sum(text(bytes)?),
        }
    }
}

fn ends(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|own| own == extension)
}

fn is_rpm(directory: &str) -> bool {
    matches!(directory, "var/lib/rpm" | "usr/lib/sysimage/rpm" | "usr/share/rpm")
}

fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|error| Error::Utf8(error.valid_up_to()))
}

/// Packages on their way out of a file, in its order.
#[derive(Default)]
struct Found(Vec<Package>);

impl Found {
    /// Takes a package that has a name and a version; one without is none.
    fn push(&mut self, kind: Kind, name: &str, version: &str) -> Result<Option<&mut Package>, Error> {
        let fits = |field: &str| !field.is_empty() && field.len() <= FIELD_LIMIT;
        if !fits(name) || !fits(version) {
            return Ok(None);
        }
        if self.0.len() == PACKAGE_LIMIT {
            return Err(Error::TooMany);
        }
        let (name, version) = (name.to_owned(), version.to_owned());
        self.0.push(Package { kind, name, version, architecture: None, epoch: None, license: None });
        Ok(self.0.last_mut())
    }
}

/// A field that is worth telling.
fn told(field: Option<&str>) -> Option<String> {
    field.filter(|field| !field.is_empty() && field.len() <= FIELD_LIMIT).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names() {
        for (path, want) in [
            ("var/lib/dpkg/status", Some(Source::DpkgStatus)),
            ("srv/var/lib/dpkg/status", None),
            ("var/lib/dpkg/status.d/tzdata", Some(Source::DpkgPackage)),
            ("var/lib/dpkg/status.d/tzdata.md5sums", None),
            ("lib/apk/db/installed", Some(Source::Apk)),
            ("usr/lib/sysimage/rpm/rpmdb.sqlite", Some(Source::Rpm)),
            ("var/lib/rpm/Packages", Some(Source::RpmOther)),
            ("app/package-lock.json", Some(Source::Npm)),
            ("app/node_modules/.package-lock.json", Some(Source::Npm)),
            ("usr/lib/python3/dist-packages/x-1.dist-info/METADATA", Some(Source::PythonMetadata)),
            ("usr/lib/python3/dist-packages/METADATA", None),
            ("usr/lib/python3/dist-packages/x.egg-info/PKG-INFO", Some(Source::PythonMetadata)),
            ("app/requirements-dev.txt", Some(Source::PythonRequirements)),
            ("Cargo.lock", Some(Source::Cargo)),
            ("go.sum", Some(Source::GoSum)),
            ("etc/passwd", None),
        ] {
            assert_eq!(Source::of(path.as_bytes()), want, "{path}");
        }
    }

    #[test]
    fn nothing_that_is_read_makes_a_reader_fall_over() {
        let sources = [
            Source::DpkgStatus,
            Source::Apk,
            Source::Rpm,
            Source::Npm,
            Source::PythonMetadata,
            Source::PythonRequirements,
            Source::Cargo,
            Source::GoMod,
            Source::GoSum,
        ];
        for bytes in [
            &b""[..],
            b"\n\n\n",
            b"\xff\xfe",
            b":",
            b"[[package]]",
            b"{}",
            b"[]",
            b"SQLite format 3\0",
            &[0; 4096],
        ] {
            for source in sources {
                let read = source.read(bytes);
                assert!(read.is_err() || read.unwrap().is_empty(), "{source:?} {bytes:?}");
            }
        }
    }
}
