//! Images to push and pull, made without the code under test: by `tar`, `gzip` and `zstd`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::oci::{Descriptor, DiffId, Digest, media_type};

/// The tar of a directory with one file called `name` that says `content`.
pub(super) fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d").join(name), content).unwrap();
    run("tar", &["-c", "-C", dir.path().to_str().unwrap(), "d"], b"")
}

/// What `program` makes of `input`.
pub(super) fn run(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = process.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(stdin.write_all(input)));
        let output = process.wait_with_output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {complaint}");
        output.stdout
    })
}

/// An image as a registry has it.
pub(super) struct Served {
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
    pub layers: Vec<Vec<u8>>,
}

impl Served {
    /// Of these tars, each with what it is packed by (`gzip`, `zstd`, or nothing) and its media type.
    pub(super) fn new(layers: &[(&[u8], Option<&str>, &str)]) -> Self {
        let diff_ids: Vec<DiffId> = layers.iter().map(|(tar, ..)| DiffId(Digest::of(tar))).collect();
        let packed: Vec<Vec<u8>> = layers
            .iter()
            .map(|(tar, program, _)| {
                program.map_or_else(|| tar.to_vec(), |program| run(program, &["-c"], tar))
            })
            .collect();
        let descriptors: Vec<Descriptor> =
            packed.iter().zip(layers).map(|(blob, (.., kind))| Descriptor::of(kind, blob)).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {"Env": ["A=b"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}, "later": true
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type::MANIFEST,
            "config": Descriptor::of(media_type::CONFIG, &config), "layers": descriptors
        });
        Self { manifest: manifest.to_string().into_bytes(), config, layers: packed }
    }

    /// The same, its manifest changed.
    pub(super) fn but(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let mut manifest = serde_json::from_slice(&self.manifest).unwrap();
        change(&mut manifest);
        self.manifest = manifest.to_string().into_bytes();
        self
    }

    /// Every blob by its digest.
    pub(super) fn blobs(&self) -> impl Iterator<Item = (Digest, &[u8])> {
        let blobs = [&self.manifest, &self.config].into_iter().chain(&self.layers);
        blobs.map(|blob| (Digest::of(blob), blob.as_slice()))
    }

    /// Writes it as the only image of an OCI layout, called `name`.
    pub(super) fn lay_out(&self, root: &Path, name: &str) {
        fs::create_dir_all(root.join("blobs/sha256")).unwrap();
        for (digest, blob) in self.blobs() {
            fs::write(root.join("blobs/sha256").join(digest.hex()), blob).unwrap();
        }
        let mut entry = Descriptor::of(media_type::MANIFEST, &self.manifest);
        entry.annotations.insert("org.opencontainers.image.ref.name".to_owned(), name.to_owned());
        fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        fs::write(root.join("index.json"), json!({"schemaVersion": 2, "manifests": [entry]}).to_string())
            .unwrap();
    }
}
