//! COPY and ADD.

use super::ast::{Copy, Heredoc, Source};
use super::flags::{Flags, Kind};
use super::line::{Fault, Faults, Request};
use super::words;

const COPY_FLAGS: &[(&str, Kind)] = &[
    ("from", Kind::One),
    ("chown", Kind::One),
    ("chmod", Kind::One),
    ("link", Kind::Switch),
    ("parents", Kind::Switch),
    ("exclude", Kind::Many),
];
const ADD_FLAGS: &[(&str, Kind)] = &[
    ("chown", Kind::One),
    ("chmod", Kind::One),
    ("link", Kind::Switch),
    ("exclude", Kind::Many),
    ("checksum", Kind::One),
    ("keep-git-dir", Kind::Switch),
    ("unpack", Kind::Switch),
];

pub(super) fn parse_copy(request: Request) -> Result<Copy, Faults> {
    parse(request, "COPY", COPY_FLAGS)
}

pub(super) fn parse_add(request: Request) -> Result<Copy, Faults> {
    parse(request, "ADD", ADD_FLAGS)
}

fn parse(request: Request, name: &str, known: &[(&'static str, Kind)]) -> Result<Copy, Faults> {
    let flags = Flags::parse(&request.line, known)?;
    let at = request.line.args_at();
    let mut sources = sources_and_dest(request)?;
    let dest = match sources.pop() {
        Some(Source::Path(dest)) if !sources.is_empty() => dest,
        Some(Source::Heredoc(_)) if !sources.is_empty() => {
            let message = format!("{name} cannot accept a heredoc as a destination");
            return Err(Fault::new(at, message).into());
        }
        Some(_) => {
            let message = format!(
                "{name} requires at least two arguments, but only one was provided. Destination could not be determined"
            );
            return Err(Fault::new(at, message).into());
        }
        None => return Err(Fault::new(at, format!("{name} requires at least two arguments")).into()),
    };
    Ok(Copy {
        sources,
        dest,
        from: flags.one("from"),
        chown: flags.one("chown"),
        chmod: flags.one("chmod"),
        link: flags.switch("link").unwrap_or(false),
        parents: flags.switch("parents").unwrap_or(false),
        exclude: flags.many("exclude"),
        checksum: flags.one("checksum"),
        keep_git_dir: flags.switch("keep-git-dir"),
        unpack: flags.switch("unpack"),
    })
}

/// The arguments in order, the destination last: JSON, or words between blanks with heredocs among them.
fn sources_and_dest(request: Request) -> Result<Vec<Source>, Fault> {
    let (args, at) = (request.line.args, request.line.at);
    if let Some(paths) = words::json(args, at)? {
        return Ok(paths.into_iter().map(Source::Path).collect());
    }
    let paths = |text| words::by_blanks(text, 0).into_iter().map(|word| Source::Path(word.text.to_owned()));
    let mut sources = Vec::new();
    let mut done = 0;
    for (marker, body) in request.heredocs {
        let marker_at = marker.at.clone();
        sources.extend(paths(&args[done..marker_at.start]));
        sources.push(Source::Heredoc(Heredoc::new(marker, &body)));
        done = marker_at.end;
    }
    sources.extend(paths(&args[done..]));
    Ok(sources)
}
