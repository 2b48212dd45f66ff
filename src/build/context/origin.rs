//! The words that name a context: `DIR`, `-`, `https://…/x.tar.gz`, `https://…/x.git#ref:directory`.

use std::path::PathBuf;

use crate::git::{self, InvalidRemote};

/// Where the files of a context are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A directory of this machine, or a file.
    Path(PathBuf),
    /// Standard input.
    Stdin,
    /// A file of the web.
    Url(String),
    /// A repository.
    Git(git::Remote),
}

/// Words that name no context.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigin {
    /// A repository, and something wrong of it.
    #[error(transparent)]
    Remote(#[from] InvalidRemote),
    /// A scheme that nothing is fetched by.
    #[error("{url}: the scheme {scheme:?} is not one of http, https, git, ssh")]
    Scheme {
        /// Without passwords.
        url: String,
        /// Which.
        scheme: String,
    },
}

impl Origin {
    /// What `text` names. `github.com/OWNER/REPOSITORY` is a repository there, as docker and buildah have it.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        if text == "-" {
            return Ok(Self::Stdin);
        }
        let github = text.strip_prefix("github.com/").map(github);
        if let Some(remote) = git::Remote::parse(github.as_deref().unwrap_or(text)) {
            return Ok(Self::Git(remote?));
        }
        match text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase()) {
            None => Ok(Self::Path(text.into())),
            Some(scheme) if ["http", "https"].contains(&scheme.as_str()) => Ok(Self::Url(text.to_owned())),
            Some(scheme) => Err(InvalidOrigin::Scheme { url: git::without_password(text), scheme }),
        }
    }
}

/// The URL of a repository of GitHub.
fn github(path: &str) -> String {
    let end = path.find(['#', '?']).unwrap_or(path.len());
    let (repository, rest) = path.split_at(end);
    let repository = repository.trim_end_matches('/');
    format!("https://github.com/{}.git{rest}", repository.strip_suffix(".git").unwrap_or(repository))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_contexts() {
        for (text, want) in [
            ("-", "stdin"),
            (".", "path ."),
            ("/a/b.git", "path /a/b.git"),
            ("github.company/a", "path github.company/a"),
            ("http://h/a.tar.gz?x=1", "url http://h/a.tar.gz?x=1"),
            ("HTTPS://h", "url HTTPS://h"),
            ("https://h/a.git#v1:d", "git https://h/a.git v1 d"),
            ("git@h:a", "git git@h:a - -"),
            ("github.com/a/b#x", "git https://github.com/a/b.git x -"),
            ("github.com/a/b.git/", "git https://github.com/a/b.git - -"),
            ("ftp://u:p@h/a", "ftp://xxxxx@h/a: the scheme \"ftp\" is not one of http, https, git, ssh"),
            ("https://h/a.git?x=1", "https://h/a.git?x=1: unexpected query \"x\""),
        ] {
            let shown = match Origin::parse(text) {
                Ok(Origin::Stdin) => "stdin".to_owned(),
                Ok(Origin::Path(path)) => format!("path {}", path.display()),
                Ok(Origin::Url(url)) => format!("url {url}"),
                Ok(Origin::Git(remote)) => {
                    let word = |text: Option<String>| text.unwrap_or("-".to_owned());
                    format!("git {} {} {}", remote.url, word(remote.reference), word(remote.subdirectory))
                }
                Err(error) => error.to_string(),
            };
            assert_eq!(shown, want, "{text}");
        }
    }
}
