//! What is attested of an image: stored as BuildKit stores it, about the digest that the registry has.

use std::fs;

use serde_json::{Value, json};

use crate::support::{World, provided, tool};

const FILE: &str = "ARG TOKEN\nFROM scratch\nCOPY status /var/lib/dpkg/status\nCOPY os-release /etc/os-release\n\
    COPY package-lock.json /app/\nCOPY bad.json /bad/package-lock.json\n";

fn world() -> World {
    let world = World::new();
    world
        .file("status", "Package: acl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.3.1-3\n")
        .file("os-release", "ID=debian\nVERSION_ID=\"12\"\n")
        .file(
            "package-lock.json",
            r#"{"lockfileVersion":3,"packages":{"node_modules/@s/a":{"version":"1.2.3"}}}"#,
        )
        .file("bad.json", "{");
    world
}

fn blob(world: &World, digest: &Value) -> Value {
    let path = world.store().join("blobs/sha256").join(&digest.as_str().unwrap()["sha256:".len()..]);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The index that `name` stands for in the store.
fn list(world: &World, name: &str) -> Value {
    let index: Value = serde_json::from_slice(&fs::read(world.store().join("index.json")).unwrap()).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    let entry =
        entries.iter().find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == name);
    blob(world, &entry.unwrap_or_else(|| panic!("{name}: {index}"))["digest"])
}

/// The statements about the image of `list`, by their predicate types.
fn statements(world: &World, list: &Value) -> Vec<(String, Value)> {
    let attestation = &list["manifests"][1];
    assert_eq!(attestation["platform"], json!({"architecture": "unknown", "os": "unknown"}));
    assert_eq!(
        attestation["annotations"],
        json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": list["manifests"][0]["digest"],
        })
    );
    let manifest = blob(world, &attestation["digest"]);
    let config = blob(world, &manifest["config"]["digest"]);
    assert_eq!((&config["os"], &config["architecture"]), (&json!("unknown"), &json!("unknown")));
    let statement = |layer: &Value| {
        assert_eq!(layer["mediaType"], "application/vnd.in-toto+json");
        let statement = blob(world, &layer["digest"]);
        let kind = layer["annotations"]["in-toto.io/predicate-type"].as_str().unwrap().to_owned();
        assert_eq!(statement["predicateType"], kind);
        assert_eq!(statement["_type"], "https://in-toto.io/Statement/v0.1");
        let digest = list["manifests"][0]["digest"].as_str().unwrap();
        assert_eq!(statement["subject"][0]["digest"]["sha256"], digest["sha256:".len()..]);
        (kind, statement)
    };
    manifest["layers"].as_array().unwrap().iter().map(statement).collect()
}

#[test]
fn packages_and_origin_are_attested_of_the_image() {
    let world = world();
    let args = [
        "--sbom",
        "--provenance=mode=max,builder-id=https://ci.example/7",
        "--build-arg",
        "TOKEN=t",
        "-t",
        "x:1",
    ];
    let said = world.build(FILE, &args).good();
    assert!(said.stderr.contains("sbom: /bad/package-lock.json is left out"), "{}", said.stderr);
    let list = list(&world, "localhost/x:1");
    let statements = statements(&world, &list);
    let [(sbom, document), (slsa, provenance)] = &statements[..] else { panic!("{statements:#?}") };
    assert_eq!((&sbom[..], &slsa[..]), ("https://spdx.dev/Document", "https://slsa.dev/provenance/v1"));

    let document = &document["predicate"];
    assert_eq!(document["spdxVersion"], "SPDX-2.3");
    let purls: Vec<&str> = document["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|package| package["externalRefs"][0]["referenceLocator"].as_str())
        .collect();
    assert_eq!(purls, ["pkg:deb/debian/acl@2.3.1-3?arch=amd64&distro=debian-12", "pkg:npm/%40s/a@1.2.3"]);
    assert_eq!(document["relationships"].as_array().unwrap().len(), 3);
    assert!(document["comment"].as_str().unwrap().contains("bad/package-lock.json"), "{document:#}");

    let predicate = &provenance["predicate"];
    assert_eq!(predicate["runDetails"]["builder"]["id"], "https://ci.example/7");
    let request = &predicate["buildDefinition"]["externalParameters"]["request"];
    assert_eq!(request["args"]["build-arg:TOKEN"], "t");
    assert!(predicate["runDetails"]["metadata"]["startedOn"].is_string());
    // The name means the image, as any name does.
    assert_eq!(world.config("x:1")["architecture"], list["manifests"][0]["platform"]["architecture"]);
    let images = world.run(&["images", "-q"]).good().stdout;
    assert_eq!(images.lines().count(), 1, "{images}");
    world.build("FROM localhost/x:1\nCOPY status /b\n", &["--pull=never", "-t", "above"]).good();
    world.run(&["rmi", "above"]).good();
    world.run(&["rmi", "x:1"]).good();
    assert_eq!(world.run(&["images", "-q"]).good().stdout, "");
}

#[test]
fn the_least_provenance_tells_no_argument_and_the_same_epoch_gives_the_same_digest() {
    let mut digests = Vec::new();
    for _ in 0..2 {
        let world = world();
        let metadata = world.path("metadata").display().to_string();
        let args =
            ["--attest", "type=sbom", "--provenance", "--timestamp", "7", "--build-arg", "TOKEN=hidden"];
        world.build(FILE, &[&args[..], &["-t", "x", "--metadata-file", &metadata]].concat()).good();
        let list = list(&world, "localhost/x:latest");
        for (kind, statement) in statements(&world, &list) {
            assert!(!statement.to_string().contains("hidden"), "{kind}: {statement:#}");
        }
        let told: Value = serde_json::from_slice(&fs::read(metadata).unwrap()).unwrap();
        digests.push(told["containerimage.digest"].clone());
    }
    assert_eq!(digests[0], digests[1]);
    let world = world();
    for (args, text) in [
        (&["--sbom=syft"][..], "runs no scanner"),
        (&["--provenance=mode=most"], "expected true, false, mode=min"),
        (&["--attest=mode=max"], "expected type=provenance or type=sbom"),
        (&["--provenance", "--format", "docker"], "has no attestations"),
    ] {
        world.build(FILE, args).fails(125, text);
    }
}

#[test]
fn a_registry_has_the_image_and_what_is_attested_of_it() {
    let Some(registry) = provided("RBUILD_TEST_REGISTRY") else { return };
    let Some(base) = provided("RBUILD_TEST_BASE") else { return };
    let world = World::new();
    let name = format!("{registry}/e2e/attested:1");
    world.file("own", "x");
    world.build(&format!("FROM {base}\nCOPY own /own\n"), &["--sbom", "--provenance", "-t", &name]).good();
    let list = list(&world, &name);
    let statements = statements(&world, &list);
    let packages = statements[0].1["predicate"]["packages"].as_array().unwrap();
    let has = |start: &str| {
        packages.iter().any(|package| {
            package["externalRefs"][0]["referenceLocator"]
                .as_str()
                .is_some_and(|purl| purl.starts_with(start))
        })
    };
    assert!(has("pkg:deb/debian/dpkg@") && has("pkg:deb/debian/libc6@"), "{packages:#?}");
    let materials =
        statements[1].1["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    assert_eq!(materials.len(), 1, "{materials:?}");
    assert!(materials[0]["uri"].as_str().unwrap().starts_with("pkg:docker/"), "{materials:?}");
    // Nothing is packed anew, so that what is attested stays true.
    world.run(&["push", "--compression-format", "zstd", "--force-compression", &name]).good();
    let raw = tool("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
    let pushed: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(pushed["manifests"], list["manifests"]);
    let at = format!("docker://{registry}/e2e/attested@{}", list["manifests"][1]["digest"].as_str().unwrap());
    let raw: Value =
        serde_json::from_str(&tool("skopeo", &["inspect", "--raw", "--tls-verify=false", &at])).unwrap();
    assert_eq!(
        raw["layers"][1]["annotations"]["in-toto.io/predicate-type"],
        "https://slsa.dev/provenance/v1"
    );
    let other = World::new();
    other.run(&["pull", &name]).good();
    assert_eq!(other.config(&name)["rootfs"], world.config(&name)["rootfs"]);
}

#[test]
fn packages_that_a_document_has_no_room_for_are_told_and_fail_no_build() {
    let world = World::new();
    // Each about 30 KB of the document: the longest name and version that are taken, three times as long in a URL.
    let long = "é".repeat(2000);
    for name in ["a", "b", "c"] {
        let package =
            |number: usize| (format!("node_modules/{name}{number}{long}"), json!({ "version": long }));
        let packages: serde_json::Map<_, _> = (0..500).map(package).collect();
        let lock = json!({ "lockfileVersion": 3, "packages": packages });
        world.file(&format!("{name}/package-lock.json"), lock.to_string());
    }
    let said = world.build("FROM scratch\nCOPY . /\n", &["--sbom", "-t", "x:1"]).good();
    let want = "sbom: /c/package-lock.json is left out: the document has no room for its 500 packages";
    assert!(said.stderr.contains(want), "{}", said.stderr);
    let [(_, statement)] = &statements(&world, &list(&world, "localhost/x:1"))[..] else { panic!() };
    assert_eq!(statement["predicate"]["packages"].as_array().unwrap().len(), 1 + 1000);
    let comment = statement["predicate"]["comment"].as_str().unwrap();
    assert!(comment.contains("c/package-lock.json: the document has no room"), "{comment}");
}
