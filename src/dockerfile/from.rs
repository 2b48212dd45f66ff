//! FROM.

use super::ast::From;
use super::flags::{Flags, Kind};
use super::line::{Fault, Faults, Line};
use super::words::{self, Word};

pub(super) fn parse(line: &Line) -> Result<From, Faults> {
    let flags = Flags::parse(line, &[("platform", Kind::One)])?;
    let words = words::by_blanks(line.args, line.at);
    let (image, name) = match words.as_slice() {
        [image] => (image, None),
        [image, keyword, name] if keyword.text.eq_ignore_ascii_case("AS") => (image, Some(stage_name(name)?)),
        _ => return Err(Fault::new(line.args_at(), "FROM requires either one or three arguments").into()),
    };
    Ok(From { image: image.text.to_owned(), name, platform: flags.one("platform") })
}

/// The name in lower case: a letter, then letters, digits, `-`, `_` and `.`.
fn stage_name(word: &Word) -> Result<String, Fault> {
    let name = word.text.to_lowercase();
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if begins && name.chars().all(allowed) {
        return Ok(name);
    }
    let message = format!(
        "invalid name for build stage: {:?}, name can't start with a number or contain symbols",
        word.text
    );
    Err(Fault::new(word.at.clone(), message))
}
