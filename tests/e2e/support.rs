//! A store, a context and the program between them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Where the program under test is: beside the tests, wherever the runner unpacked them.
pub fn program() -> PathBuf {
    std::env::var_os("NEXTEST_BIN_EXE_rbuild")
        .map_or_else(|| env!("CARGO_BIN_EXE_rbuild").into(), PathBuf::from)
}

/// The value of a variable that `contrib/check` sets. Without it there is nothing to test against: the test
/// says so and passes, unless everything was asked for.
pub fn provided(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    if value.is_none() {
        assert!(std::env::var_os("RBUILD_TEST_ALL").is_none(), "{name} is not set");
        eprintln!("skipped: needs {name}, which contrib/check sets");
    }
    value
}

/// One test's world, gone with it.
pub struct World {
    directory: TempDir,
    /// Options before the verb.
    pub global: Vec<String>,
    /// A command that runs the program, which follows; none if empty.
    pub around: Vec<String>,
}

/// What the program said.
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// What a finished program said.
    pub fn of(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Panics with everything that was said unless the program succeeded.
    #[track_caller]
    pub fn good(self) -> Self {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Panics unless the program ended with `code` and said `text` on stderr.
    #[track_caller]
    pub fn fails(self, code: i32, text: &str) -> Self {
        let good = self.code == code && self.stderr.contains(text);
        assert!(
            good,
            "expected exit {code} and {text:?}\nexit {}\nstdout:\n{}\nstderr:\n{}",
            self.code, self.stdout, self.stderr
        );
        self
    }

    /// The last line of stdout: the id of what was built or pulled.
    pub fn id(&self) -> String {
        self.stdout.lines().next_back().unwrap_or_default().to_owned()
    }
}

impl World {
    /// An empty store and an empty context.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("e.").tempdir().unwrap();
        fs::create_dir(directory.path().join("context")).unwrap();
        Self { directory, global: Vec::new(), around: Vec::new() }
    }

    /// The same with options before the verb.
    pub fn with(global: &[&str]) -> Self {
        Self { global: global.iter().map(|&word| word.to_owned()).collect(), ..Self::new() }
    }

    pub fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    pub fn context(&self) -> PathBuf {
        self.directory.path().join("context")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file of the context.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.context().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Puts the static busybox into the context.
    pub fn busybox(&self) -> &Self {
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|path| Path::new(path).exists());
        fs::copy(busybox.expect("the package busybox-static is installed"), self.context().join("busybox"))
            .unwrap();
        fs::set_permissions(self.context().join("busybox"), fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// The program with its store, ready for more arguments.
    pub fn command(&self) -> Command {
        let mut words = self.around.iter().map(Into::into).chain([program().into_os_string()]);
        let mut command = Command::new(words.next().expect("at least the program"));
        command.args(words).arg("--root").arg(self.store()).args(&self.global).env_remove("RBUILD_ROOT");
        command
    }

    /// Runs a verb.
    pub fn run(&self, args: &[&str]) -> Said {
        Said::of(self.command().args(args).output().unwrap())
    }

    /// Builds the context with this Dockerfile.
    pub fn build(&self, dockerfile: &str, args: &[&str]) -> Said {
        self.file("Dockerfile", dockerfile);
        let context = self.context();
        let words = std::iter::once("bud").chain(args.iter().copied()).chain([context.to_str().unwrap()]);
        self.run(&words.collect::<Vec<_>>())
    }

    /// The config of image `name`.
    pub fn config(&self, name: &str) -> serde_json::Value {
        let said = self.run(&["inspect", name]).good();
        serde_json::from_str::<serde_json::Value>(&said.stdout).unwrap()["OCIv1"].clone()
    }

    /// The flattened tree of image `name`: one line an entry, as the layers' tars say.
    pub fn tree(&self, name: &str) -> Vec<String> {
        flatten(&self.store(), &self.config(name))
    }

    /// Every header of the layers of image `name`, one line each, its columns divided by tabs.
    pub fn headers(&self, name: &str) -> Vec<String> {
        read_layers(&self.store(), &self.config(name), "headers.py")
    }
}

/// Runs another program and gives its stdout; panics with what it said where it fails.
#[track_caller]
pub fn tool(name: &str, args: &[&str]) -> String {
    let output = Command::new(name).args(args).output().unwrap_or_else(|error| panic!("{name}: {error}"));
    let said = Said::of(output);
    assert_eq!(said.code, 0, "{name} {args:?}\n{}\n{}", said.stdout, said.stderr);
    said.stdout
}

/// Merges the layers of a config by a reader of its own (python3's tarfile), so that rbuild's index is not
/// judged by itself.
fn flatten(store: &Path, config: &serde_json::Value) -> Vec<String> {
    read_layers(store, config, "flatten.py")
}

/// What a script of ours says of the layers of a config.
fn read_layers(store: &Path, config: &serde_json::Value, script: &str) -> Vec<String> {
    let layers = config["rootfs"]["diff_ids"].as_array().unwrap();
    let paths: Vec<String> = layers
        .iter()
        .map(|digest| store.join("blobs/sha256").join(&digest.as_str().unwrap()[7..]).display().to_string())
        .collect();
    let script = file_of_tests(script);
    let mut args = vec![script.as_str()];
    args.extend(paths.iter().map(String::as_str));
    tool("python3", &args).lines().map(str::to_owned).collect()
}

/// A file beside the tests. They may run away from the checkout they were built in.
pub fn file_of_tests(name: &str) -> String {
    let built = format!("{}/tests/e2e/{name}", env!("CARGO_MANIFEST_DIR"));
    if Path::new(&built).exists() { built } else { format!("tests/e2e/{name}") }
}
