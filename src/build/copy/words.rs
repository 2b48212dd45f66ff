//! The words of a COPY or ADD: expanded, made absolute, and told in the history.

use super::super::StepError;
use super::super::executor::Executor;
use super::super::stage::Stage;
use crate::dockerfile::{Copy, Heredoc, Source};
use crate::{git, web};

impl Executor<'_> {
    /// The instruction with its variables replaced.
    pub(super) fn expanded(&self, stage: &Stage, copy: &Copy) -> Result<Copy, StepError> {
        let escape = self.dockerfile.escape;
        let expand = |word: &str| stage.scope.expand(word, escape, &stage.image.config).map_err(blame(word));
        let option = |word: &Option<String>| word.as_deref().map(expand).transpose();
        let sources = copy.sources.iter().map(|source| match source {
            Source::Path(path) => Ok(Source::Path(expand(path)?)),
            Source::Heredoc(heredoc) if heredoc.expand => {
                let body = stage.scope.expand_heredoc(&heredoc.body, &stage.image.config)?;
                Ok(Source::Heredoc(Heredoc { body, ..heredoc.clone() }))
            }
            Source::Heredoc(heredoc) => Ok(Source::Heredoc(heredoc.clone())),
        });
        Ok(Copy {
            sources: sources.collect::<Result<_, StepError>>()?,
            dest: expand(&copy.dest)?,
            from: option(&copy.from)?,
            chown: option(&copy.chown)?,
            chmod: option(&copy.chmod)?,
            exclude: copy.exclude.iter().map(|word| expand(word)).collect::<Result<_, _>>()?,
            checksum: option(&copy.checksum)?,
            ..copy.clone()
        })
    }
}

/// Says that `word`, as it is written, is to blame.
pub(in crate::build) fn blame(word: &str) -> impl FnOnce(StepError) -> StepError {
    move |source| match source {
        StepError::Word { .. } => source,
        source => StepError::Word { word: word.to_owned(), source: Box::new(source) },
    }
}

/// `path` as seen from `directory`, clean but for a trailing slash, which is kept.
pub(in crate::build) fn absolute(directory: &str, path: &str) -> String {
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("/{directory}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let is_directory = path.ends_with('/') || path.ends_with("/.") || matches!(path, "." | "..");
    let slash = if is_directory && !parts.is_empty() { "/" } else { "" };
    format!("/{}{slash}", parts.join("/"))
}

/// The history entry: the instruction after expansion.
pub(super) fn history(verb: &str, copy: &Copy) -> String {
    let mut words = vec![verb.to_owned()];
    let values =
        [("from", &copy.from), ("chown", &copy.chown), ("chmod", &copy.chmod), ("checksum", &copy.checksum)];
    words.extend(values.iter().filter_map(|(name, value)| Some(format!("--{name}={}", value.as_ref()?))));
    words.extend([("link", copy.link), ("parents", copy.parents)].iter().filter_map(flag));
    let switches = [("keep-git-dir", copy.keep_git_dir), ("unpack", copy.unpack)];
    words.extend(switches.iter().filter_map(|(name, value)| Some(format!("--{name}={}", (*value)?))));
    words.extend(copy.exclude.iter().map(|pattern| format!("--exclude={pattern}")));
    words.extend(copy.sources.iter().map(|source| match source {
        Source::Path(path) => source_told(path),
        Source::Heredoc(heredoc) => format!("<<{}", heredoc.name),
    }));
    words.push(copy.dest.clone());
    words.join(" ")
}

/// A source as it may be told: a URL without password and query, a repository without password.
fn source_told(word: &str) -> String {
    if git::Remote::parse(word).is_some() { git::without_password(word) } else { web::redacted(word) }
}

/// An instruction as it may be told.
pub(in crate::build) fn told(text: &str) -> String {
    let is_add = text.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case("ADD "));
    if is_add {
        text.split(' ').map(source_told).collect::<Vec<_>>().join(" ")
    } else {
        git::without_passwords(text)
    }
}

fn flag((name, given): &(&str, bool)) -> Option<String> {
    given.then(|| format!("--{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_told_without_secrets() {
        for (text, want) in [
            ("ADD --chown=1 https://u:p@h/a.tar?sig=1 /t", "ADD --chown=1 https://xxxxx@h/a.tar?xxxxx /t"),
            ("add https://u:p@h/a.git?ref=v1#:d /t", "add https://xxxxx@h/a.git?ref=v1#:d /t"),
            ("ADD a?b c", "ADD a?b c"),
            ("RUN curl https://u:p@h/a?x=1", "RUN curl https://xxxxx@h/a?x=1"),
            ("COPY a b", "COPY a b"),
        ] {
            assert_eq!(told(text), want);
        }
    }

    #[test]
    fn paths_are_joined_to_the_working_directory() {
        for (directory, path, want) in [
            ("", "a", "/a"),
            ("/w", "a/", "/w/a/"),
            ("/w", ".", "/w/"),
            ("/w", "../x", "/x"),
            ("/w", "/x/../y", "/y"),
            ("/w", "../../..", "/"),
            ("/", "./", "/"),
        ] {
            assert_eq!(absolute(directory, path), want, "{path:?} from {directory:?}");
        }
    }
}
