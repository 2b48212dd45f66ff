//! What of the host RUN sees.

use crate::runtime::{Access, Mount};

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Mounts of RUN")]
pub(super) struct Args {
    /// A bind mount for RUN; may be given several times
    #[arg(short, long = "volume", value_name = "HOST:CONTAINER[:ro]", value_parser = volume)]
    pub volumes: Vec<Mount>,
}

/// `--volume HOST:CONTAINER[:ro|rw]`. The source must exist; it is named by its real path.
fn volume(text: &str) -> Result<Mount, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err("expected HOST:CONTAINER[:ro|rw]".to_owned()),
    };
    if !target.starts_with('/') || target.split('/').any(|part| part == "..") {
        return Err(format!("the container's path {target:?} must be absolute and without '..'"));
    }
    if target.trim_matches('/').is_empty() {
        return Err("a volume cannot take the place of the root".to_owned());
    }
    let mut access = Access::ReadWrite;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        access = match option {
            "ro" => Access::ReadOnly,
            "rw" => Access::ReadWrite,
            other => return Err(format!("the volume option {other:?} is not supported yet")),
        };
    }
    let source = std::fs::canonicalize(source).map_err(|why| format!("{source:?}: {why}"))?;
    Ok(Mount { source, target: target.to_owned(), access })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_read_strictly() {
        for (text, want) in [
            ("/tmp:/x", Some(("/x", Access::ReadWrite))),
            ("/tmp:/x:ro", Some(("/x", Access::ReadOnly))),
            ("/tmp:/x:ro,rw", Some(("/x", Access::ReadWrite))),
            ("/tmp:x", None),
            ("/tmp:/", None),
            ("/tmp:/a/../..", None),
            ("/tmp:/x:Z", None),
            ("/tmp", None),
            ("/no/such/dir:/x", None),
        ] {
            let got = volume(text).ok();
            assert_eq!(got.as_ref().map(|mount| (&*mount.target, mount.access)), want, "{text}");
        }
    }
}
