//! Provenance (SLSA v1, "Build: Provenance"), in the words that BuildKit documents for builds of Dockerfiles
//! (`docs/attestations/slsa-definitions.md`): whoever reads its provenance reads this.

use serde_json::{Map, Value, json};

use super::Provenance;
use crate::build::Options;
use crate::oci::{Digest, Platform};

/// What the fields of the predicate mean.
const BUILD_TYPE: &str = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md";

/// How much provenance tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// What was built from what, and when.
    #[default]
    Min,
    /// The build arguments and labels as well.
    Max,
}

/// Something that a build has taken in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Material {
    uri: String,
    /// The name of the algorithm and the digits.
    digest: (&'static str, String),
}

impl Material {
    /// A base image, or one that something was copied from.
    pub(in crate::build) fn image(
        name: &crate::oci::Reference,
        platform: &Platform,
        manifest: Digest,
    ) -> Self {
        let name = name.remote();
        let path = format!("{}/{}", name.registry().unwrap_or_default(), name.repository());
        let version = name.tag().map(|tag| format!("@{tag}")).unwrap_or_default();
        let platform = platform.to_string().replace('/', "%2F");
        Self {
            uri: format!("pkg:docker/{path}{version}?platform={platform}"),
            digest: ("sha256", manifest.hex()),
        }
    }

    /// A file of the web.
    pub(in crate::build) fn file(url: &str, digest: Digest) -> Self {
        Self { uri: crate::web::redacted(url), digest: ("sha256", digest.hex()) }
    }

    /// A commit of a repository.
    pub(in crate::build) fn commit(url: &str, commit: &str) -> Self {
        let algorithm = if commit.len() == 64 { "sha256" } else { "sha1" };
        Self { uri: crate::web::redacted(url), digest: (algorithm, commit.to_owned()) }
    }
}

/// What is known of a build that is done.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What it took in, sorted.
    pub materials: Vec<Material>,
    /// What it was for.
    pub platform: Platform,
    /// When it began and ended.
    pub time: (jiff::Timestamp, jiff::Timestamp),
}

impl Ran {
    /// The predicate. With an epoch it says nothing of when the build ran, so that it is the same each time.
    pub(super) fn predicate(&self, provenance: &Provenance, options: &Options) -> Value {
        let materials = self.materials.iter().map(|Material { uri, digest: (algorithm, digits) }| {
            json!({ "uri": uri, "digest": { *algorithm: digits } })
        });
        let own = || format!("pkg:generic/rbuild@{}", env!("CARGO_PKG_VERSION"));
        let mut metadata = json!({
            // What a RUN fetches from the network is not known, and neither are the files of the context.
            "buildkit_completeness": { "request": provenance.mode == Mode::Max, "resolvedDependencies": false },
            "buildkit_reproducible": false,
        });
        if options.finish.times.epoch().is_none() {
            let (started, finished) = self.time;
            metadata["startedOn"] = started.to_string().into();
            metadata["finishedOn"] = finished.to_string().into();
        }
        json!({
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "configSource": {
                        // Where the file lies on this machine is nobody's business.
                        "path": options.dockerfile.name().rsplit('/').next().unwrap_or_default(),
                        "digest": { "sha256": Digest::of(options.dockerfile.text().as_bytes()).hex() },
                    },
                    "request": {
                        "frontend": "dockerfile.v0",
                        "args": self.args(provenance.mode, options),
                        "locals": [{ "name": "context" }, { "name": "dockerfile" }],
                    },
                },
                "internalParameters": { "builderPlatform": Platform::host().to_string() },
                "resolvedDependencies": materials.collect::<Vec<_>>(),
            },
            "runDetails": {
                "builder": { "id": provenance.builder_id.clone().unwrap_or_else(own) },
                "metadata": metadata,
            },
        })
    }

    /// What was asked for, as the frontend of BuildKit calls it.
    fn args(&self, mode: Mode, options: &Options) -> Map<String, Value> {
        let mut args = Map::new();
        let mut set = |name: String, value: &str| drop(args.insert(name, value.into()));
        set("platform".to_owned(), &self.platform.to_string());
        if let Some(target) = &options.target {
            set("target".to_owned(), target);
        }
        if mode == Mode::Max {
            for (name, value) in &options.build_args {
                set(format!("build-arg:{name}"), value);
            }
            for (name, value) in &options.finish.labels {
                set(format!("label:{name}"), value);
            }
        }
        args
    }
}
