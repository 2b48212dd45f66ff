//! Nothing about a file is lost: build → push → pull → the next build, entry by entry, beside buildah.

use std::fs;

use crate::support::{World, provided, tool};

/// Everything a file can be. Times are left out: two builders run at two times.
const WORK: &str = "RUN apt-get update && apt-get install -y --no-install-recommends libcap2-bin\n\
    RUN mkdir -p /t/empty /t/again && cd /t && echo f > f && chown 12:34 f && chmod 0640 f && \
    cp f suid && chmod 4755 suid && cp f sgid && chmod 2755 sgid && mkdir -m 1777 sticky && \
    cp f capable && setcap cap_net_bind_service=ep capable && ln f hard && ln -s ../t/f soft && mkfifo -m 600 pipe && \
    echo x > deleted && echo x > again/a && echo big > '/t/name with spaces' && printf x > /t/$(printf 'n%.0s' $(seq 1 200))\n\
    RUN cd /t && rm deleted && rm -r again && mkdir again && echo b > again/b && chown -R 1000:1000 sticky && rm /etc/motd\n";

/// The entries below /t and what happened to the base, without what differs from build to build.
fn entries(tree: Vec<String>) -> Vec<String> {
    let ours = tree.into_iter().filter(|line| line.contains(" t/") || line.contains(" etc/motd"));
    // This attribute is overlayfs' own note to itself; the peer lets it slip into its layers.
    ours.map(|line| line.replace(" user.overlay.origin=", "")).collect()
}

fn flatten_oci(directory: &std::path::Path) -> Vec<String> {
    let read = |path: &std::path::Path| -> serde_json::Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let blob =
        |digest: &serde_json::Value| directory.join("blobs/sha256").join(&digest.as_str().unwrap()[7..]);
    let index = read(&directory.join("index.json"));
    let manifest = read(&blob(&index["manifests"][0]["digest"]));
    let layers: Vec<String> = manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| blob(&layer["digest"]).display().to_string())
        .collect();
    let mut args = vec!["tests/e2e/flatten.py"];
    args.extend(layers.iter().map(String::as_str));
    tool("python3", &args).lines().map(str::to_owned).collect()
}

#[test]
fn every_entry_survives_as_buildah_has_it() {
    let Some(registry) = provided("RBUILD_TEST_REGISTRY") else { return };
    let Some(base) = provided("RBUILD_TEST_BASE") else { return };
    let dockerfile = format!("FROM {base}\n{WORK}");

    let peer = World::new();
    peer.file("Dockerfile", &dockerfile);
    let root = peer.path("b").display().to_string();
    let global = ["--root", &root, "--runroot", &format!("{root}-run"), "--storage-driver", "overlay"];
    let buildah = |args: &[&str]| tool("buildah", &[&global[..], args].concat());
    let context = peer.context().display().to_string();
    buildah(&["bud", "--isolation", "chroot", "--layers", "--tls-verify=false", "-t", "peer", &context]);
    let layout = peer.path("layout");
    buildah(&["push", "peer", &format!("oci:{}:peer", layout.display())]);
    let want = entries(flatten_oci(&layout));
    assert_eq!(want.len(), 13, "{want:#?}");
    tool(
        "buildah",
        &[&global[..], &["unshare", "sh", "-c", &format!("umount {root}/overlay; rm -rf {root} {root}-run")]]
            .concat(),
    );

    for driver in ["kernel", "fuse"] {
        let world = World::with(&["--rootfs", driver]);
        let name = format!("{registry}/e2e/fidelity-{driver}:1");
        world.build(&dockerfile, &["-t", &name]).good();
        assert_eq!(entries(world.tree(&name)), want, "{driver}: as built");
        world.run(&["push", &name]).good();
        let next = World::with(&["--rootfs", driver]);
        next.build(
            &format!(
                "FROM {name}\nRUN getcap /t/capable && stat -c %a:%u:%g:%h /t/f /t/suid && touch /t/empty\n"
            ),
            &["-t", "next"],
        )
        .good();
        let said = next
            .build(
                &format!("FROM {name}\nRUN getcap /t/capable; stat -c %a:%u:%g:%h /t/f\n"),
                &["--no-cache"],
            )
            .good();
        assert!(
            said.stdout.contains("/t/capable cap_net_bind_service=ep\n640:12:34:2\n"),
            "{driver}\n{}",
            said.stdout
        );
        assert_eq!(entries(next.tree(&name)), want, "{driver}: as pulled");
        assert_eq!(entries(next.tree("next")), want, "{driver}: as the next build has it");
    }
}
