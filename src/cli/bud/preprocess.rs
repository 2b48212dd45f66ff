//! A Dockerfile called `*.in`: what cpp makes of it, as buildah has it.
//!
//! cpp is asked for the traditional language without predefined macros, because a Dockerfile is no C. Its line markers
//! are taken out again: they would end up in heredocs, and they tell which line of which file every line of the text is.
//!
//! `#include "FILE"` finds files of the context. Where that is no directory of the user's but a stranger's archive or
//! repository, those files are laid out beside each other for cpp, and nothing else is taken: what it includes from
//! elsewhere would be a file of this machine.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::ground::{Ground, Reach};
use crate::build::{Context, TEXT_LIMIT};
use crate::cli::failure::Failure;
use crate::dockerfile::Script;
use crate::progress::Event;

/// How often it is looked whether cpp has ended.
const TICK: Duration = Duration::from_millis(10);
/// The most files of an archive that are laid out.
const MAX_INCLUDED: usize = 1000;
/// The end of its complaints that is told, in bytes.
const COMPLAINT: usize = 2 << 10;
/// What cpp calls its input, and what is no file.
const NO_FILES: [&str; 3] = ["<stdin>", "<built-in>", "<command-line>"];

/// The text that cpp makes of `text`, which is that of the file `name`.
pub(super) fn run(
    name: &str,
    text: &str,
    flags: &[String],
    ground: &Ground,
    reach: &Reach<'_>,
) -> Result<Script, Failure> {
    let failed = |why: &dyn std::fmt::Display| Failure::new(format!("{name}: cpp: {why}"));
    // Swept by whoever opens the store next, if this process is killed.
    let live = ground.directory.is_none().then(|| Ok::<_, Failure>(reach.program.store()?.lease_live()?));
    let live = live.transpose()?;
    let laid_out = live.as_ref().map(|live| lay_out(&ground.context, text, live.path()));
    let laid_out = laid_out.transpose().map_err(|why| failed(&why))?;
    let root = laid_out.as_ref().map(tempfile::TempDir::path).or(ground.directory.as_deref());
    let root = root.unwrap_or(Path::new("."));
    let mut command = Command::new("cpp");
    command.arg("-E").arg("-iquote").arg(root).args(["-traditional", "-undef"]).args(flags);
    command.env("LC_ALL", "C");
    if let Some(directory) = &laid_out {
        // nor what it reads before all else
        command.arg("-nostdinc").current_dir(directory.path());
    }
    let (status, out, complaint) = match execute(command.arg("-"), text, reach) {
        Ok(done) => done,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(failed(&"it is not installed").hint("install the package cpp"));
        }
        Err(error) => return Err(failed(&error)),
    };
    judge(name, status, &complaint, reach)?;
    let script = unmarked(name, &out);
    if let Some(directory) = &laid_out
        && let Some(path) = strange(&out, directory.path())
    {
        return Err(failed(&format!("it includes {path:?}, which is no file of the context")));
    }
    Ok(script)
}

/// Runs it: how it ended, what it made, and the end of its complaints.
fn execute(command: &mut Command, text: &str, reach: &Reach<'_>) -> io::Result<(ExitStatus, String, String)> {
    let [mut input, mut out, mut err] = [tempfile::tempfile()?, tempfile::tempfile()?, tempfile::tempfile()?];
    input.write_all(text.as_bytes())?;
    input.rewind()?;
    command.stdin(input).stdout(out.try_clone()?).stderr(Stdio::from(err.try_clone()?));
    let status = wait(command.spawn()?, &out, reach)?;
    let [made, complaint] = [read(&mut out)?, read(&mut err)?];
    let start = complaint.len().saturating_sub(COMPLAINT);
    let start = (start..=complaint.len()).find(|&at| complaint.is_char_boundary(at)).unwrap_or(0);
    Ok((status, made, complaint[start..].to_owned()))
}

fn wait(mut child: Child, out: &File, reach: &Reach<'_>) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let is_cancelled = reach.program.cancel.is_cancelled();
        if is_cancelled || out.metadata()?.len() > TEXT_LIMIT {
            child.kill()?;
            child.wait()?;
            let why = if is_cancelled {
                "interrupted".to_owned()
            } else {
                format!("it made more than {TEXT_LIMIT} bytes")
            };
            return Err(io::Error::other(why));
        }
        std::thread::sleep(TICK);
    }
}

fn read(file: &mut File) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(TEXT_LIMIT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Comments of a Dockerfile look like directives to cpp, which leaves them out and calls that an error: it is told, and
/// no more. Everything else that it calls an error is one.
fn judge(name: &str, status: ExitStatus, complaint: &str, reach: &Reach<'_>) -> Result<(), Failure> {
    let is_error =
        |line: &&str| line.contains("error: ") && !line.contains("invalid preprocessing directive");
    let errors: Vec<&str> = complaint.lines().filter(is_error).collect();
    let comments = complaint.contains("invalid preprocessing directive");
    if !errors.is_empty() || !(status.success() || comments) {
        let said = if errors.is_empty() { complaint.trim().to_owned() } else { errors.join("; ") };
        return Err(Failure::new(format!("{name}: cpp: {}", said.replace("<stdin>", name))));
    }
    for line in complaint.lines().filter(|line| line.contains("warning: ")) {
        reach.sink.event(Event::Warning(line.replace("<stdin>", name)));
    }
    Ok(())
}

/// `# LINE "FILE"`, as cpp writes it before the lines that it says this of.
fn marker(line: &str) -> Option<(usize, String)> {
    let (number, rest) = line.strip_prefix("# ")?.split_once(' ')?;
    let rest = rest.strip_prefix('"')?;
    let end = rest.rfind('"')?;
    Some((number.parse().ok()?, rest[..end].replace("\\\"", "\"").replace("\\\\", "\\")))
}

/// The text without markers; they say where it is from. `name` is the file that cpp read as its input.
fn unmarked(name: &str, out: &str) -> Script {
    let mut script = Script::default();
    let (mut file, mut first, mut part) = (name.to_owned(), 1, String::new());
    for line in out.split_inclusive('\n') {
        let Some((number, path)) = marker(line.trim_end()) else {
            part.push_str(line);
            continue;
        };
        if !part.is_empty() {
            script.append(&file, first, &part);
            part.clear();
        }
        file = if path == "<stdin>" { name.to_owned() } else { path };
        first = number;
    }
    if !part.is_empty() {
        script.append(&file, first, &part);
    }
    script
}

/// A file that cpp read outside `root`.
fn strange(out: &str, root: &Path) -> Option<String> {
    let files = out.lines().filter_map(marker).map(|(_, path)| path);
    let is_inside = |path: &String| {
        let absolute = fs::canonicalize(root.join(path));
        absolute.is_ok_and(|path| fs::canonicalize(root).is_ok_and(|root| path.starts_with(root)))
    };
    files.filter(|path| !NO_FILES.contains(&path.as_str())).find(|path| !is_inside(path))
}

/// A directory below `place` with the files of `context` that `text` includes, and those that they include.
fn lay_out(context: &Context, text: &str, place: &Path) -> Result<tempfile::TempDir, String> {
    let directory = tempfile::tempdir_in(place).map_err(|why| why.to_string())?;
    let mut done = BTreeSet::new();
    let mut pending = included(Path::new(""), text);
    while let Some(path) = pending.pop() {
        let Some(path) = path.to_str().map(str::to_owned).filter(|path| done.insert(path.clone())) else {
            continue;
        };
        if done.len() > MAX_INCLUDED {
            return Err(format!("more than {MAX_INCLUDED} files are included"));
        }
        let Some(text) = context.text(&path).map_err(|why| why.to_string())? else { continue };
        let place = directory.path().join(&path);
        let parent = place.parent().unwrap_or(directory.path());
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&place, &text))
            .map_err(|why| format!("{path}: {why}"))?;
        pending.extend(included(Path::new(&path).parent().unwrap_or(Path::new("")), &text));
    }
    Ok(directory)
}

/// What the lines `#include "FILE"` of a file in `directory` name: beside it, and from the root on.
fn included(directory: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in text.lines() {
        let rest = line.trim_start().strip_prefix('#').map(str::trim_start);
        let rest = rest.and_then(|rest| rest.strip_prefix("include")).map(str::trim_start);
        let Some(path) = rest.and_then(|rest| rest.strip_prefix('"')?.split('"').next()) else { continue };
        let is_inside =
            |path: &Path| path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        found.extend([directory.join(path), PathBuf::from(path)].into_iter().filter(|path| is_inside(path)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_tell_the_line_and_go() {
        let out = "# 1 \"<stdin>\"\n# 1 \"<built-in>\"\n# 1 \"<stdin>\"\nFROM x\n# 1 \"a/b.in\" 1\nRUN y\n\
            # 3 \"<stdin>\" 2\nRUN z\n# a comment\n";
        let script = unmarked("C.in", out);
        assert_eq!(script.text(), "FROM x\nRUN y\nRUN z\n# a comment\n");
        let span = |word: &str| {
            let start = script.text().find(word).unwrap();
            let line = script.text()[..start].matches('\n').count() + 1;
            crate::dockerfile::Span { first_line: line, last_line: line, start, end: start + 1 }
        };
        for (word, want) in
            [("FROM", ("C.in", 1)), ("RUN y", ("a/b.in", 1)), ("RUN z", ("C.in", 3)), ("# a", ("C.in", 4))]
        {
            assert_eq!(script.place(&span(word)), want, "{word}");
        }
    }

    #[test]
    fn includes_are_looked_for_inside_the_context_alone() {
        let text = "#include \"a\"\n  # include \"d/b\"\n#include </etc/x>\n#include \"/etc/x\"\n#include \"../x\"\n# \"c\"\n";
        let found = included(Path::new("s"), text);
        assert_eq!(found, ["s/a", "a", "s/d/b", "d/b"].map(PathBuf::from));
    }
}
