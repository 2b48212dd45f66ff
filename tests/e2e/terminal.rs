//! The live view on a real terminal, read by an emulator: what is on the screen, at several sizes and after a change of
//! size; and how the terminal is left.
//!
//! Steps wait for a file, so that the test sees them at work; nothing is timed but a patience that fails the test.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use crate::build::BUSYBOX;
use crate::login::Registry;
use crate::support::World;

/// How long a screen may take to show something.
const PATIENCE: Duration = Duration::from_mins(1);

/// A terminal and the program on it.
pub struct Terminal {
    pub master: File,
    pub program: Child,
    written: Receiver<Vec<u8>>,
    emulator: vt100::Parser,
    /// All that was written.
    bytes: Vec<u8>,
}

impl Terminal {
    /// Starts `command` on a terminal of this size.
    pub fn start(mut command: Command, rows: u16, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        tcsetwinsize(&slave, winsize(rows, columns)).unwrap();
        let stdio = || Stdio::from(slave.try_clone().unwrap());
        command.stdin(stdio()).stdout(stdio()).stderr(stdio()).env("TERM", "xterm").env_remove("NO_COLOR");
        let program = command.spawn().unwrap();
        // ours is closed, so that the end of the program is the end of what it writes
        drop((command, slave));
        let master = File::from(master);
        let mut reader = master.try_clone().unwrap();
        let (sender, written) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // EIO: nobody has the other end any more
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let emulator = vt100::Parser::new(rows, columns, 1000);
        Self { master, program, written, emulator, bytes: Vec::new() }
    }

    pub fn resize(&mut self, rows: u16, columns: u16) {
        tcsetwinsize(&self.master, winsize(rows, columns)).unwrap();
        self.emulator.screen_mut().set_size(rows, columns);
    }

    /// Types.
    pub fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until the screen is as `is` wants it.
    pub fn until(&mut self, is: impl Fn(&[String]) -> bool) -> Vec<String> {
        loop {
            let shown = self.screen();
            if is(&shown) {
                return shown;
            }
            let more = self.written.recv_timeout(PATIENCE);
            self.take(&more.unwrap_or_else(|why| panic!("{why}:\n{}", shown.join("\n"))));
        }
    }

    /// Reads until the program has ended; its exit code.
    pub fn end(&mut self) -> i32 {
        while let Ok(more) = self.written.recv_timeout(PATIENCE) {
            self.take(&more);
        }
        self.program.wait().unwrap().code().unwrap()
    }

    fn take(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
        self.emulator.process(more);
    }

    /// The lines that are on the screen.
    pub fn screen(&self) -> Vec<String> {
        let (_, columns) = self.emulator.screen().size();
        self.emulator.screen().rows(0, columns).map(|row| row.trim_end().to_owned()).collect()
    }
}

fn winsize(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

pub fn has(shown: &[String], line: &str) -> bool {
    shown.iter().any(|shown| shown.contains(line))
}

/// A build whose RUN of two stages say something and wait for a file; the command, without its context.
fn waiting(world: &World, around: &[&str]) -> Command {
    let meet = world.path("meet");
    fs::create_dir_all(&meet).unwrap();
    // a step may be another user to this machine
    fs::set_permissions(&meet, Permissions::from_mode(0o777)).unwrap();
    let wait = "i=0; until [ -e /meet/go ]; do i=$((i+1)); [ $i -lt 1200 ] || exit 9; sleep 0.05; done";
    let says = r"printf 'first\n\033[2J\033[41mred\033[0m\n漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字e\314\201\n50%%\r60%%\n'";
    let dockerfile = format!(
        "{}RUN {says}; {wait}\nFROM base AS other\nRUN echo other; {wait}; echo done >/done\nFROM top\nCOPY --from=other /done /\n",
        format!("{BUSYBOX}FROM base AS top\n").replace("FROM scratch\n", "FROM scratch AS base\n"),
    );
    world.busybox().file("Dockerfile", dockerfile);
    let mut words = around.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    words.extend(world.around.clone());
    let mut command = match words.split_first() {
        None => world.command(),
        Some((first, rest)) => {
            let program = world.command();
            let mut command = Command::new(first);
            command.args(rest).arg(program.get_program()).args(program.get_args());
            command.env_remove("RBUILD_ROOT");
            command
        }
    };
    command.args(["bud", "--jobs=2", "--volume", &format!("{}:/meet", meet.display())]).arg(world.context());
    command
}

#[test]
fn a_terminal_shows_the_stages_at_work_at_every_size() {
    for (size, other) in [((24, 80), (12, 50)), ((8, 30), (30, 132))] {
        let world = World::new();
        let mut terminal = Terminal::start(waiting(&world, &[]), size.0, size.1);
        for (rows, columns) in [size, other, size] {
            terminal.resize(rows, columns);
            // what was drawn for the size before is cut elsewhere
            let is_cut = |shown: &[String], text: &str, width: u16| {
                let line = shown.iter().find(|line| line.contains(text));
                line.is_some_and(|line| line.ends_with('…') == (columns <= width))
            };
            let shown = terminal.until(|shown| {
                let is_drawn = is_cut(shown, "building: ", 44) && (rows < 12 || is_cut(shown, "| 漢", 64));
                is_drawn && has(shown, "| 60%") && has(shown, "| other")
            });
            let head = shown.iter().position(|line| line.contains("building: ")).unwrap();
            for line in shown[head..].iter().filter(|line| line.contains("| ")) {
                assert!(!line.contains("50%") && !line.contains("[2J"), "{line}");
            }
            assert!(has(&shown, "top 2/2  RUN ") || columns < 40, "{}", shown.join("\n"));
            assert!(has(&shown, "other 2/2  RUN"), "{}", shown.join("\n"));
            let wide = shown.iter().find(|line| line.contains("| 漢"));
            assert!(wide.is_none_or(|line| line.ends_with("字…") || line.ends_with("e\u{301}")), "{wide:?}");
            assert_eq!(
                shown.iter().filter(|line| line.contains("building: ")).count(),
                1,
                "{}",
                shown.join("\n")
            );
            assert!(terminal.emulator.screen().hide_cursor());
        }
        fs::write(world.path("meet/go"), "").unwrap();
        assert_eq!(terminal.end(), 0);
        let shown = terminal.until(|_| true);
        assert!(!has(&shown, "building: ") && !has(&shown, "| "), "{}", shown.join("\n"));
        assert!(!terminal.emulator.screen().hide_cursor());
        assert!(has(&shown, "built: 9 of 9 steps, 0 cached") || size.1 < 40, "{}", shown.join("\n"));
        let id = shown.iter().rfind(|line| !line.is_empty()).unwrap();
        assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        let text = String::from_utf8_lossy(&terminal.bytes).into_owned();
        assert!(text.contains("\x1b[32m") && !text.contains("\x1b[41m") && !text.contains("\x1b[2J"));
    }
}

#[test]
fn a_terminal_is_given_back_where_a_build_fails_or_is_interrupted() {
    let world = World::new();
    let mut terminal = Terminal::start(waiting(&world, &["setsid", "--ctty", "--wait"]), 40, 70);
    terminal.until(|shown| has(shown, "| 60%") && has(shown, "| other"));
    terminal.master.write_all(b"\x03").unwrap();
    assert_eq!(terminal.end(), 130, "{}", terminal.screen().join("\n"));
    let shown = terminal.screen();
    assert!(!has(&shown, "building: ") && has(&shown, " stopped  top 2/2  RUN "), "{}", shown.join("\n"));
    assert!(!terminal.emulator.screen().hide_cursor());

    let mut command = world.command();
    world.file("Dockerfile", format!("{BUSYBOX}RUN echo said; echo so >&2; exit 3\n"));
    command.env("NO_COLOR", "1").args(["bud", "--progress=tty"]).arg(world.context());
    let mut terminal = Terminal::start(command, 20, 70);
    assert_eq!(terminal.end(), 3);
    let shown = terminal.screen();
    for line in ["  failed  4/4  RUN echo said", "          | said", "          | so", "Error: "] {
        assert!(has(&shown, line), "{line} in\n{}", shown.join("\n"));
    }
    assert!(has(&shown, "  cached  "), "{}", shown.join("\n"));
    assert!(!terminal.emulator.screen().hide_cursor() && !has(&shown, "building: "));
}

#[test]
fn other_ways_to_be_shown() {
    let world = World::new();
    world.file("f", "f");
    let dockerfile = "FROM scratch\nCOPY f /\nLABEL a=b\n";
    let said = world.build(dockerfile, &["--progress=rawjson", "-t", "x"]).good();
    let names = |text: &str| {
        let told = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let vertices = told.flat_map(|status| status["vertexes"].as_array().cloned().unwrap_or_default());
        let ended = vertices.filter(|vertex| vertex["completed"].is_string());
        ended
            .map(|vertex| format!("{} {}", vertex["name"].as_str().unwrap(), vertex["cached"]))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&said.stderr),
        ["[1/3] FROM scratch null", "[2/3] COPY f / null", "[3/3] LABEL a=b null"]
    );
    assert_eq!(said.stdout.trim_end().len(), 64, "the id alone: {}", said.stdout);
    let context = world.context();
    let context = context.to_str().unwrap();
    let with = |value: &str, args: &[&str]| {
        let mut command = world.command();
        command.env("BUILDKIT_PROGRESS", value).arg("bud").args(args).arg(context);
        crate::support::Said::of(command.output().unwrap())
    };
    let again = with("rawjson", &[]).good();
    assert_eq!(names(&again.stderr)[1..], ["[2/3] COPY f / true", "[3/3] LABEL a=b true"]);
    for (value, args, has_steps) in [
        ("", &["--progress=plain"][..], true),
        ("plain", &[], true),
        ("quiet", &[], false),
        ("quiet", &["--progress=auto"], true),
        ("rawjson", &["-q"], false),
        ("", &["-q", "--progress=quiet"], false),
    ] {
        let said = with(value, args).good();
        assert_eq!(said.stdout.contains("STEP 1/3: FROM scratch\n"), has_steps, "{value} {args:?}");
        assert_eq!(said.stderr, "", "{value} {args:?}");
    }
    with("loud", &[]).fails(125, "BUILDKIT_PROGRESS=loud: expected auto, plain, tty, rawjson or quiet");
    with("", &["--progress=tty"]).fails(125, "--progress=tty: standard error is not a terminal");
    with("", &["-q", "--progress=plain"]).fails(125, "--quiet and --progress contradict each other");
}

#[test]
fn a_tar_is_not_written_to_a_terminal() {
    let world = World::new();
    let context = world.context();
    fs::write(context.join("Dockerfile"), "FROM scratch\nLABEL a=b\n").unwrap();
    for output in ["-", "type=oci", "type=tar,dest=-"] {
        let mut command = world.command();
        command.args(["bud", "-t", "x", "-o", output, context.to_str().unwrap()]);
        let mut terminal = Terminal::start(command, 24, 100);
        assert_eq!(terminal.end(), 125, "{output}");
        let screen = terminal.screen().join("\n");
        assert!(
            screen.contains("a tar is not written to a terminal") && screen.contains("dest=FILE"),
            "{screen}"
        );
    }
    world.run(&["inspect", "x"]).fails(125, "x");
}

#[test]
fn a_password_is_typed_unseen_and_the_terminal_is_as_before() {
    let world = World::new();
    let Some(registry) = Registry::start(&world) else { return };
    for (typed, last, code) in [
        (&b"secreX\x7ft\r"[..], "Login Succeeded!", 0),
        (b"wrong\r", "does not take", 125),
        (b"sec\x03", "interrupted", 130),
    ] {
        let auth = world.path(&format!("auth.{code}.json"));
        let mut command = world.command();
        command.args(["login", "--authfile"]).arg(auth).arg(registry.address.to_string());
        let mut terminal = Terminal::start(command, 10, 100);
        let name = ptsname(&terminal.master, Vec::new()).unwrap();
        let slave = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let before = tcgetattr(&slave).unwrap();
        terminal.until(|shown| has(shown, "Username:"));
        terminal.master.write_all("u\u{e9}\x7fser\r".as_bytes()).unwrap();
        terminal.until(|shown| has(shown, "Username: user") && has(shown, "Password:"));
        terminal.master.write_all(typed).unwrap();
        let shown = terminal.until(|shown| has(shown, last));
        assert!(!has(&shown, "sec"), "{shown:#?}");
        assert_eq!(terminal.program.wait().unwrap().code(), Some(code), "{last}");
        assert_eq!(tcgetattr(&slave).unwrap().local_modes, before.local_modes, "{last}");
    }
}

#[test]
fn a_shell_opens_where_a_command_failed() {
    let world = World::new();
    let failing = "ARG A=1\nWORKDIR /w\nRUN echo made >made; exit 7\n";
    world.busybox().file("Dockerfile", format!("{BUSYBOX}{failing}"));
    world
        .build(&format!("{BUSYBOX}{failing}"), &["--on-failure=shell"])
        .fails(125, "standard input is not a terminal");
    let program = world.command();
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait"]).arg(program.get_program()).args(program.get_args());
    command.env_remove("RBUILD_ROOT").args(["bud", "--on-failure=shell"]).arg(world.context());
    let mut terminal = Terminal::start(command, 50, 100);
    terminal.until(|shown| has(shown, "/w #"));
    terminal.type_in("echo $A; cat made; rm made; tty; stty size\n");
    let shown = terminal.until(|shown| has(shown, "50 100"));
    for line in ["1", "made", "/dev/pts/0"] {
        assert!(shown.iter().any(|shown| shown == line), "{line} in\n{}", shown.join("\n"));
    }
    assert!(has(&shown, "exit status 7"), "what failed is told first:\n{}", shown.join("\n"));
    terminal.type_in("exit 3\n");
    assert_eq!(terminal.end(), 7);
    let shown = terminal.screen();
    assert_eq!(shown.iter().filter(|line| line.contains("Error: ")).count(), 1, "{}", shown.join("\n"));
    let name = world.run(&["from", "--failed", "last"]).good().id();
    assert_eq!(
        world.run(&["run", &name, "cat", "made"]).good().stdout,
        "made\n",
        "the shell changed nothing of it"
    );

    // an image without a shell, and a failure that is no command's
    for (dockerfile, code, line) in [
        ("FROM scratch\nCOPY busybox /\nRUN [\"/busybox\", \"false\"]\n", 1, "no shell that could be opened"),
        ("FROM scratch\nCOPY none /\n", 125, "none"),
    ] {
        world.file("Dockerfile", dockerfile);
        let mut command = world.command();
        command.args(["bud", "--on-failure=shell"]).arg(world.context());
        let mut terminal = Terminal::start(command, 50, 100);
        assert_eq!(terminal.end(), code, "{}", terminal.screen().join("\n"));
        assert!(has(&terminal.screen(), line), "{}", terminal.screen().join("\n"));
    }
}
