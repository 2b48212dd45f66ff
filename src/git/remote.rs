//! The words that name a repository: `https://host/path.git`, `ssh://`, `git://`, `user@host:path`; then perhaps
//! `?ref=…&subdir=…` and `#ref:subdirectory`.
//!
//! A URL of http or https is a repository's only if its path ends in `.git`. What a repository is asked for may be said
//! twice, in the query and in the fragment, but not in two ways.

/// A repository, and what of it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// What git is given: without query, fragment and password.
    pub url: String,
    /// What the URL says of who asks.
    pub login: Option<Login>,
    /// A branch, a tag or a commit; `None` is what the repository has checked out.
    pub reference: Option<String>,
    /// The directory of it that is wanted, clean and relative.
    pub subdirectory: Option<String>,
    /// The beginning of the id that the commit must have.
    pub checksum: Option<String>,
    /// Whether `.git` is wanted; `None` if nothing is said of it.
    pub keep: Option<bool>,
    /// The same, once decided.
    pub keep_git_dir: bool,
    /// Whether submodules are wanted.
    pub submodules: bool,
    /// The time of the files.
    pub mtime: Mtime,
}

/// A user name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Who asks.
    pub user: String,
    /// `None`: none is written.
    pub password: Option<String>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(…)")
    }
}

/// The modification time of what is checked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mtime {
    /// When it was checked out.
    Checkout,
    /// The commit's.
    Commit,
}

/// The words name a repository, and say something wrong of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url}: {why}")]
pub struct InvalidRemote {
    /// Without passwords.
    pub url: String,
    /// What is wrong.
    pub why: String,
}

/// A commit's id: SHA-1 or SHA-256, in full.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Remote {
    /// The repository that `text` names; `None` if it names none: a path, or a file of the web.
    pub fn parse(text: &str) -> Option<Result<Self, InvalidRemote>> {
        let (rest, fragment) = text.split_once('#').map_or((text, None), |(rest, after)| (rest, Some(after)));
        let (url, query) = rest.split_once('?').map_or((rest, None), |(url, query)| (url, Some(query)));
        match url.split_once("://") {
            Some((scheme, path)) => match scheme.to_ascii_lowercase().as_str() {
                "http" | "https" if path.strip_suffix(".git").is_some() => {}
                "ssh" | "git" => {}
                _ => return None,
            },
            None if !is_scp_like(url) => return None,
            None => {}
        }
        let wrong = |why| InvalidRemote { url: without_password(text), why };
        let (url, login) = match login(url) {
            Ok(parts) => parts,
            Err(why) => return Some(Err(wrong(why))),
        };
        let mut remote = Self {
            url,
            login,
            reference: None,
            subdirectory: None,
            checksum: None,
            keep: None,
            keep_git_dir: false,
            submodules: true,
            mtime: Mtime::Commit,
        };
        let read = remote.read(query, fragment);
        Some(read.map(|()| remote).map_err(wrong))
    }

    /// The URL, without its password.
    pub fn shown(&self) -> String {
        match (&self.login, self.url.split_once("://")) {
            (Some(_), Some((scheme, rest))) => format!("{scheme}://xxxxx@{rest}"),
            _ => self.url.clone(),
        }
    }

    /// `scheme://host[:port]` of a URL of http or https.
    pub(super) fn server(&self) -> Option<&str> {
        let (scheme, rest) = self.url.split_once("://")?;
        let is_http = ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http));
        let end = self.url.len() - rest.len() + rest.find('/').unwrap_or(rest.len());
        is_http.then_some(&self.url[..end])
    }

    fn read(&mut self, query: Option<&str>, fragment: Option<&str>) -> Result<(), String> {
        if let Some((reference, subdirectory)) =
            fragment.map(|text| text.split_once(':').unwrap_or((text, "")))
        {
            self.reference = Some(reference.to_owned()).filter(|text| !text.is_empty());
            self.subdirectory = Some(subdirectory.to_owned()).filter(|text| !text.is_empty());
        }
        let mut seen: Vec<&str> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.contains(&key) {
                return Err(format!("query {key:?} has multiple values"));
            }
            seen.push(key);
            self.take(key, &decoded_query(value)?)?;
        }
        if self.reference.is_none() {
            self.reference.clone_from(&self.checksum);
        }
        self.check()
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        let switch = || match value {
            "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(format!("invalid {key} value: {value:?}")),
        };
        match key {
            "submodules" => self.submodules = switch()?,
            "keep-git-dir" => self.keep = Some(switch()?),
            _ if value.is_empty() => return Err(format!("query {key:?} has no value")),
            "ref" => agree("ref", &mut self.reference, value.to_owned())?,
            "tag" => agree("ref", &mut self.reference, prefixed("refs/tags/", value))?,
            "branch" => agree("ref", &mut self.reference, prefixed("refs/heads/", value))?,
            "subdir" => agree("subdir", &mut self.subdirectory, value.to_owned())?,
            "checksum" | "commit" => agree("checksum", &mut self.checksum, value.to_owned())?,
            "mtime" => {
                self.mtime = match value {
                    "checkout" => Mtime::Checkout,
                    "commit" => Mtime::Commit,
                    _ => return Err(format!("invalid mtime value: {value:?}")),
                }
            }
            // How much is fetched is decided here, and changes nothing of the result.
            "fetch-by-commit" => drop(switch()?),
            _ => return Err(format!("unexpected query {key:?}")),
        }
        Ok(())
    }

    /// Sets what `--checksum` asks for.
    pub fn expect(&mut self, checksum: &str) -> Result<(), InvalidRemote> {
        let agreed = agree("checksum", &mut self.checksum, checksum.to_owned()).and_then(|()| self.check());
        agreed.map_err(|why| InvalidRemote { url: self.shown(), why })
    }

    fn check(&self) -> Result<(), String> {
        if let Some(checksum) = &self.checksum {
            let is_prefix =
                (7..=64).contains(&checksum.len()) && checksum.bytes().all(|b| b.is_ascii_hexdigit());
            if !is_prefix {
                return Err(format!("checksum {checksum:?} is no commit"));
            }
        }
        // git would take it for an option, or for more than one ref.
        let odd = |text: &&String| text.starts_with(['-', '+', '^']) || text.contains([':', '*', '\0', ' ']);
        if let Some(reference) = self.reference.as_ref().filter(odd) {
            return Err(format!("{reference:?} is no ref"));
        }
        Ok(())
    }
}

/// Sets `field`, unless it says something else already.
fn agree(what: &str, field: &mut Option<String>, value: String) -> Result<(), String> {
    match field {
        Some(own) if *own != value => Err(format!("{what} conflicts: {own:?} vs {value:?}")),
        field => {
            *field = Some(value);
            Ok(())
        }
    }
}

fn prefixed(prefix: &str, value: &str) -> String {
    if value.starts_with(prefix) { value.to_owned() } else { format!("{prefix}{value}") }
}

/// `user@host:path`, as git and scp have it.
fn is_scp_like(text: &str) -> bool {
    let Some((user, rest)) = text.split_once('@') else { return false };
    let Some((host, path)) = rest.split_once(':') else { return false };
    let word = |text: &str, more: &[char]| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(&c))
    };
    word(user, &['-', '_', '.']) && word(host, &['-', '.']) && !path.is_empty()
}

/// A value of a query: `%2F` is `/`, `+` a blank.
fn decoded_query(value: &str) -> Result<String, String> {
    decoded(&value.replace('+', " "))
}

/// `%2F` is `/`.
fn decoded(value: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| char::from(digit.unwrap_or(b' ')));
                let [high, low] = digits.map(|digit| digit.to_digit(16));
                let (Some(high), Some(low)) = (high, low) else {
                    return Err(format!("invalid escape in {value:?}"));
                };
                u8::try_from(high * 16 + low).unwrap_or(b'?')
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| format!("{value:?} is no text"))
}

/// `url` without user name and password, and these. Errors where nobody could be told them.
fn login(url: &str) -> Result<(String, Option<Login>), String> {
    let Some(userinfo) = password(url) else { return Ok((url.to_owned(), None)) };
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    match scheme.as_str() {
        "http" | "https" => {}
        "ssh" => return Err("ssh takes no password from a URL; use a key".to_owned()),
        _ => return Err(format!("{scheme}:// knows no users")),
    }
    let (user, password) = match userinfo.trim_end_matches('@').split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (userinfo.trim_end_matches('@'), None),
    };
    // Not told as it stands: it is the password, perhaps. git's protocol for them is one of lines.
    let decode = |text: &str| match decoded(text) {
        Ok(text) if !text.contains(char::is_control) => Ok(text),
        _ => Err("user name or password has a control character, or an invalid escape".to_owned()),
    };
    let login = Login { user: decode(user)?, password: password.map(decode).transpose()? };
    Ok((url.replacen(userinfo, "", 1), Some(login)))
}

/// The user name and password before the host of `url`, with the `@`; not the account of ssh.
fn password(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let at = rest[..authority].rfind('@')?;
    let user = &rest[..=at];
    (!scheme.eq_ignore_ascii_case("ssh") || user.contains(':')).then_some(user)
}

/// `url` without the user name and password before its host; the user alone of ssh is an account, and stays.
pub fn without_password(url: &str) -> String {
    match password(url) {
        Some(user) => url.replacen(user, "xxxxx@", 1),
        None => url.to_owned(),
    }
}

/// The same for every URL in a line.
pub fn without_passwords(line: &str) -> String {
    let shown = |word: &str| {
        let scheme = word.find("://").unwrap_or_default();
        let before = word[..scheme].char_indices().rfind(|(_, c)| !c.is_ascii_alphanumeric());
        let at = before.map_or(0, |(at, c)| at + c.len_utf8());
        word[..at].to_owned() + &without_password(&word[at..])
    };
    line.split(' ').map(shown).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `url ref subdir checksum keep submodules`, `-` for what is not said.
    fn shown(text: &str) -> String {
        match Remote::parse(text) {
            None => "none".to_owned(),
            Some(Err(error)) => error.to_string(),
            Some(Ok(remote)) => {
                let word = |text: Option<String>| text.unwrap_or("-".to_owned());
                let words = [remote.reference, remote.subdirectory, remote.checksum].map(word).join(" ");
                let keep = word(remote.keep.map(|keep| keep.to_string()));
                format!("{} {words} {keep} {}", remote.url, remote.submodules)
            }
        }
    }

    #[test]
    fn words_name_repositories() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        for (text, want) in [
            ("https://h/a.git", "https://h/a.git - - - - true"),
            ("http://h:1/a/b.git#v1", "http://h:1/a/b.git v1 - - - true"),
            ("HTTPS://h/a.git#main:sub/dir", "HTTPS://h/a.git main sub/dir - - true"),
            ("https://h/a.git#:sub", "https://h/a.git - sub - - true"),
            ("https://h/a.git#", "https://h/a.git - - - - true"),
            ("https://h/a.git?branch=x&subdir=s%2Ft", "https://h/a.git refs/heads/x s/t - - true"),
            ("https://h/a.git?tag=refs/tags/v1", "https://h/a.git refs/tags/v1 - - - true"),
            ("https://h/a.git?ref=x#x:y", "https://h/a.git x y - - true"),
            ("https://h/a.git?keep-git-dir&submodules=false", "https://h/a.git - - - true false"),
            ("https://h/a.git?keep-git-dir=0", "https://h/a.git - - - false true"),
            ("https://h/a.git?mtime=checkout&fetch-by-commit=true", "https://h/a.git - - - - true"),
            ("git://h/a", "git://h/a - - - - true"),
            ("ssh://git@h:22/a#b", "ssh://git@h:22/a b - - - true"),
            ("git@h:a/b.git#c:d", "git@h:a/b.git c d - - true"),
            ("git@h:a?ref=c", "git@h:a c - - - true"),
            ("https://h/a.zip", "none"),
            ("https://h/a", "none"),
            ("https://h/a?x=.git", "none"),
            ("ftp://h/a.git", "none"),
            ("file:///a.git", "none"),
            ("ext::sh -c x", "none"),
            ("./git@h:a", "none"),
            ("dir/git@h:a", "none"),
            ("-u@h:a", "none"),
            ("u@-h:a", "none"),
            ("a.git", "none"),
            ("github.com/a/b", "none"),
            ("https://h/a.git?x=1", "https://h/a.git?x=1: unexpected query \"x\""),
            ("https://h/a.git?ref=", "https://h/a.git?ref=: query \"ref\" has no value"),
            ("https://h/a.git?ref=a&ref=a", "https://h/a.git?ref=a&ref=a: query \"ref\" has multiple values"),
            ("https://h/a.git?ref=a#b", "https://h/a.git?ref=a#b: ref conflicts: \"b\" vs \"a\""),
            (
                "https://h/a.git?tag=a&branch=b",
                "https://h/a.git?tag=a&branch=b: ref conflicts: \"refs/tags/a\" vs \"refs/heads/b\"",
            ),
            ("https://h/a.git?subdir=a#:b", "https://h/a.git?subdir=a#:b: subdir conflicts: \"b\" vs \"a\""),
            (
                "https://h/a.git?submodules=no",
                "https://h/a.git?submodules=no: invalid submodules value: \"no\"",
            ),
            ("https://h/a.git?commit=zz", "https://h/a.git?commit=zz: checksum \"zz\" is no commit"),
            ("https://h/a.git?subdir=%2", "https://h/a.git?subdir=%2: invalid escape in \"%2\""),
            (
                "https://h/a.git#--upload-pack=x",
                "https://h/a.git#--upload-pack=x: \"--upload-pack=x\" is no ref",
            ),
            ("https://u:p@h/a.git?x=1", "https://xxxxx@h/a.git?x=1: unexpected query \"x\""),
            ("https://u:p@h/a.git#x", "https://h/a.git x - - - true"),
            ("ssh://git:p@h/a", "ssh://xxxxx@h/a: ssh takes no password from a URL; use a key"),
            ("git://u@h/a", "git://xxxxx@h/a: git:// knows no users"),
            (
                "https://u:%0a@h/a.git",
                "https://xxxxx@h/a.git: user name or password has a control character, or an invalid escape",
            ),
            (
                "https://u:%zz@h/a.git",
                "https://xxxxx@h/a.git: user name or password has a control character, or an invalid escape",
            ),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
        let commit = format!("https://h/a.git?commit={id}");
        assert_eq!(shown(&commit), format!("https://h/a.git {id} - {id} - true"));
    }

    #[test]
    fn passwords_are_not_told() {
        for (line, want) in [
            (
                "fatal: unable to access 'https://u:p@h/a.git/': x",
                "fatal: unable to access 'https://xxxxx@h/a.git/': x",
            ),
            ("ssh://git@h/a", "ssh://git@h/a"),
            ("ssh://git:p@h/a", "ssh://xxxxx@h/a"),
            ("'ssh://git@h/a'", "'ssh://git@h/a'"),
            ("'ssh://git:p@http.h/a'", "'ssh://xxxxx@http.h/a'"),
            ("'git://u:p@h/https/a'", "'git://xxxxx@h/https/a'"),
            ("HTTPS://u:p@h/http", "HTTPS://xxxxx@h/http"),
            ("git@h:a", "git@h:a"),
        ] {
            assert_eq!(without_passwords(line), want);
        }
    }
}
