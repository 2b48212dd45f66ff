//! What the documentation shows is typed here as it stands: in a shell, with a home of its own, and with a registry and a
//! server of files where it names some.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::login::Registry;
use crate::server::{Answer, Server};
use crate::support::{World, program, provided, tool};
use crate::terminal::{Terminal, has};

/// Names of the documentation, which lead nowhere.
const REGISTRIES: [&str; 2] = ["registry.example", "localhost:5000"];
const FILES: &str = "https://files.example";
const BASE: &str = "debian:bookworm";

/// How long a page may take, in seconds, before it fails.
const PATIENCE: &str = "60";

/// What every shell begins with.
const PRELUDE: &str = r#"
trap 'kill $(jobs -p) 2>/dev/null || :' EXIT
# greeting NAME [OPTION...]: an image with a shell
greeting() {
    name=$1; shift
    mkdir -p greeting
    cp /bin/busybox greeting/
    printf 'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\nLABEL a=b\n' >greeting/Dockerfile
    rbuild bud -q -t "$name" "$@" greeting
}
# cached DIRECTORY: the build of the Dockerfile of this directory keeps something in that one
cached() {
    cp /bin/busybox .
    printf 'FROM scratch\nCOPY busybox /bin/sh\nRUN --mount=type=cache,target=%s echo a >%s/a\n' "$1" "$1" >Dockerfile
    rbuild bud .
}
"#;

/// A place to type in.
pub struct Session {
    world: World,
    registry: Registry,
    files: Server,
    base: String,
    path: String,
}

impl Session {
    /// `None`, with the reason told, where something is missing that it needs.
    pub fn start() -> Option<Self> {
        let base = provided("RBUILD_TEST_BASE")?;
        let helper = provided("RBUILD_TEST_IDMAP")?;
        let world = World::new();
        let registry = Registry::start(&world)?;
        world.file("tool", "a tool\n");
        let tar = Command::new("tar").args(["-c", "tool"]).current_dir(world.context()).output().unwrap();
        let files = Server::start(move |_, _| Answer(200, Vec::new(), tar.stdout.clone()));
        // the helper first: the one beside the program has no capabilities
        let programs = [helper, program().display().to_string()];
        let programs = programs.map(|path| path.rsplit_once('/').unwrap().0.to_owned()).join(":");
        let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
        Some(Self { world, registry, files, base, path })
    }

    /// A shell that does `setup` and then `script`, of which names lead to what is here, each in a home and a directory
    /// called `name`, that are empty.
    fn shell(&self, name: &str, setup: &str, script: &str) -> Command {
        let host = self.registry.address.to_string();
        let mut script = script.replace(FILES, &format!("http://{}", self.files.address()));
        for registry in REGISTRIES {
            script = script.replace(registry, &host);
        }
        let script = script.replace(BASE, &self.base);
        let setup = setup.replace(REGISTRIES[0], &host).replace(BASE, &self.base);
        let [home, directory] = ["home", "work"].map(|kind| self.world.path(&format!("{name}.{kind}")));
        fs::create_dir(&home).unwrap();
        fs::create_dir(&directory).unwrap();
        let file = home.join("script");
        fs::write(&file, format!("{PRELUDE}{setup}\nset -x\n{script}\n")).unwrap();
        let mut shell = Command::new("timeout");
        shell.args(["--foreground", PATIENCE, "sh", "-eu"]).arg(file).current_dir(directory).env_clear();
        for inherited in ["TMPDIR", "XDG_RUNTIME_DIR", "LANG"] {
            shell.envs(std::env::var(inherited).map(|value| (inherited, value)));
        }
        let store = home.join(".local/share/rbuild");
        if script.contains(&self.base) || setup.contains(&self.base) {
            self.copy_seed(&store);
        }
        shell.env("PATH", &self.path).env("HOME", &home).env("RBUILD_ROOT", store);
        shell.env("REGISTRY_AUTH_FILE", home.join("auth.json"));
        shell
    }

    /// Begins `store` with the base, which is fetched once.
    fn copy_seed(&self, store: &Path) {
        let seed = self.world.store();
        if !seed.exists() {
            self.world.run(&["pull", "--quiet", &self.base]).good();
        }
        fs::create_dir_all(store.parent().unwrap()).unwrap();
        tool("cp", &["-a", seed.to_str().unwrap(), store.to_str().unwrap()]);
    }

    /// Types it. Errors with all that was said if a command fails.
    pub fn type_in(&self, name: &str, setup: &str, script: &str) -> Result<(), String> {
        // a file, which nobody waits for that a command leaves behind
        let said = self.world.path(&format!("{name}.said"));
        let file = || fs::File::options().append(true).create(true).open(&said).unwrap();
        let status = self
            .shell(name, setup, script)
            .stdin(Stdio::null())
            .stdout(file())
            .stderr(file())
            .status()
            .unwrap();
        let said = fs::read_to_string(&said).unwrap();
        if status.success() { Ok(()) } else { Err(format!("{name}: {status}\n{said}")) }
    }

    /// The same on a terminal, where each question is answered.
    pub fn answer(
        &self,
        name: &str,
        setup: &str,
        script: &str,
        answers: &[(&str, &str)],
    ) -> Result<(), String> {
        let mut terminal = Terminal::start(self.shell(name, setup, script), 200, 200);
        for (question, answer) in answers {
            terminal.until(|shown| has(shown, question));
            terminal.type_in(answer);
        }
        let code = terminal.end();
        if code == 0 {
            Ok(())
        } else {
            Err(format!("{name}: {code}\n{}", terminal.screen().join("\n").trim_end()))
        }
    }
}
