//! `rbuild login`.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::Context;
use super::environment;
use super::failure::Failure;
use super::output;
use crate::registry::{AuthFile, Client, Error, Options};

/// Check a user name and a password with a registry, and keep them
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub(super) struct Args {
    /// The user name
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// The password; others can see it in the list of processes
    #[arg(short, long, conflicts_with = "password_stdin")]
    password: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    password_stdin: bool,
    /// Print whom the registry knows, and do nothing
    #[arg(long, conflicts_with_all = ["username", "password", "password_stdin"])]
    get_login: bool,
    #[command(flatten)]
    place: Place,
    /// Require HTTPS and verify certificates; a registry on a loopback address may always speak HTTP
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true",
          require_equals = true, action = clap::ArgAction::Set)]
    tls_verify: bool,
    /// Say which file has the login
    #[arg(short, long)]
    verbose: bool,
    /// The registry, or a part of it: HOST[:PORT][/PATH]
    #[arg(value_parser = key)]
    registry: String,
}

/// Where logins are kept.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Place {
    /// Keep logins in this file [default: `$REGISTRY_AUTH_FILE`, else containers/auth.json below `$XDG_RUNTIME_DIR`]
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Keep logins in this file, and as Docker has them
    #[arg(long, value_name = "FILE", conflicts_with = "authfile")]
    compat_auth_file: Option<PathBuf>,
}

impl Place {
    pub(super) fn file(&self) -> AuthFile {
        let given = self.authfile.clone().or_else(|| self.compat_auth_file.clone());
        AuthFile::at(given.unwrap_or_else(environment::login_file))
    }

    /// What `registry` is called in the file.
    pub(super) fn key(&self, registry: &str) -> Result<String, Failure> {
        match &self.compat_auth_file {
            Some(file) if registry.contains('/') => {
                let file = file.display();
                Err(Failure::new(format!("{registry}: Docker's {file} has logins for whole registries only")))
            }
            Some(_) if registry == "docker.io" => Ok("https://index.docker.io/v1/".to_owned()),
            _ => Ok(registry.to_owned()),
        }
    }

    /// Where a login is looked for.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        match self.authfile.clone().or_else(|| self.compat_auth_file.clone()) {
            Some(file) => vec![file],
            None => environment::auth_files(),
        }
    }
}

/// A registry as a person may give it: with a scheme, or with the path of its API.
pub(super) fn key(text: &str) -> Result<String, String> {
    let (has_scheme, rest) = match text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let rest = rest.trim_end_matches('/');
    let host = rest.split('/').next().unwrap_or_default();
    // Docker's users are used to give an address here; all of it but the host is of no account then.
    let key = if has_scheme { host } else { rest };
    let known = format!("{host}/x").parse::<crate::oci::Reference>();
    let is_registry = known.is_ok_and(|name| name.registry() == Some(host));
    let is_path =
        key == host || key.parse::<crate::oci::Reference>().is_ok_and(|name| name.digest().is_none());
    match host {
        "index.docker.io" | "registry-1.docker.io" => Ok("docker.io".to_owned()),
        _ if is_registry && is_path => Ok(key.to_owned()),
        _ => Err("expected HOST[:PORT][/PATH]".to_owned()),
    }
}

pub(super) fn run(args: &Args, _: &Context) -> Result<(), Failure> {
    let (registry, file) = (&args.registry, args.place.file());
    let client = Client::new(Options {
        auth_files: args.place.files(),
        insecure: !args.tls_verify,
        sources: environment::registry_sources()?,
        ..Options::default()
    })?;
    let known = client.login(registry)?;
    if args.get_login {
        let Some((user, _)) = known else { return Err(Failure::new(format!("not logged in to {registry}"))) };
        return output::line(user);
    }
    let host = registry.split('/').next().unwrap_or_default();
    let check = |user: &str, password: &str| match client.check_login(host, user, password) {
        Ok(()) => Ok(()),
        Err(Error::Unauthorized { .. } | Error::Forbidden { .. }) => Err(Failure::new(format!(
            "log in to {registry}: the registry does not take this user name and password"
        ))),
        Err(error) => Err(Failure::from(error)),
    };
    if let (Some((user, password)), None, None) = (&known, &args.username, &args.password) {
        check(user, password)?;
        return output::line(format_args!("Already logged in to {registry} as {user}"));
    }
    let key = args.place.key(registry)?;
    let user = match &args.username {
        Some(user) => user.clone(),
        None => ask("Username: ", Echo::On)?,
    };
    let password = match &args.password {
        Some(password) => password.clone(),
        None if args.password_stdin => piped()?,
        None => ask("Password: ", Echo::Off)?,
    };
    if user.is_empty() || user.contains(':') {
        return Err(Failure::new(format!(
            "user name {user:?}: empty, or with a colon, which no registry takes"
        )));
    }
    check(&user, &password)?;
    file.log_in(&key, &user, &password)?;
    if args.verbose {
        output::line(format_args!("Used: {}", file.path().display()))?;
    }
    output::line("Login Succeeded!")
}

/// All of standard input, without the end of its line.
fn piped() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// Whether what is typed is seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Echo {
    On,
    Off,
}

/// The terminal as it was, given back when this is dropped.
struct Given(Termios);

impl Drop for Given {
    fn drop(&mut self) {
        if let Err(why) = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0) {
            eprintln!("the terminal's settings: {why}; reset brings them back");
        }
    }
}

/// A line from the terminal. It is read key by key, so that Ctrl-C never leaves a terminal that shows nothing.
fn ask(question: &str, echo: Echo) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(format!("no terminal to ask for the {}", question.trim_end_matches(": ")))
            .hint("pass --username NAME --password-stdin"));
    }
    let given = Given(tcgetattr(io::stdin()).map_err(io::Error::from)?);
    let mut keys = given.0.clone();
    keys.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    tcsetattr(io::stdin(), OptionalActions::Drain, &keys).map_err(io::Error::from)?;
    let show = |text: &[u8]| io::stderr().write_all(text);
    show(question.as_bytes())?;
    let mut line: Vec<u8> = Vec::new();
    for byte in io::stdin().lock().bytes() {
        match byte? {
            b'\n' | b'\r' => break,
            // Ctrl-C; Ctrl-D on an empty line
            3 => return Err(Failure::new("interrupted").code(130)),
            4 if line.is_empty() => return Err(Failure::new("nothing was typed")),
            8 | 0x7f => {
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
                if echo == Echo::On {
                    show(b"\x08 \x08")?;
                }
            }
            byte => {
                line.push(byte);
                if echo == Echo::On {
                    show(&[byte])?;
                }
            }
        }
    }
    show(b"\n")?;
    String::from_utf8(line).map_err(|_| Failure::new("what was typed is no UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn registries_are_named_in_many_ways() {
        for (text, want) in [
            ("quay.io", Some("quay.io")),
            ("quay.io/", Some("quay.io")),
            ("quay.io/team", Some("quay.io/team")),
            ("quay.io/team/app", Some("quay.io/team/app")),
            ("localhost:5000", Some("localhost:5000")),
            ("https://quay.io/v2/", Some("quay.io")),
            ("https://index.docker.io/v1/", Some("docker.io")),
            ("docker.io", Some("docker.io")),
            ("", None),
            ("quay", None),
            ("quay.io/Team", None),
            ("quay.io/a@sha256:0", None),
            ("quay.io:port", None),
        ] {
            assert_eq!(key(text).ok().as_deref(), want, "{text}");
        }
    }
}
