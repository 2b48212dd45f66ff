//! The real case: a Debian base from a registry, a compiler installed in a RUN, a program copied into a
//! second stage, pushed, pulled and run by podman.

use crate::support::{World, provided, tool};

const PROGRAM: &str = r#"#include <stdio.h>
#include <unistd.h>
int main(void) { printf("hello from uid %d\n", (int) getuid()); return 0; }
"#;

fn build_push_run(driver: &str) {
    let Some(registry) = provided("RBUILD_TEST_REGISTRY") else { return };
    let Some(base) = provided("RBUILD_TEST_BASE") else { return };
    let world = World::with(&["--rootfs", driver]);
    world.file("hello.c", PROGRAM);
    let file = format!(
        "ARG BASE={base}\nFROM ${{BASE}} AS build\n\
         RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev\n\
         COPY hello.c /src/\nWORKDIR /src\nRUN gcc -O2 -Wall -o hello hello.c\n\n\
         FROM ${{BASE}}\nRUN useradd --create-home --uid 4711 app\n\
         COPY --from=build --chown=app:app /src/hello /home/app/hello\n\
         LABEL org.opencontainers.image.title=hello version=\"1.0\"\nUSER app\nENTRYPOINT [\"/home/app/hello\"]\n"
    );
    let name = format!("{registry}/e2e/hello-{driver}:1");
    world.build(&file, &["-t", &name]).good();
    let tree = world.tree(&name);
    assert!(
        tree.iter().any(|line| line.starts_with("f 0755 4711:4711 ") && line.contains(" home/app/hello #")),
        "{driver}"
    );
    world.run(&["push", &name]).good();
    let storage = world.path("p");
    let root = storage.display().to_string();
    let global = [
        "--root",
        &root,
        "--runroot",
        &format!("{root}-run"),
        "--storage-driver",
        "overlay",
        "--cgroup-manager",
        "cgroupfs",
        "--runtime",
        "runc",
    ];
    let podman = |args: &[&str]| tool("podman", &[&global[..], args].concat());
    podman(&["pull", "--quiet", "--tls-verify=false", &name]);
    assert_eq!(podman(&["run", "--rm", "--network=host", &name]), "hello from uid 4711\n", "{driver}");
    let label = podman(&["inspect", "--format", "{{index .Config.Labels \"version\"}}", &name]);
    assert_eq!(label.trim(), "1.0");
    podman(&["rmi", "--all", "--force"]);
    // podman mounts its own storage over itself in there.
    podman(&["unshare", "sh", "-c", &format!("umount {root}/overlay; rm -rf {root} {root}-run")]);
}

#[test]
fn on_the_kernel_driver() {
    build_push_run("kernel");
}

#[test]
fn on_the_fuse_driver() {
    build_push_run("fuse");
}
