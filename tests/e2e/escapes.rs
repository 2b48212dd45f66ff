//! Published ways for a Dockerfile, a context or an image to reach the host, each tried by a build. Those of a single step
//! are in `tests/sandbox/escapes.rs`; why they fail is said in `src/sandbox/mod.rs`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::build::BUSYBOX;
use crate::support::{World, tool};

/// What only an escape could read: it must appear in no output and in no blob.
const SECRET: &str = "the-hosts-own-secret";

/// A directory of the host beside the context.
struct Outside(PathBuf);

impl Outside {
    fn of(world: &World) -> Self {
        let dir = world.path("outside");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("secret"), SECRET).unwrap();
        fs::write(dir.join("passwd"), "app:x:4242:4242::/:/bin/sh\n").unwrap();
        Self(dir)
    }

    fn absolute(&self, name: &str) -> String {
        format!("{}/{name}", self.0.display())
    }

    fn by_climbing(&self, name: &str) -> String {
        format!("../../../../../../../../../../../..{}/{name}", self.0.display())
    }

    fn is_untouched(&self, row: &str) {
        assert_eq!(fs::read_dir(&self.0).unwrap().count(), 2, "{row}: something was made outside");
        assert_eq!(fs::read_to_string(self.0.join("secret")).unwrap(), SECRET, "{row}");
    }
}

fn fifo(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
}

fn link(text: &str, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(text, path).unwrap();
}

/// Builds, and looks for the secret in all that came of it.
fn attempt(
    row: &str,
    prepare: impl FnOnce(&World, &Outside),
    dockerfile: impl FnOnce(&Outside) -> String,
    want: Want,
) {
    let world = World::new();
    world.busybox();
    let outside = Outside::of(&world);
    prepare(&world, &outside);
    let said = world.build(&dockerfile(&outside), &["-t", "x"]);
    let (code, text) = match want {
        Want::Built(text) => (0, text),
        Want::Refused(text) => (125, text),
    };
    let all = format!("{}{}", said.stdout, said.stderr);
    assert!(
        said.code == code && all.contains(text),
        "{row}: exit {}, want {code} and {text:?}\n{all}",
        said.code
    );
    assert!(!all.contains(SECRET), "{row}\n{all}");
    for blob in fs::read_dir(world.store().join("blobs/sha256")).unwrap() {
        let bytes = fs::read(blob.unwrap().path()).unwrap();
        let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "{row}: the secret is in a layer");
    }
    outside.is_untouched(row);
}

#[derive(Clone, Copy)]
enum Want {
    /// With this in what was said.
    Built(&'static str),
    /// With exit code 125 and this.
    Refused(&'static str),
}

/// containers-storage looked users up in `/etc/passwd` by the host's eyes, and read what has no end.
#[test]
fn cve_2024_9676_account_files() {
    type Prepare = fn(&World, &Outside);
    let rows: [(&str, Prepare, Want); 6] = [
        ("a fifo", |world, _| fifo(&world.context().join("etc/passwd")), Want::Refused("not a regular file")),
        (
            "a fifo for groups",
            |world, _| fifo(&world.context().join("etc/group")),
            Want::Refused("not a regular file"),
        ),
        (
            "a link to what has no end",
            |world, _| link("/dev/zero", &world.context().join("etc/passwd")),
            Want::Refused("unable to find user app"),
        ),
        (
            "a link to the host's",
            |world, outside| link(&outside.absolute("passwd"), &world.context().join("etc/passwd")),
            Want::Refused("unable to find user app"),
        ),
        (
            "a link that climbs to the host's",
            |world, outside| link(&outside.by_climbing("passwd"), &world.context().join("etc/passwd")),
            Want::Refused("unable to find user app"),
        ),
        (
            "a long one",
            |world, _| {
                world.file("etc/passwd", "");
                let file = fs::File::options().write(true).open(world.context().join("etc/passwd")).unwrap();
                file.set_len((16 << 20) + 1).unwrap();
            },
            Want::Refused("at most 16777216 are read"),
        ),
    ];
    for (row, prepare, want) in rows {
        attempt(row, prepare, |_| format!("{BUSYBOX}COPY etc /etc/\nUSER app\nRUN id\n"), want);
    }
}

/// A Containerfile or an ignore file of the context that has no end.
#[test]
fn cve_2024_9676_files_that_are_parsed() {
    for name in ["Containerfile", ".containerignore", "Dockerfile.dockerignore"] {
        let world = World::new();
        world.file("Dockerfile", "FROM scratch\n");
        let (path, context) = (world.context().join(name), world.context());
        let build = || world.run(&["bud", context.to_str().unwrap()]);
        symlink("/dev/zero", &path).unwrap();
        build().fails(125, "not a regular file");
        fs::remove_file(&path).unwrap();
        fifo(&path);
        build().fails(125, "not a regular file");
        fs::remove_file(&path).unwrap();
        fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        build().fails(125, "longer than 16777216 bytes");
    }
}

/// buildah followed a stage's or a context's link on the host.
#[test]
fn cve_2024_1753_sources_that_are_links() {
    let absolute =
        |world: &World, outside: &Outside| link(&outside.absolute(""), &world.context().join("d/link"));
    let climbing =
        |world: &World, outside: &Outside| link(&outside.by_climbing(""), &world.context().join("d/link"));
    for (row, dockerfile) in [
        ("from a stage", "FROM scratch AS evil\nCOPY d /\nFROM scratch\nCOPY --from=evil /link/secret /s\n"),
        (
            "a directory of a stage",
            "FROM scratch AS evil\nCOPY d /\nFROM scratch\nCOPY --from=evil /link /s\n",
        ),
        ("from the context", "FROM scratch\nCOPY d/link/secret /s\n"),
        ("a directory of the context", "FROM scratch\nCOPY d/link /s\n"),
        ("by a pattern", "FROM scratch\nCOPY d/lin*/sec* /s\n"),
    ] {
        attempt(row, absolute, |_| dockerfile.to_owned(), Want::Refused("no items matching"));
        attempt(row, climbing, |_| dockerfile.to_owned(), Want::Refused("no items matching"));
    }
    let climbs = |outside: &Outside| format!("FROM scratch\nCOPY {} /s\n", outside.by_climbing("secret"));
    attempt("without a link", |_, _| {}, climbs, Want::Refused("no items matching"));
}

/// Looks from a RUN at what a cache of a hostile name shows.
fn cache_attempt(row: &str, steps: impl FnOnce(&Outside) -> String, want: Want) {
    attempt(row, |_, _| {}, |outside| format!("{BUSYBOX}{}", steps(outside)), want);
}

/// buildah joined the source and the id of a cache to a path of the host.
#[test]
fn cve_2024_9675_caches_that_climb() {
    let look = "cat /c/secret; ls -laR /c; echo pwned > /c/made; echo looked";
    let rows: [(&str, &str); 7] = [
        ("an id that climbs", "id=CLIMB,target=/c"),
        ("an absolute id", "id=ABSOLUTE,target=/c"),
        ("a source that climbs", "id=c,source=CLIMB,target=/c"),
        ("an absolute source", "id=c,source=ABSOLUTE,target=/c"),
        ("both", "id=CLIMB,source=CLIMB,target=/c"),
        ("a target that climbs", "id=CLIMB,target=/x/../../../../c"),
        ("a seed's source that climbs", "id=d,from=0,source=CLIMB,target=/c"),
    ];
    for (row, mount) in rows {
        let steps = |outside: &Outside| {
            let (climb, absolute) = (outside.by_climbing(""), outside.absolute(""));
            let mount = mount.replace("CLIMB", &climb).replace("ABSOLUTE", &absolute);
            let earlier =
                format!("RUN mkdir -p {absolute}\nFROM scratch\n{}", &BUSYBOX["FROM scratch\n".len()..]);
            format!("{earlier}RUN --mount=type=cache,{mount} {look}\n")
        };
        cache_attempt(row, steps, Want::Built("looked"));
    }
    // an earlier step left a link in the cache, to be the source of a later one
    for by in ["absolute", "climbing"] {
        for source in ["link", "link/", "real/../link", "link/deeper"] {
            let steps = |outside: &Outside| {
                let to = if by == "absolute" { outside.absolute("") } else { outside.by_climbing("") };
                format!(
                    "RUN --mount=type=cache,id=c,target=/c mkdir -p /c/real; ln -sfn {to} /c/link\n\
                     RUN --mount=type=cache,id=c,source={source},target=/c {look}\n"
                )
            };
            cache_attempt(&format!("{by}: {source}"), steps, Want::Built("looked"));
        }
    }
}

/// BuildKit looked the source of a cache up a second time, after another build had swapped it for a link.
#[test]
fn cve_2024_23651_a_source_that_is_swapped() {
    let world = World::new();
    world.busybox();
    let outside = Outside::of(&world);
    let base = format!("{BUSYBOX}RUN true\n");
    world.build(&base, &["-t", "base"]).good();
    let build = |name: &str, steps: &str| {
        let context = world.path(name);
        fs::create_dir_all(&context).unwrap();
        fs::write(context.join("Dockerfile"), format!("FROM base\n{steps}")).unwrap();
        world.run(&["bud", "--no-cache", context.to_str().unwrap()])
    };
    let swap = format!(
        "RUN --mount=type=cache,id=c,target=/c while ! test -e /c/stop; do rm -rf /c/sub; mkdir /c/sub; rm -rf /c/sub; \
         ln -s {} /c/sub; done; rm /c/stop\n",
        outside.by_climbing("")
    );
    let look =
        "RUN --mount=type=cache,id=c,source=sub,target=/c cat /c/secret; echo pwned > /c/made; echo looked\n";
    std::thread::scope(|scope| {
        let swapping = scope.spawn(|| build("swapping", &swap));
        for _ in 0..8 {
            // it may be refused while the place changes; it never leads outside
            let said = build("looking", look);
            let all = format!("{}{}", said.stdout, said.stderr);
            assert!(!all.contains(SECRET), "{all}");
            assert!(said.code == 0 || said.code == 125, "exit {}\n{all}", said.code);
            outside.is_untouched("swapped");
        }
        build("stopping", "RUN --mount=type=cache,id=c,target=/c touch /c/stop\n").good();
        swapping.join().unwrap().good();
    });
}

/// BuildKit removed the stubs of mounts by a path that the step had led outside.
#[test]
fn cve_2024_23652_stubs_that_are_led_outside() {
    for kind in ["type=cache,id=c", "type=tmpfs", "type=secret,id=s", "source=f"] {
        let prepare = |world: &World, _: &Outside| {
            world.file("f", "");
        };
        // the parent of the stub becomes a link to a directory that has something of the stub's name
        let steps = |outside: &Outside| {
            format!(
                "{BUSYBOX}RUN --mount={kind},target=/way/secret mv /way /moved; ln -s {} /way; echo looked\n",
                outside.absolute("")
            )
        };
        attempt(kind, prepare, steps, Want::Built("looked"));
    }
}

/// Docker's copy and its archives wrote through a link of the image.
#[test]
fn cve_2018_15664_targets_that_are_links() {
    let links = |world: &World, outside: &Outside| {
        link(&outside.absolute("made"), &world.context().join("d/absolute"));
        link(&outside.by_climbing("made"), &world.context().join("d/climbing"));
        world.file("f", "mine");
    };
    for target in ["/absolute", "/absolute/f", "/climbing", "/climbing/deep/f", "/../../climbing/f"] {
        let copy =
            |_: &Outside| format!("{BUSYBOX}COPY d /\nCOPY f {target}\nRUN ls -lR {target}; echo looked\n");
        attempt(target, links, copy, Want::Built("looked"));
    }
    let script = "import sys, tarfile, io\nt = tarfile.open(sys.argv[1], 'w')\n\
        def put(name, kind=tarfile.REGTYPE, link=''):\n    i = tarfile.TarInfo(name); i.type = kind; i.linkname = link; i.size = 4 if kind == tarfile.REGTYPE else 0\n    t.addfile(i, io.BytesIO(b'evil'))\n\
        put('way', tarfile.SYMTYPE, sys.argv[2])\nput('way/made')\nput(sys.argv[3])\nt.close()\n";
    let archive = |world: &World, outside: &Outside| {
        let path = world.context().join("evil.tar");
        let (to, name) = (outside.absolute(""), outside.by_climbing("made"));
        tool("python3", &["-c", script, path.to_str().unwrap(), &to, &name]);
    };
    attempt(
        "an archive",
        archive,
        |_| "FROM scratch\nADD evil.tar /\n".to_owned(),
        Want::Refused("evil.tar"),
    );
}

/// A working directory is walked in the image, whatever its links say, and `/proc/self/fd` leads nowhere.
#[test]
fn cve_2024_21626_working_directories() {
    let links = |world: &World, outside: &Outside| {
        link(&outside.absolute(""), &world.context().join("d/absolute"));
        link(&outside.by_climbing(""), &world.context().join("d/climbing"));
    };
    for (directory, want) in [
        ("/absolute", Want::Built("looked")),
        ("/absolute/made", Want::Built("looked")),
        ("/climbing/made", Want::Built("looked")),
        ("/proc/self/fd/7", Want::Refused("resolve \"/proc/self/fd/7\" in the root")),
    ] {
        let dockerfile = |outside: &Outside| {
            let (near, far) = (outside.absolute("secret"), outside.by_climbing("secret"));
            format!(
                "{BUSYBOX}COPY d /\nWORKDIR {directory}\nRUN cat secret ../secret {near} {far}; echo looked\n"
            )
        };
        attempt(directory, links, dockerfile, want);
    }
}

/// The host's setuid programs' way to a running step's files: the store of root is root's alone.
#[test]
fn cve_2021_41091_the_store_is_closed() {
    let world = World::new();
    world.build("FROM scratch\n", &["-t", "x"]).good();
    assert_eq!(fs::metadata(world.store()).unwrap().permissions().mode() & 0o7777, 0o700);
}

/// Where parts of `/proc` are hidden, the host's is copied into the root, and the sandbox keeps its mounts beneath one of
/// its directories.
#[test]
fn a_copy_of_the_hosts_procfs_is_without_the_sandboxs_mounts() {
    let mut world = World::new();
    world.busybox();
    let script = "set -e; mount -t tmpfs none /proc/irq; exec \"$@\"";
    world.around = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
        .map(str::to_owned)
        .into();
    let said = world.build(&format!("{BUSYBOX}RUN cat /proc/self/mountinfo\n"), &[]).good();
    let mounted = |path: &str| said.stdout.lines().any(|line| line.split(' ').nth(4) == Some(path));
    assert!(mounted("/proc/irq"), "the host's procfs is shown\n{}", said.stdout);
    assert!(!said.stdout.contains(" /proc/driver"), "{}", said.stdout);
}
