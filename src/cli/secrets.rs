//! `--secret`: what `RUN --mount=type=secret` shows.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::runtime::Secret;

/// One `--secret`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    id: String,
    from: Origin,
}

/// Where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    File(PathBuf),
    Env(String),
    /// The variable of this name, else the file.
    Either(String),
}

/// Reads the words of one `--secret`.
pub(super) fn wanted(text: &str) -> Result<Wanted, String> {
    let (mut id, mut source, mut variable, mut kind) = (None, None, None, None);
    for field in text.split(',') {
        let (name, value) =
            field.split_once('=').ok_or_else(|| format!("field {field:?} must be a name=value pair"))?;
        match name.trim().to_ascii_lowercase().as_str() {
            "id" => id = Some(value),
            "source" | "src" => source = Some(value),
            "env" => variable = Some(value),
            "type" if ["file", "env"].contains(&value) => kind = Some(value),
            "type" => return Err(format!("unsupported secret type {value:?}: expected file or env")),
            other => return Err(format!("unknown field {other:?}: expected id, src, env or type")),
        }
    }
    let id = id.filter(|id| !id.is_empty()).ok_or("a secret needs an id: id=NAME")?.to_owned();
    let from = match (kind, source, variable) {
        (_, Some(_), Some(_)) => return Err("src and env are two places for one secret".to_owned()),
        (Some("file"), None, Some(_)) => return Err("type=file contradicts env".to_owned()),
        (Some("env"), Some(name), None) | (_, None, Some(name)) => Origin::Env(name.to_owned()),
        (Some("env"), None, None) => Origin::Env(id.clone()),
        (_, Some(path), None) => Origin::File(path.into()),
        (Some(_), None, None) => Origin::File(PathBuf::from(&id)),
        (None, None, None) => Origin::Either(id.clone()),
    };
    Ok(Wanted { id, from })
}

/// The bytes of all of them, by id.
pub(super) fn read(wanted: &[Wanted]) -> Result<BTreeMap<String, Secret>, Failure> {
    let mut secrets = BTreeMap::new();
    for Wanted { id, from } in wanted {
        let bytes = match from {
            Origin::File(path) => of_file(id, path)?,
            Origin::Env(name) => of_variable(name)
                .ok_or_else(|| Failure::new(format!("secret {id:?}: the variable {name} is not set")))?,
            Origin::Either(name) => match of_variable(name) {
                Some(bytes) => bytes,
                None => of_file(id, Path::new(name))?,
            },
        };
        if bytes.len() > Secret::LIMIT {
            let limit = Secret::LIMIT;
            return Err(Failure::new(format!("secret {id:?}: more than {limit} bytes, which no secret has")));
        }
        if secrets.insert(id.clone(), Secret::new(bytes)).is_some() {
            return Err(Failure::new(format!("two secrets have the id {id:?}")));
        }
    }
    Ok(secrets)
}

fn of_variable(name: &str) -> Option<Vec<u8>> {
    env::var_os(name).map(OsStringExt::into_vec)
}

/// A pipe is read to its end (`src=<(pass show token)`), but nothing without end.
fn of_file(id: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(Secret::LIMIT as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|why| Failure::new(format!("secret {id:?}: {}: {why}", path.display())))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_strictly() {
        let good = |id: &str, from| Ok(Wanted { id: id.to_owned(), from });
        let file = |path: &str| Origin::File(path.into());
        for (text, want) in [
            ("id=a,src=/f", good("a", file("/f"))),
            ("id=a,source=f=g", good("a", file("f=g"))),
            ("ID=a,type=file,src=f", good("a", file("f"))),
            ("type=file,id=a", good("a", file("a"))),
            ("id=a,env=B", good("a", Origin::Env("B".to_owned()))),
            ("id=a,type=env,src=B", good("a", Origin::Env("B".to_owned()))),
            ("id=a,type=env", good("a", Origin::Env("a".to_owned()))),
            ("id=a", good("a", Origin::Either("a".to_owned()))),
            ("", Err("field \"\" must be a name=value pair")),
            ("src=f", Err("a secret needs an id: id=NAME")),
            ("id=,src=f", Err("a secret needs an id: id=NAME")),
            ("id=a,env=B,src=f", Err("src and env are two places for one secret")),
            ("id=a,type=file,env=B", Err("type=file contradicts env")),
            ("id=a,type=vault", Err("unsupported secret type \"vault\": expected file or env")),
            ("id=a,file=f", Err("unknown field \"file\": expected id, src, env or type")),
        ] {
            assert_eq!(wanted(text), want.map_err(str::to_owned), "{text}");
        }
    }
}
