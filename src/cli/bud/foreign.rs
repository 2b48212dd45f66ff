//! Options of buildah that `bud` answers by name.

use crate::cli::foreign::{Row, Table};

/// What asks for nothing, or is not done.
pub(super) struct Foreign;

/// Instead of a scanner's program or image, and of where its findings go.
const OWN_SCANNER: &str = "--sbom=true reads the package databases of the image";
const ATTACHED: &str = "--sbom=true attaches it to the image";
const OWN_RUNTIME: &str = "rbuild runs commands by itself";
const BY_DIGEST: &str = "name what is wanted by its digest: FROM NAME@sha256:…";

impl Table for Foreign {
    const ROWS: &'static [Row] = &[
        Row::off("all-platforms", "name them: --platform linux/amd64,linux/arm64"),
        Row::nothing("blob-cache", "the store keeps what it has fetched"),
        Row::not_done("cdi-config-dir", "name the device itself: --device"),
        Row::not_done(
            "cert-dir",
            "put the registry's CA among those of the system, or pass --tls-verify=false",
        ),
        Row::one_way("compat-volumes", false, "what a RUN changes in a volume stays"),
        Row::idle("compress", "layers are compressed as they leave the store"),
        Row::not_done("compression-format", "rbuild push --compression-format chooses it"),
        Row::not_done("compression-level", "leave it out"),
        Row::not_done("cw", "rbuild makes no confidential workloads"),
        Row::not_done("decryption-key", "decrypt the base image first, with skopeo copy --decryption-key"),
        Row::one_way("disable-compression", true, "layers of the store are not compressed").or('D'),
        Row::idle("disable-content-trust", "images are held against their digests"),
        Row::off("force-compression", "leave it out"),
        Row::idle("force-rm", "no container is left over"),
        Row::not_done("hooks-dir", "no hooks are run"),
        Row::one_way("identity-label", false, "no label tells the builder's version"),
        Row::one_way(
            "inherit-annotations",
            false,
            "an image has the annotations that it is given, and none of its base",
        ),
        Row::nothing("layer-label", "steps leave cache records and no images"),
        Row::idle("log-rusage", "--trace tells how long each step takes"),
        Row::not_done("logfile", "send the output to a file: rbuild bud … >FILE 2>&1"),
        Row::off("logsplit", "build one platform at a time"),
        Row::idle("rm", "no container is left over"),
        Row::not_done("runtime", OWN_RUNTIME),
        Row::not_done("runtime-flag", OWN_RUNTIME),
        Row::not_done("rusage-logfile", "--trace FILE tells how long each step takes"),
        Row::not_done("sbom-image-output", ATTACHED),
        Row::not_done("sbom-image-purl-output", ATTACHED),
        Row::not_done("sbom-merge-strategy", OWN_SCANNER),
        Row::not_done("sbom-output", ATTACHED),
        Row::not_done("sbom-purl-output", ATTACHED),
        Row::not_done("sbom-scanner-command", OWN_SCANNER),
        Row::not_done("sbom-scanner-image", OWN_SCANNER),
        Row::not_done("sign-by", "sign what was pushed, with skopeo standalone-sign or cosign"),
        Row::not_done("signature-policy", BY_DIGEST),
        Row::one_way("skip-unused-stages", true, "stages that the target does not need are not built"),
        Row::not_done("source-policy-file", BY_DIGEST),
        Row::one_way("stdin", false, "a command has nothing to read"),
    ];
}
