//! Debian's `docker-registry`, started on a free loopback port for one test.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::scripted::{Reply, Request, Server};

/// User and password of a daemon that asks for them.
pub(crate) const LOGIN: (&str, &str) = ("user", "secret");
/// [`LOGIN`] for htpasswd, bcrypt of cost 4.
const HTPASSWD: &str = "user:$2b$04$dTHxxSVU8F7zbemrE0kpH.RRyC/HqUe0RSNMag7rY26FpDYUt.qDO\n";

/// Whom a daemon lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Anyone,
    Basic,
    /// Bearers of a token. The token server asks for [`LOGIN`].
    Token,
    /// Anyone, over TLS with a certificate that nobody has signed.
    Tls,
}

/// A running daemon. Dropping it ends it and removes what it stored.
pub(crate) struct Daemon {
    process: Child,
    address: SocketAddr,
    _tokens: Option<Server>,
    _dir: tempfile::TempDir,
}

/// Whether `program` can be run. If not the test is skipped, unless every test must run (`RBUILD_TEST_ALL=1`).
pub(crate) fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    assert!(found || std::env::var("RBUILD_TEST_ALL").as_deref() != Ok("1"), "{program} is not installed");
    if !found {
        eprintln!("skipped: needs {program}");
    }
    found
}

impl Daemon {
    /// A fresh, empty registry; `None`, with the reason told, where there is none to start.
    pub(crate) fn start(access: Access) -> Option<Self> {
        if !have("docker-registry") || (matches!(access, Access::Token | Access::Tls) && !have("openssl")) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
            dir.path().join("data").display()
        );
        let mut tokens = None;
        match access {
            Access::Anyone => {}
            Access::Basic => {
                let path = dir.path().join("htpasswd");
                fs::write(&path, HTPASSWD).unwrap();
                write!(config, "auth:\n  htpasswd:\n    realm: r\n    path: {}\n", path.display()).unwrap();
            }
            Access::Tls => {
                certify(dir.path());
                let [certificate, key] = ["cert.pem", "key.pem"].map(|file| dir.path().join(file));
                write!(
                    config,
                    "  tls:\n    certificate: {}\n    key: {}\n",
                    certificate.display(),
                    key.display()
                )
                .unwrap();
            }
            Access::Token => {
                let server = token_server(dir.path());
                write!(config,
                    "auth:\n  token:\n    realm: http://{}/token\n    service: s\n    issuer: i\n    rootcertbundle: {}\n",
                    server.address(),
                    dir.path().join("cert.pem").display()
                ).unwrap();
                tokens = Some(server);
            }
        }
        let path = dir.path().join("config.yml");
        fs::write(&path, config).unwrap();
        let mut command = Command::new("docker-registry");
        let process = command.arg("serve").arg(&path).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let daemon = Self { process: process.unwrap(), address, _tokens: tokens, _dir: dir };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "docker-registry does not listen at {address}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(daemon)
    }

    /// `127.0.0.1:port`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Gives [`LOGIN`] a signed token for whatever it asks for (distribution's "Token Authentication Implementation").
fn token_server(dir: &Path) -> Server {
    certify(dir);
    let certificate = base64(dir, &run(dir, "x509 -in cert.pem -outform DER", b""));
    let dir = dir.to_owned();
    Server::start(move |request: &Request, _| {
        let login = format!("Basic {}", base64(&dir, format!("{}:{}", LOGIN.0, LOGIN.1).as_bytes()));
        if request.header("authorization") != Some(&login) {
            return Reply::new(401)
                .json(r#"{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}"#);
        }
        // A login asks for no scope, and gets a token that opens nothing.
        let scope = request.path.split(['?', '&']).find_map(|pair| pair.strip_prefix("scope="));
        let access = scope.map_or_else(String::new, |scope| {
            let scope = scope.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
            let [_, name, actions] = scope.split(':').collect::<Vec<_>>()[..] else { panic!("{scope}") };
            let actions = actions.replace(',', r#"",""#);
            format!(r#"{{"type":"repository","name":"{name}","actions":["{actions}"]}}"#)
        });
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let head = format!(r#"{{"typ":"JWT","alg":"RS256","x5c":["{certificate}"]}}"#);
        let claims = format!(
            r#"{{"iss":"i","sub":"user","aud":"s","exp":{},"nbf":{},"iat":{now},"jti":"1","access":[{access}]}}"#,
            now + 300,
            now - 60
        );
        let signed = [head, claims].map(|part| base64url(&dir, part.as_bytes())).join(".");
        let signature = run(&dir, "dgst -sha256 -sign key.pem", signed.as_bytes());
        Reply::new(200).json(&format!(r#"{{"token":"{signed}.{}"}}"#, base64url(&dir, &signature)))
    })
}

/// Writes a key and a certificate signed with it.
fn certify(dir: &Path) {
    run(dir, "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=i", b"");
}

fn base64(dir: &Path, bytes: &[u8]) -> String {
    String::from_utf8(run(dir, "base64 -A", bytes)).unwrap()
}

fn base64url(dir: &Path, bytes: &[u8]) -> String {
    base64(dir, bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

/// What `openssl` makes of `input`.
fn run(dir: &Path, arguments: &str, input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.stderr(Stdio::null()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(input).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments}");
    output.stdout
}
