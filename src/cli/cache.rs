//! The options of `bud` about records of earlier builds.
//!
//! `--cache-from` and `--cache-to` are read in two forms: buildah's, a repository, and BuildKit's, `type=KIND,NAME=VALUE…`.

use std::time::Duration;

use crate::build::{Cache, CacheExport, CacheTarget, Ignored, Records};
use crate::dockerfile::{self, CacheMode};
use crate::layer::Compression;
use crate::oci::Reference;
use crate::transfer::{CachePlace, Keep, Layout};

/// The tag of a repository that was given without one.
const TAG: &str = "rbuild-cache";

/// The build cache.
#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Cache")]
pub(super) struct Args {
    /// Do every step again
    #[arg(long)]
    no_cache: bool,
    /// Do the steps of these stages again; may be given several times
    #[arg(long, value_name = "STAGE[,STAGE…]", value_delimiter = ',')]
    no_cache_filter: Vec<String>,
    /// Take no record older than this (90s, 1h30m); 0 takes none
    #[arg(long, value_name = "DURATION", value_parser = age)]
    cache_ttl: Option<Duration>,
    /// When a RUN need not run again: exact, on the same parent; traced, on any where all it looked at is the same
    #[arg(long, value_name = "MODE", default_value = "exact")]
    cache_mode: CacheMode,
    /// Look for records there, too: a repository, or type=registry,ref=NAME or type=local,src=DIR; may be given several times
    #[arg(long, value_name = "REPOSITORY|type=…", value_parser = source)]
    cache_from: Vec<CachePlace>,
    /// Send the records there: a repository, or type=registry,ref=NAME, type=local,dest=DIR or type=inline, with
    /// mode=min|max; may be given several times
    #[arg(long, value_name = "REPOSITORY|type=…", value_parser = target)]
    cache_to: Vec<CacheExport>,
}

impl Args {
    pub(super) fn cache(&self) -> Cache {
        let ignored = if self.no_cache || self.cache_ttl == Some(Duration::ZERO) {
            Ignored::Everything
        } else if self.no_cache_filter.is_empty() {
            Ignored::Nothing
        } else {
            Ignored::Stages(self.no_cache_filter.clone())
        };
        let (from, to) = (self.cache_from.clone(), self.cache_to.clone());
        Cache { ignored, ttl: self.cache_ttl, mode: self.cache_mode, from, to }
    }
}

fn age(text: &str) -> Result<Duration, String> {
    let nanos = dockerfile::duration(text).map_err(|why| why.to_string())?;
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| "a record is no younger than now".to_owned())
}

/// `--cache-from`.
fn source(text: &str) -> Result<CachePlace, String> {
    if !text.contains('=') {
        return repository(text).map(|(reference, _)| CachePlace::Registry(reference));
    }
    let mut fields = Fields::parse(text)?;
    let place = match fields.kind()? {
        "registry" => CachePlace::Registry(fields.reference()?),
        "local" => {
            let path = fields.take("src").ok_or("type=local needs src=DIRECTORY")?.into();
            let digest = fields.take("digest").map(str::parse).transpose();
            let digest = digest.map_err(|why: crate::oci::Error| why.to_string())?;
            let tag = fields.take("tag").map(str::to_owned);
            let tag = tag.or_else(|| digest.is_none().then(|| "latest".to_owned()));
            CachePlace::Layout(Layout { path, tag, digest })
        }
        "inline" => return Err("an inline cache is read with type=registry,ref=IMAGE".to_owned()),
        other => return Err(unknown(other)),
    };
    fields.end().map(|()| place)
}

/// `--cache-to`.
fn target(text: &str) -> Result<CacheExport, String> {
    if !text.contains('=') {
        let (reference, keep) = repository(text)?;
        let target = CacheTarget::Place { place: CachePlace::Registry(reference), keep };
        let compression = Compression::Gzip;
        return Ok(CacheExport { target, records: Records::Max, compression, may_fail: false });
    }
    let mut fields = Fields::parse(text)?;
    let target = match fields.kind()? {
        "registry" => {
            let place = CachePlace::Registry(fields.reference()?);
            CacheTarget::Place { place, keep: Keep::Nothing }
        }
        "local" => {
            let path = fields.take("dest").ok_or("type=local needs dest=DIRECTORY")?.into();
            let tag = Some(fields.take("tag").unwrap_or("latest").to_owned());
            let place = CachePlace::Layout(Layout { path, tag, digest: None });
            CacheTarget::Place { place, keep: Keep::Nothing }
        }
        "inline" => CacheTarget::Inline,
        other => return Err(unknown(other)),
    };
    let records = match fields.take("mode") {
        Some("max") if target == CacheTarget::Inline => {
            return Err("an image has no layers but its own: type=inline is mode=min".to_owned());
        }
        None | Some("min") => Records::Min,
        Some("max") => Records::Max,
        Some(other) => return Err(format!("mode={other}: expected min or max")),
    };
    let compression = match fields.take("compression") {
        None | Some("gzip") => Compression::Gzip,
        Some("zstd") => Compression::Zstd,
        Some("uncompressed") => Compression::None,
        Some(other) => return Err(format!("compression={other}: expected gzip, zstd or uncompressed")),
    };
    let may_fail = fields.flag("ignore-error", false)?;
    for name in ["oci-mediatypes", "image-manifest"] {
        if !fields.flag(name, true)? {
            return Err(format!("{name}=false: a cache is an OCI image manifest"));
        }
    }
    fields.end()?;
    Ok(CacheExport { target, records, compression, may_fail })
}

/// A repository is a cache that builds share, at a tag of ours; with a tag it is that.
fn repository(text: &str) -> Result<(Reference, Keep), String> {
    let reference = text.parse().map_err(|why: crate::oci::Error| why.to_string())?;
    // with a tag or a digest this is no name
    Ok(format!("{text}:{TAG}").parse().map_or((reference, Keep::Nothing), |tagged| (tagged, Keep::Others)))
}

fn unknown(kind: &str) -> String {
    let hint = match kind {
        "gha" | "s3" | "azblob" => ": of BuildKit's kinds it is not supported",
        _ => "",
    };
    format!("type={kind}{hint}; expected registry, local or inline")
}

/// `NAME=VALUE` pairs, each of which somebody has to take.
struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let mut fields: Vec<(&str, &str)> = Vec::new();
        for field in text.split(',') {
            let (name, value) =
                field.split_once('=').ok_or_else(|| format!("field {field:?} must be a name=value pair"))?;
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(format!("{name} is given twice"));
            }
            fields.push((name, value));
        }
        Ok(Self(fields))
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|(other, value)| *other == name && !value.is_empty())?;
        Some(self.0.remove(at).1)
    }

    fn kind(&mut self) -> Result<&'a str, String> {
        self.take("type").ok_or_else(|| "expected type=registry, type=local or type=inline".to_owned())
    }

    fn reference(&mut self) -> Result<Reference, String> {
        let text = self.take("ref").ok_or("type=registry needs ref=NAME")?;
        text.parse().map_err(|why: crate::oci::Error| why.to_string())
    }

    fn flag(&mut self, name: &str, default: bool) -> Result<bool, String> {
        match self.take(name) {
            None => Ok(default),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(format!("{name}={other}: expected true or false")),
        }
    }

    fn end(self) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((name, value)) => Err(format!("unknown or misplaced field {name}={value}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(place: &CachePlace) -> String {
        match place {
            CachePlace::Registry(reference) => format!("registry {reference}"),
            CachePlace::Layout(_) => format!("layout {place}"),
        }
    }

    #[test]
    fn both_forms_of_sources_are_read() {
        for (text, want) in [
            ("r.io/x", "registry r.io/x:rbuild-cache"),
            ("r.io:5000/x", "registry r.io:5000/x:rbuild-cache"),
            ("r.io/x:y", "registry r.io/x:y"),
            ("type=registry,ref=r.io/x", "registry r.io/x"),
            ("ref=r.io/x:y,type=registry", "registry r.io/x:y"),
            ("type=local,src=/c", "layout /c:latest"),
            ("type=local,src=/c,tag=main", "layout /c:main"),
            ("type=local,src=/c,digest=sha256:00", "! "),
            ("type=local", "! type=local needs src=DIRECTORY"),
            ("type=local,dest=/c", "! type=local needs src=DIRECTORY"),
            ("type=registry", "! type=registry needs ref=NAME"),
            ("type=registry,ref=r.io/x,mode=max", "! unknown or misplaced field mode=max"),
            ("type=registry,ref=a,ref=b", "! ref is given twice"),
            ("type=registry,ref", "! field \"ref\" must be a name=value pair"),
            ("type=inline", "! an inline cache is read with type=registry,ref=IMAGE"),
            (
                "type=gha",
                "! type=gha: of BuildKit's kinds it is not supported; expected registry, local or inline",
            ),
            ("ref=x", "! expected type=registry, type=local or type=inline"),
            ("UPPER/x", "! "),
        ] {
            let found = source(text).map_or_else(|why| format!("! {why}"), |place| shown(&place));
            assert!(found == want || (want == "! " && found.starts_with(want)), "{text}: {found}");
        }
    }

    #[test]
    fn both_forms_of_targets_are_read() {
        for (text, want) in [
            ("r.io/x", "registry r.io/x:rbuild-cache Others Max Gzip false"),
            ("r.io/x:y", "registry r.io/x:y Nothing Max Gzip false"),
            ("type=registry,ref=r.io/x:y", "registry r.io/x:y Nothing Min Gzip false"),
            (
                "type=registry,ref=r.io/x:y,mode=max,compression=zstd",
                "registry r.io/x:y Nothing Max Zstd false",
            ),
            ("type=registry,ref=r.io/x:y,ignore-error=true", "registry r.io/x:y Nothing Min Gzip true"),
            ("type=local,dest=/c,mode=max,oci-mediatypes=true", "layout /c:latest Nothing Max Gzip false"),
            ("type=inline", "inline Min Gzip false"),
            ("type=inline,mode=max", "! an image has no layers but its own: type=inline is mode=min"),
            ("type=local,src=/c", "! type=local needs dest=DIRECTORY"),
            ("type=registry,ref=x,mode=mid", "! mode=mid: expected min or max"),
            (
                "type=registry,ref=x,image-manifest=false",
                "! image-manifest=false: a cache is an OCI image manifest",
            ),
            ("type=registry,ref=x,ignore-error=maybe", "! ignore-error=maybe: expected true or false"),
            (
                "type=s3,bucket=b",
                "! type=s3: of BuildKit's kinds it is not supported; expected registry, local or inline",
            ),
        ] {
            let found = target(text).map_or_else(
                |why| format!("! {why}"),
                |export| {
                    let CacheExport { target, records, compression, may_fail } = export;
                    let target = match target {
                        CacheTarget::Inline => "inline".to_owned(),
                        CacheTarget::Place { place, keep } => format!("{} {keep:?}", shown(&place)),
                    };
                    format!("{target} {records:?} {compression:?} {may_fail}")
                },
            );
            assert_eq!(found, want, "{text}");
        }
    }
}
