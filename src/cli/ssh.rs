//! `--ssh`: what answers `RUN --mount=type=ssh`.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::failure::Failure;
use crate::agent::{Backend, Key, read_key};

/// One `--ssh`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    id: String,
    /// A socket or key files; empty: the agent of the environment.
    paths: Vec<PathBuf>,
}

/// Reads the words of one `--ssh`.
pub(super) fn wanted(text: &str) -> Result<Wanted, String> {
    let (id, paths) = text.split_once('=').unwrap_or((text, ""));
    if id.is_empty() {
        return Err("expected default, or ID[=SOCKET|KEY[,KEY]…]".to_owned());
    }
    let paths = paths.split(',').filter(|path| !path.is_empty()).map(PathBuf::from);
    Ok(Wanted { id: id.to_owned(), paths: paths.collect() })
}

/// What answers for each, by id.
pub(super) fn backends(wanted: &[Wanted]) -> Result<BTreeMap<String, Backend>, Failure> {
    let mut backends = BTreeMap::new();
    for Wanted { id, paths } in wanted {
        let backend = match &paths[..] {
            [] => environment(id)?,
            [one] if is_socket(id, one)? => Backend::Socket(one.clone()),
            files => keys(id, files)?,
        };
        if backends.insert(id.clone(), backend).is_some() {
            return Err(Failure::new(format!("--ssh {id}: given twice")));
        }
    }
    Ok(backends)
}

fn environment(id: &str) -> Result<Backend, Failure> {
    let socket = env::var_os("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty()).map(PathBuf::from);
    let socket = socket.ok_or_else(|| {
        Failure::new(format!("--ssh {id}: invalid empty ssh agent socket: SSH_AUTH_SOCK is not set"))
            .hint(format!("start an agent (eval $(ssh-agent)), or name a key: --ssh {id}=FILE"))
    })?;
    if is_socket(id, &socket)? {
        return Ok(Backend::Socket(socket));
    }
    Err(Failure::new(format!("--ssh {id}: SSH_AUTH_SOCK: {} is no socket", socket.display())))
}

fn is_socket(id: &str, path: &Path) -> Result<bool, Failure> {
    let metadata = fs::metadata(path);
    let metadata = metadata.map_err(|why| Failure::new(format!("--ssh {id}: {}: {why}", path.display())))?;
    Ok(metadata.file_type().is_socket())
}

fn keys(id: &str, files: &[PathBuf]) -> Result<Backend, Failure> {
    let mut keys = Vec::new();
    for file in files {
        if is_socket(id, file)? {
            return Err(Failure::new(format!(
                "--ssh {id}: {}: a socket stands for itself, and not beside keys",
                file.display()
            )));
        }
        let text = read_key(file);
        let text = text.map_err(|why| Failure::new(format!("--ssh {id}: {}: {why}", file.display())))?;
        let key = Key::parse(&file.display().to_string(), &text);
        keys.push(key.map_err(|why| Failure::new(format!("--ssh {id}: {why}")))?);
    }
    Ok(Backend::Keys(Arc::new(keys)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_strictly() {
        let good = |id: &str, paths: &[&str]| {
            Ok(Wanted { id: id.to_owned(), paths: paths.iter().map(PathBuf::from).collect() })
        };
        for (text, want) in [
            ("default", good("default", &[])),
            ("default=", good("default", &[])),
            ("a=/s", good("a", &["/s"])),
            ("a=k1,k2=x", good("a", &["k1", "k2=x"])),
            ("", Err("expected default, or ID[=SOCKET|KEY[,KEY]…]")),
            ("=/s", Err("expected default, or ID[=SOCKET|KEY[,KEY]…]")),
        ] {
            assert_eq!(wanted(text), want.map_err(str::to_owned), "{text}");
        }
    }
}
