//! What a verb answers, on stdout.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, IsTerminal as _, Read, Write as _};
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

/// Prints JSON as the peers indent it.
pub(super) fn pretty(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut text = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, indent))?;
    line(String::from_utf8_lossy(&text))
}

/// Prints what a template made of a value. As the peers have it: what a script reads has no line end that the template did not
/// say.
pub(super) fn rendered(rendered: &str) -> Result<(), Failure> {
    if io::stdout().is_terminal() { line(rendered) } else { text(rendered) }
}

/// Prints a text as it is.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(why) if why.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("standard output: {why}")))
        }
        _ => Ok(()),
    }
}

/// Writes a file that is whole or is not there. What is no regular file (a pipe, a terminal) is written to as it is.
pub(super) fn file(path: &Path, mut bytes: &[u8]) -> Result<(), Failure> {
    stream(path, &mut bytes)
}

/// The same with all that `source` gives.
pub(super) fn stream(path: &Path, source: &mut dyn Read) -> Result<(), Failure> {
    let mut write = || {
        if path.exists() && !path.is_file() {
            return io::copy(source, &mut File::create(path)?).map(drop);
        }
        // through a symlink, not over it
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut whole = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory.unwrap_or(Path::new(".")))?;
        io::copy(source, &mut whole)?;
        whole.persist(&path)?;
        Ok(())
    };
    write().map_err(|why: io::Error| Failure::new(format!("write {}: {why}", path.display())))
}

/// Errors, with the hint, if standard output is a terminal: a tar is not for it.
pub(super) fn takes_a_tar(hint: &str) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return Err(Failure::new("a tar is not written to a terminal").hint(hint));
    }
    Ok(())
}
