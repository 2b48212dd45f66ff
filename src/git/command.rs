//! One run of git.
//!
//! A repository is a stranger's. It must not make git run anything: hooks are off, the protocols are the four of the
//! network (no `ext::`, no file of this machine), and no system or user configuration is read, because an attribute of
//! the repository can name a filter that is defined there. What a user's configuration says of getting *to* a
//! repository (credentials, proxies, other addresses, ssh) is handed on to the commands that need it.
//!
//! Nobody is asked anything: there is no terminal, and ssh does not prompt.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::{Authorization, Error, Git, MAX_FILES, Remote, size};

/// How often it is looked whether git has ended.
const TICK: Duration = Duration::from_millis(10);
/// The most that is read of what git says, in bytes: the refs of a very large repository fit.
const OUTPUT: u64 = 64 << 20;
/// The end of its complaints that is told, in bytes.
const COMPLAINT: u64 = 2 << 10;

/// What a user's configuration may say in a command that speaks to a server.
const HANDED_ON: &str = "^(credential|http|url)\\.|^core\\.sshcommand$";

/// Settings that hold for every run, whatever a configuration says.
const SETTINGS: [&str; 13] = [
    "advice.detachedHead=false",
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.eol=lf",
    "core.excludesFile=/dev/null",
    "core.fileMode=true",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.logAllRefUpdates=false",
    "core.symlinks=true",
    "gc.auto=0",
    "submodule.recurse=false",
    "transfer.credentialsInUrl=allow",
];

/// Variables that point git to another repository, or have it run something.
const VARIABLES: [&str; 12] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_EXTERNAL_DIFF",
    "GIT_PROTOCOL_FROM_USER",
];

/// A run that is to be.
pub(super) struct Command {
    process: std::process::Command,
    /// For messages: the subcommand.
    name: String,
    /// The repository, if it speaks to a server.
    remote: Option<Remote>,
    /// The directory that it fills.
    directory: Option<PathBuf>,
}

/// Gives git user name and password without either being on a command line: the shell takes them from its environment,
/// which its owner alone may read.
const ANSWER: &str = "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \"$RBUILD_GIT_USER\" \
                      \"$RBUILD_GIT_PASSWORD\"; }; f";
/// How often it is looked how much has come, at most; and it takes no more than a tenth of the time.
const LOOK: Duration = Duration::from_millis(200);

impl Command {
    /// A run that needs nobody but the local disk.
    pub(super) fn local(args: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let args: Vec<String> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let mut process = std::process::Command::new("git");
        for name in VARIABLES {
            process.env_remove(name);
        }
        process
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TEMPLATE_DIR", "")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "git:http:https:ssh")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("SSH_ASKPASS_REQUIRE", "never")
            .env("LC_ALL", "C");
        for setting in SETTINGS {
            process.args(["-c", setting]);
        }
        let name = args.first().cloned().unwrap_or_default();
        process.args(args);
        Self { process, name, remote: None, directory: None }
    }

    /// A run that speaks to the server of `remote`.
    pub(super) fn network(remote: &Remote, args: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self { remote: Some(remote.clone()), ..Self::local(args) }
    }

    /// In this directory.
    pub(super) fn within(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self.process
            .current_dir(directory)
            .env("GIT_CEILING_DIRECTORIES", directory.parent().unwrap_or(directory));
        self
    }

    /// Runs it and returns what it says. Errors with [`Error::Failed`] and its complaint if it ends badly.
    pub(super) fn run(mut self, git: &Git<'_>) -> Result<String, Error> {
        if let Some(remote) = &self.remote {
            let mut rows = handed_on(git)?;
            rows.extend(login(remote, git, &mut self.process));
            self.process.env("GIT_CONFIG_COUNT", rows.len().to_string());
            for (at, (key, value)) in rows.iter().enumerate() {
                self.process.env(format!("GIT_CONFIG_KEY_{at}"), key);
                self.process.env(format!("GIT_CONFIG_VALUE_{at}"), value);
            }
        }
        let limit = Limit { command: &self.name, directory: self.directory.as_deref() };
        let (status, said, complaint) = execute(&mut self.process, git, &limit)?;
        if status.success() {
            return Ok(said);
        }
        let complaint = match complaint.trim() {
            "" => format!("{status}"),
            words => words.lines().map(super::remote::without_passwords).collect::<Vec<_>>().join("; "),
        };
        Err(Error::Failed { command: self.name, said: complaint })
    }
}

/// What the user's configuration says of getting to a repository. ssh asks nobody unless it says so itself.
fn handed_on(git: &Git<'_>) -> Result<Vec<(String, String)>, Error> {
    let mut command = std::process::Command::new("git");
    command.args(["config", "--global", "--includes", "--null", "--get-regexp", HANDED_ON]);
    command.env_remove("GIT_CONFIG_GLOBAL").env("LC_ALL", "C").current_dir("/");
    let mut rows = vec![("core.sshCommand".to_owned(), "ssh -o BatchMode=yes".to_owned())];
    // It ends with 1 where there is none, and with 128 where the file cannot be read: then none are handed on, and the
    // server that needed one says so.
    let (_, said, _) = execute(&mut command, git, &Limit { command: "config", directory: None })?;
    let found = said.split('\0').filter_map(|row| row.split_once('\n'));
    rows.extend(found.map(|(key, value)| (key.to_owned(), value.to_owned())));
    Ok(rows)
}

/// What tells the server of `remote` who asks.
fn login(remote: &Remote, git: &Git<'_>, process: &mut std::process::Command) -> Vec<(String, String)> {
    let Some(server) = remote.server() else { return Vec::new() };
    let login = match &git.authorization {
        Some(Authorization::Header(header)) => {
            return vec![
                (format!("http.{server}/.extraHeader"), format!("Authorization: {header}")),
                (format!("http.{server}/.followRedirects"), "false".to_owned()),
            ];
        }
        Some(Authorization::Login(login)) => Some(login),
        None => remote.login.as_ref(),
    };
    let Some(login) = login else { return Vec::new() };
    process.env("RBUILD_GIT_USER", &login.user);
    process.env("RBUILD_GIT_PASSWORD", login.password.as_deref().unwrap_or_default());
    let helper = format!("credential.{server}.helper");
    let ours = (helper.clone(), ANSWER.to_owned());
    match login.password {
        // an empty one forgets those of the user's configuration
        Some(_) => vec![(helper, String::new()), ours],
        // these may know the password of the user
        None => vec![(format!("credential.{server}.username"), login.user.clone()), ours],
    }
}

/// What is watched of a run.
struct Limit<'a> {
    command: &'a str,
    directory: Option<&'a Path>,
}

impl Limit<'_> {
    /// Errors with [`Error::TooLarge`] if more has come than may.
    fn check(&self, git: &Git<'_>) -> Result<(), Error> {
        let Some(directory) = self.directory else { return Ok(()) };
        let (bytes, files) = size(directory);
        if bytes <= git.limit && files <= MAX_FILES {
            return Ok(());
        }
        Err(Error::TooLarge { command: self.command.to_owned(), limit: git.limit, files: MAX_FILES })
    }
}

/// Runs `process` to its end: how it ended, what it said, and the end of its complaints.
fn execute(
    process: &mut std::process::Command,
    git: &Git<'_>,
    limit: &Limit<'_>,
) -> Result<(ExitStatus, String, String), Error> {
    let [mut out, mut err] =
        [tempfile::tempfile().map_err(Error::Start)?, tempfile::tempfile().map_err(Error::Start)?];
    let shared = |file: &File| file.try_clone().map(Stdio::from).map_err(Error::Start);
    process.stdin(Stdio::null()).stdout(shared(&out)?).stderr(shared(&err)?);
    // A group of its own, so that what git starts ends with it.
    let child = process.process_group(0).spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::Missing,
        _ => Error::Start(error),
    })?;
    let status = wait(child, git, limit)?;
    let said = text(&mut out, 0).map_err(Error::Start)?;
    let length = err.metadata().map_err(Error::Start)?.len();
    let complaint = text(&mut err, length.saturating_sub(COMPLAINT)).map_err(Error::Start)?;
    Ok((status, said, complaint))
}

fn wait(mut child: Child, git: &Git<'_>, limit: &Limit<'_>) -> Result<ExitStatus, Error> {
    let mut look = Instant::now() + LOOK;
    loop {
        if let Some(status) = child.try_wait().map_err(Error::Start)? {
            return limit.check(git).map(|()| status);
        }
        if (git.cancelled)() {
            end(&mut child)?;
            return Err(Error::Cancelled);
        }
        let begun = Instant::now();
        if begun >= look {
            if let Err(error) = limit.check(git) {
                end(&mut child)?;
                return Err(error);
            }
            look = Instant::now() + LOOK.max(begun.elapsed() * 10);
        }
        std::thread::sleep(TICK);
    }
}

/// Ends git and all that it started.
fn end(child: &mut Child) -> Result<(), Error> {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        match rustix::process::kill_process_group(group, Signal::KILL) {
            // It has just ended.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(errno) => return Err(Error::Start(errno.into())),
        }
    }
    child.wait().map_err(Error::Start)?;
    Ok(())
}

fn text(file: &mut File, from: u64) -> std::io::Result<String> {
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(OUTPUT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
