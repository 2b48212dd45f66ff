//! `Cargo.lock`, as cargo writes it: TOML of one form, a key and a string a line.

use super::{Error, Found, Kind, Package};

pub(super) fn read(text: &str) -> Result<Vec<Package>, Error> {
    let mut found = Found::default();
    let mut table: Option<(&str, &str)> = None;
    for line in text.lines().map(str::trim).chain(["[end]"]) {
        if line.starts_with('[') {
            if let Some((name, version)) = table.take() {
                found.push(Kind::Cargo, name, version)?;
            }
            table = (line == "[[package]]").then_some(("", ""));
        } else if let (Some((name, version)), Some((key, value))) = (&mut table, line.split_once('=')) {
            let Some(value) = value.trim().strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
                continue;
            };
            match key.trim() {
                "name" => *name = value,
                "version" => *version = value,
                _ => {}
            }
        }
    }
    Ok(found.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_lock_file_is_read() {
        let found = read(include_str!("../../Cargo.lock")).unwrap();
        let own = found.iter().find(|package| package.name == "rbuild").expect("rbuild is in it");
        assert_eq!(own.version, env!("CARGO_PKG_VERSION"));
        assert!(found.iter().any(|package| package.name == "serde"));
        assert_eq!(found.len(), include_str!("../../Cargo.lock").matches("[[package]]").count());
    }
}
