//! What a verb answers, on stdout.

use std::fs::Permissions;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::failure::Failure;

/// Prints a line of the answer. A reader that closed the pipe has what it wanted.
pub(super) fn line(text: impl std::fmt::Display) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(why) if why.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("standard output: {why}")))
        }
        _ => Ok(()),
    }
}

/// Writes a file that is whole or is not there. What is no regular file (a pipe, a terminal) is written to as it is.
pub(super) fn file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let write = || {
        if path.exists() && !path.is_file() {
            return std::fs::write(path, bytes);
        }
        // through a symlink, not over it
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut whole = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory.unwrap_or(Path::new(".")))?;
        whole.write_all(bytes)?;
        whole.persist(&path)?;
        Ok(())
    };
    write().map_err(|why: io::Error| Failure::new(format!("write {}: {why}", path.display())))
}
