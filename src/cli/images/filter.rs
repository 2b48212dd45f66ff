//! Which images are listed, by `images --filter`.
//!
//! As buildah has it: of several filters with one key one has to hold, and of each key.

use std::mem::discriminant;

use crate::cli::failure::Failure;
use crate::cli::inspect;
use crate::dockerfile::glob;
use crate::oci::Reference;
use crate::store::{Image, Store};

/// One `KEY=VALUE`, or `KEY!=VALUE`.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    wanted: Wanted,
    is_negated: bool,
}

#[derive(Clone, Debug)]
enum Wanted {
    Before(String),
    Since(String),
    Dangling(bool),
    Id(String),
    Intermediate(bool),
    Label(String, Option<String>),
    ReadOnly(bool),
    Reference(String),
}

const EXPECTED: &str = "expected before=IMAGE, since=IMAGE, dangling=BOOL, id=PREFIX, intermediate=BOOL, label=NAME[=VALUE], \
                        readonly=BOOL or reference=PATTERN";

impl std::str::FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or(EXPECTED)?;
        let (key, is_negated) = key.strip_suffix('!').map_or((key, false), |key| (key, true));
        let is_so = || match value {
            "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
            "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
            _ => Err(format!("{value:?} is neither true nor false")),
        };
        let wanted = match key {
            "before" => Wanted::Before(value.to_owned()),
            "since" | "after" => Wanted::Since(value.to_owned()),
            "dangling" => Wanted::Dangling(is_so()?),
            "id" => Wanted::Id(value.trim_start_matches("sha256:").to_owned()),
            "intermediate" => Wanted::Intermediate(is_so()?),
            "label" => match value.split_once('=') {
                Some((name, value)) => Wanted::Label(name.to_owned(), Some(value.to_owned())),
                None => Wanted::Label(value.to_owned(), None),
            },
            "readonly" => Wanted::ReadOnly(is_so()?),
            "reference" => {
                glob::matches(value, "").map_err(|why| why.to_string())?;
                Wanted::Reference(value.to_owned())
            }
            _ => return Err(EXPECTED.to_owned()),
        };
        Ok(Self { wanted, is_negated })
    }
}

/// What is listed of `all`, the images of `store`: without `filters` about them and without `intermediate` not what is only a
/// part of another. Errors if an image that a filter names is not there.
pub(super) fn listed(
    store: &Store,
    all: &[Image],
    filters: &[Filter],
    intermediate: bool,
) -> Result<Vec<Image>, Failure> {
    let mut filters = filters.to_vec();
    if !intermediate && !filters.iter().any(|one| matches!(one.wanted, Wanted::Intermediate(_))) {
        filters.push(Filter { wanted: Wanted::Intermediate(false), is_negated: false });
    }
    let mut listed = Vec::new();
    for image in all {
        let mut holds = true;
        for filter in &filters {
            let key = discriminant(&filter.wanted);
            let alike = filters.iter().filter(|other| discriminant(&other.wanted) == key);
            let mut any = false;
            for filter in alike {
                any |= filter.wanted.holds(store, all, image)? != filter.is_negated;
            }
            holds &= any;
        }
        if holds {
            listed.push(image.clone());
        }
    }
    Ok(listed)
}

impl Wanted {
    fn holds(&self, store: &Store, all: &[Image], image: &Image) -> Result<bool, Failure> {
        let made = super::made;
        Ok(match self {
            Self::Before(name) => made(image) < made(&inspect::find(store, name)?),
            Self::Since(name) => made(image) > made(&inspect::find(store, name)?),
            Self::Dangling(wanted) => image.names.is_empty() == *wanted,
            Self::Id(prefix) => image.id().hex().starts_with(prefix.as_str()),
            Self::Intermediate(wanted) => is_intermediate(all, image) == *wanted,
            Self::Label(name, value) => {
                let found = image.config.config.labels.get(name);
                found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
            }
            // All of the store may be written.
            Self::ReadOnly(wanted) => !*wanted,
            Self::Reference(pattern) => image.names.iter().any(|name| is_called(name, pattern)),
        })
    }
}

/// Whether the image has no name and is only what another was made of.
fn is_intermediate(all: &[Image], image: &Image) -> bool {
    let (layers, history) = (&image.config.rootfs.diff_ids, &image.config.history);
    let is_more = |other: &&Image| {
        let config = &other.config;
        config.history.len() > history.len()
            && config.history.starts_with(history)
            && config.rootfs.diff_ids.starts_with(layers)
    };
    image.names.is_empty() && !history.is_empty() && all.iter().any(|other| is_more(&other))
}

/// Whether `pattern` fits the name, with or without its registry, with or without its tag; or the end of its path.
fn is_called(name: &Reference, pattern: &str) -> bool {
    let path = name.repository();
    let base = path.rsplit('/').next().unwrap_or_default();
    let whole = name.registry().map(|registry| format!("{registry}/{path}"));
    let tag = name.tag().map(|tag| format!(":{tag}")).unwrap_or_default();
    let bare = [Some(base.to_owned()), Some(path.to_owned()), whole].into_iter().flatten();
    // A malformed pattern was refused before.
    bare.flat_map(|bare| [format!("{bare}{tag}"), bare]).any(|one| glob::matches(pattern, &one) == Ok(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_a_name_by_its_parts() {
        for (name, pattern, want) in [
            ("localhost/one:latest", "o*", true),
            ("localhost/one:latest", "one", true),
            ("localhost/one:latest", "one:latest", true),
            ("localhost/one:latest", "localhost/o*", true),
            ("localhost/one:latest", "local*", false),
            ("localhost/one:latest", "two", false),
            ("localhost/other:v1", "*:v1", true),
            ("localhost/other:v1", "other:v?", true),
            ("registry.example/team/tool:1", "team/tool", true),
            ("registry.example/team/tool:1", "tool", true),
            ("registry.example/team/tool:1", "*/*/tool:1", true),
        ] {
            assert_eq!(is_called(&name.parse().unwrap(), pattern), want, "{name} {pattern}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in ["", "label", "bogus=1", "dangling=maybe", "reference=[", "id!"] {
            assert!(text.parse::<Filter>().is_err(), "{text}");
        }
        assert!("label!=a=b".parse::<Filter>().is_ok_and(|filter| filter.is_negated));
    }
}
