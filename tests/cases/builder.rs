//! The builders: each in its own directory, each first making the base.

use std::cell::Cell;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Said, file_of_tests, program, tool};
use crate::{BASE, Case, Outcome};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Builder {
    Rbuild,
    Buildah,
    /// Docker's daemon at `DOCKER_HOST`, by a client that needs no plugin for BuildKit: `RBUILD_CASES_DOCKER`.
    Buildkit,
}

impl Builder {
    pub fn name(self) -> &'static str {
        match self {
            Self::Rbuild => "rbuild",
            Self::Buildah => "buildah",
            Self::Buildkit => "buildkit",
        }
    }
}

/// What a build left, before its layers are read.
enum Made {
    Image {
        config: Value,
        layers: Vec<PathBuf>,
    },
    Nothing(Said),
    /// What a script said, and the image that it left, if it did.
    Script(Said, Option<(Value, Vec<PathBuf>)>),
}

impl Made {
    fn layers(&self) -> Option<&Vec<PathBuf>> {
        match self {
            Self::Image { layers, .. } | Self::Script(_, Some((_, layers))) => Some(layers),
            Self::Nothing(_) | Self::Script(_, None) => None,
        }
    }
}

/// Builds all cases with `builder`, which starts from nothing.
pub fn build_all(builder: Builder, cases: &[Case]) -> Vec<Outcome> {
    let workshop = Workshop::new(builder);
    let base = workshop.build(&workshop.base(), BASE);
    let Made::Image { layers: base, .. } = base else {
        panic!("{}: the base does not build", builder.name())
    };
    let made: Vec<Made> = cases.iter().map(|case| workshop.build(case, "localhost/cases/case")).collect();

    let images = made.iter().filter_map(Made::layers);
    let mut trees = flatten(std::iter::once(&base).chain(images)).into_iter();
    let base = trees.next().unwrap_or_default();
    let mut built = |config: &Value| Outcome::Built {
        author: config["author"].as_str().filter(|author| !author.is_empty()).map(str::to_owned),
        config: config["config"].clone(),
        tree: trees.next().unwrap_or_default(),
        base: base.clone(),
    };
    made.into_iter()
        .map(|made| match made {
            Made::Image { config, .. } => built(&config),
            Made::Nothing(Said { code, stderr, .. }) => Outcome::Refused { code, stderr },
            Made::Script(Said { code, stdout, .. }, image) => {
                Outcome::Scripted { code, stdout, image: image.map(|(config, _)| Box::new(built(&config))) }
            }
        })
        .collect()
}

/// The flattened trees of several images, read by one process.
fn flatten<'a>(images: impl Iterator<Item = &'a Vec<PathBuf>>) -> Vec<Vec<String>> {
    let mut python = Command::new("python3")
        .args([&file_of_tests("flatten.py"), "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed");
    let mut input = python.stdin.take().expect("it is piped");
    let requests: Vec<String> =
        images.map(|layers| serde_json::to_string(layers).expect("paths of tests are UTF-8")).collect();
    let requests = requests.join("\n");
    // As much as a pipe holds may be said before the answers are read.
    let writer = std::thread::spawn(move || input.write_all(requests.as_bytes()));
    let said = Said::of(python.wait_with_output().unwrap()).good();
    writer.join().unwrap().unwrap();
    let trees = said.stdout.split_terminator("---\n");
    trees.map(|tree| tree.lines().map(without_notes).collect()).collect()
}

/// Without overlayfs' notes to itself, which a peer lets slip into its layers.
fn without_notes(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').filter(|word| !word.starts_with("user.overlay.")).collect();
    words.join(" ")
}

struct Workshop {
    builder: Builder,
    directory: TempDir,
    /// How many images were taken out of a peer's store.
    images: Cell<usize>,
}

impl Workshop {
    fn new(builder: Builder) -> Self {
        Self {
            builder,
            directory: tempfile::Builder::new().prefix("c.").tempdir().unwrap(),
            images: Cell::new(0),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The base's folder, with the busybox of this machine.
    fn base(&self) -> Case {
        let folder = self.path("base");
        fs::create_dir_all(folder.join("context")).unwrap();
        fs::copy(Path::new(crate::case::ROOT).join("base/Dockerfile"), folder.join("Dockerfile")).unwrap();
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|path| Path::new(path).exists());
        fs::copy(busybox.expect("the package busybox-static is installed"), folder.join("context/busybox"))
            .unwrap();
        Case { folder }
    }

    /// Runs a script of buildah's words, where `buildah` is this builder. `$IMAGE` is the name that the image should get.
    fn run(&self, case: &Case) -> Made {
        let at = tempfile::Builder::new().prefix("k.").tempdir_in(self.directory.path()).unwrap();
        case.lay_out_context(at.path());
        let bin = at.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let own = self.command();
        // By its path: the word itself is about to mean the script's own.
        let own_program = tool("sh", &["-c", "command -v \"$0\"", own.get_program().to_str().unwrap()]);
        let own_args: Vec<&str> = own.get_args().map(|word| word.to_str().unwrap()).collect();
        let words = format!("{} {}", own_program.trim_end(), own_args.join(" "));
        let program = bin.join("buildah");
        fs::write(&program, format!("#!/bin/sh\nexec {words} \"$@\"\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let script = fs::read_to_string(case.folder.join("script")).unwrap();
        let image = format!("localhost/script/{}", case.folder.file_name().unwrap().to_str().unwrap());
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("timeout");
        command.args(["120", "sh", "-euc", &format!("umask 022\n{script}")]);
        command.current_dir(at.path().join("context"));
        command.env("PATH", format!("{}:{path}", bin.display())).env("IMAGE", &image).env("BASE", BASE);
        command.env("BUILDAH_ISOLATION", if self.builder == Builder::Buildah { "chroot" } else { "" });
        let said = Said::of(command.output().unwrap());
        if std::env::var_os("RBUILD_CASES_TALK").is_some() {
            eprintln!("{}: {}:\n{}{}", case.name(), self.builder.name(), said.stdout, said.stderr);
        }
        Said::of(self.command().args(["rm", "--all"]).output().unwrap());
        let left = self.command().args(["inspect", "--type", "image", &image]).output().unwrap();
        let made = left.status.success().then(|| self.image(&image));
        match made {
            Some(Made::Image { config, layers }) => Made::Script(said, Some((config, layers))),
            _ => Made::Script(said, None),
        }
    }

    fn build(&self, case: &Case, image: &str) -> Made {
        if case.is_script() {
            return if case.is_for(self.builder) {
                self.run(case)
            } else {
                Made::Nothing(Said { code: 0, stdout: String::new(), stderr: String::new() })
            };
        }
        let at = tempfile::Builder::new().prefix("k.").tempdir_in(self.directory.path()).unwrap();
        let for_peer = self.builder != Builder::Rbuild && case.has_words_for_peers();
        case.lay_out(at.path(), if for_peer { "Dockerfile.peer" } else { "Dockerfile" });
        let mut command = self.command();
        match self.builder {
            Builder::Rbuild => command.arg("bud"),
            Builder::Buildah => command.args([
                "bud",
                "--isolation",
                "chroot",
                "--layers",
                "--format",
                "docker",
                "--pull-never",
            ]),
            Builder::Buildkit => command.args(["build", "--network", "none"]),
        };
        command.args(["--no-cache", "-f", "Dockerfile", "-t", image]).args(case.args()).arg("context");
        command.current_dir(at.path()).env("RBUILD_CASE_FROM_OUTSIDE", "outside");
        let said = Said::of(command.output().unwrap());
        if said.code != 0 {
            let gone = said.stderr.contains("Cannot connect to the Docker daemon");
            assert!(!gone, "{}: nobody is there to ask: {}", case.name(), said.stderr);
            if std::env::var_os("RBUILD_CASES_TALK").is_some() {
                eprintln!("{}: {}:\n{}{}", case.name(), self.builder.name(), said.stdout, said.stderr);
            }
            return Made::Nothing(said);
        }
        self.image(image)
    }

    fn command(&self) -> Command {
        match self.builder {
            Builder::Rbuild => {
                let mut command = Command::new(program());
                command.arg("--root").arg(self.path("store")).env_remove("RBUILD_ROOT");
                command
            }
            Builder::Buildah => {
                let mut command = Command::new("buildah");
                command.arg("--root").arg(self.path("b")).arg("--runroot").arg(self.path("r"));
                command.args(["--storage-driver", "overlay"]);
                command
            }
            Builder::Buildkit => {
                let docker = std::env::var("RBUILD_CASES_DOCKER").unwrap_or_else(|_| "docker".to_owned());
                let mut command = Command::new(docker);
                command.env("DOCKER_BUILDKIT", "1");
                command
            }
        }
    }

    /// The config and the layers of an image.
    fn image(&self, image: &str) -> Made {
        let said =
            |arguments: &[&str]| Said::of(self.command().args(arguments).output().unwrap()).good().stdout;
        match self.builder {
            Builder::Rbuild => {
                let config = json(said(&["inspect", image]).as_bytes())["OCIv1"].clone();
                let layers = strings(&config["rootfs"]["diff_ids"]);
                let layers = layers.map(|id| self.path("store/blobs/sha256").join(&id[7..])).collect();
                Made::Image { config, layers }
            }
            Builder::Buildah => {
                let layout = self.fresh();
                let to = format!("oci:{}:case", layout.display());
                said(&["push", "-q", "--format", "docker", image, &to]);
                of_layout(&layout)
            }
            Builder::Buildkit => {
                let inspected = json(said(&["image", "inspect", image]).as_bytes())[0].clone();
                if strings(&inspected["RootFS"]["Layers"]).next().is_none() {
                    // docker refuses to save an image without layers
                    let config =
                        serde_json::json!({"author": inspected["Author"], "config": inspected["Config"]});
                    return Made::Image { config, layers: Vec::new() };
                }
                let saved = self.fresh();
                fs::create_dir(&saved).unwrap();
                let tar = saved.join("image.tar").display().to_string();
                said(&["save", "-o", &tar, image]);
                tool("tar", &["-xf", &tar, "-C", &saved.display().to_string()]);
                of_archive(&saved)
            }
        }
    }

    /// A path that was never given before.
    fn fresh(&self) -> PathBuf {
        let number = self.images.get();
        self.images.set(number + 1);
        self.path(&format!("i{number}"))
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if self.builder == Builder::Buildah {
            // What it mounted and what belongs to mapped ids; where that fails, the directory's own removal complains.
            let (store, run) = (self.path("b"), self.path("r"));
            let clear = format!("umount {0}/overlay; rm -rf {0} {1}", store.display(), run.display());
            let _ = Command::new("buildah").args(["unshare", "sh", "-c", &clear]).output();
            let _ = Command::new("sh").args(["-c", &clear]).output();
        }
    }
}

/// The one image of an OCI layout.
fn of_layout(layout: &Path) -> Made {
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap();
        layout.join("blobs/sha256").join(&digest[7..])
    };
    let read = |path: PathBuf| json(&fs::read(path).unwrap());
    let index = read(layout.join("index.json"));
    let manifest = read(blob(&index["manifests"][0]));
    let layers = manifest["layers"].as_array().unwrap().iter().map(blob).collect();
    Made::Image { config: read(blob(&manifest["config"])), layers }
}

/// The one image of what `docker save` writes, unpacked.
fn of_archive(saved: &Path) -> Made {
    let read = |name: &str| json(&fs::read(saved.join(name)).unwrap());
    let manifest = read("manifest.json")[0].clone();
    let layers = strings(&manifest["Layers"]).map(|layer| saved.join(layer)).collect();
    Made::Image { config: read(manifest["Config"].as_str().unwrap()), layers }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn strings(array: &Value) -> impl Iterator<Item = &str> {
    array.as_array().into_iter().flatten().filter_map(Value::as_str)
}
