//! A mount in words: `type=bind,source=…,target=…,ro`, as RUN and the command line have it.
//!
//! The fields are those of a line of CSV: one that holds a comma stands in double quotes. Names have the spellings of
//! every builder, in any case; a field that means nothing for its type is an error, not a wish. Variables are replaced in
//! each value by itself, so that a comma in one divides nothing.

mod fields;
#[cfg(test)]
mod tests;

use fields::Field;

use super::did_you_mean;

/// A mount in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSpec {
    /// `type=bind`
    Bind(BindSpec),
    /// `type=cache`
    Cache(CacheSpec),
    /// `type=tmpfs`
    Tmpfs(TmpfsSpec),
    /// `type=secret`
    Secret(SecretSpec),
    /// `type=ssh`
    Ssh(SshSpec),
}

/// `type=bind`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindSpec {
    /// What to show; `None`: all of where it comes from.
    pub source: Option<String>,
    /// The stage or image that has it; `None`: where the words were written.
    pub from: Option<String>,
    /// Where to show it.
    pub target: String,
    /// `rw` or `ro`; `None`: not said.
    pub writable: Option<bool>,
    /// Whether what is mounted beneath the source is left out.
    pub non_recursive: bool,
    /// Whether the source is given to the user of the command.
    pub chown: bool,
    /// `bind-propagation`
    pub propagation: Option<String>,
    /// Words without a value, such as `noexec`, as they stand.
    pub flags: Vec<String>,
}

/// `type=cache`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheSpec {
    /// Which cache; `None`: the one named like its target.
    pub id: Option<String>,
    /// Where to show it.
    pub target: String,
    /// What becomes of several builds that want it at once.
    pub sharing: Sharing,
    /// The stage or image that it starts with; `None`: it starts empty.
    pub from: Option<String>,
    /// What of `from`, or of the cache itself; `None`: all.
    pub source: Option<String>,
    /// The permission bits of a directory that is made for it.
    pub mode: Option<u32>,
    /// The owner of a directory that is made for it.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// `rw` or `ro`; `None`: not said.
    pub writable: Option<bool>,
}

/// What becomes of several commands that want one cache at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// All have it.
    #[default]
    Shared,
    /// Each has one of its own.
    Private,
    /// One has it, the others wait.
    Locked,
}

/// `type=tmpfs`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TmpfsSpec {
    /// Where to show it.
    pub target: String,
    /// The most it holds, in bytes.
    pub size: Option<u64>,
    /// The permission bits of its root.
    pub mode: Option<u32>,
    /// Whether it starts with what the image has there.
    pub copy_up: bool,
    /// `rw` or `ro`; `None`: not said.
    pub writable: Option<bool>,
    /// Words without a value, such as `noexec`, as they stand.
    pub flags: Vec<String>,
}

/// `type=secret`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretSpec {
    /// Which secret.
    pub id: String,
    /// The file that shows it; `None`: none, because a variable holds it.
    pub target: Option<String>,
    /// The variable that holds it.
    pub env: Option<String>,
    /// Whether the command cannot do without.
    pub required: bool,
    /// The permission bits of the file.
    pub mode: Option<u32>,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// `type=ssh`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshSpec {
    /// Which agent.
    pub id: String,
    /// Where its socket is; `None`: somewhere that `SSH_AUTH_SOCK` says.
    pub target: Option<String>,
    /// Whether the command cannot do without.
    pub required: bool,
    /// The permission bits of the socket.
    pub mode: Option<u32>,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// The types of mount.
const TYPES: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];
/// Words without a value that bind and tmpfs know.
const FLAGS: [&str; 6] = ["exec", "noexec", "suid", "nosuid", "dev", "nodev"];
/// Where secrets are shown that say nothing else.
const SECRETS: &str = "/run/secrets";

/// The fields that a type has, by their usual names; for proposals.
fn known_fields(kind: &str) -> &'static [&'static str] {
    match kind {
        "cache" => &[
            "type", "id", "target", "sharing", "from", "source", "mode", "uid", "gid", "ro", "readonly", "rw",
        ],
        "tmpfs" => &["type", "target", "size", "mode", "ro", "readonly", "rw", "tmpcopyup"],
        "secret" => &["type", "id", "target", "env", "required", "mode", "uid", "gid"],
        "ssh" => &["type", "id", "target", "required", "mode", "uid", "gid"],
        _ => &["type", "source", "target", "from", "rw", "ro", "readonly", "readwrite"],
    }
}

/// The type that a word may stand for: one that it begins, else the closest.
fn proposed(word: &str) -> String {
    match TYPES.iter().find(|kind| word.len() > 1 && kind.starts_with(word)) {
        Some(kind) => format!(" (did you mean {kind}?)"),
        None => did_you_mean(word, &TYPES),
    }
}

/// Why words are no mount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountSpecError {
    /// A quoted field does not end, or goes on after its end.
    #[error("unbalanced quotes in {0:?}")]
    Quotes(String),
    /// A type of mount that nobody knows.
    #[error("unsupported mount type {0:?}{hint}: expected bind, cache, tmpfs, secret or ssh", hint = proposed(.0))]
    Type(String),
    /// A field that this type of mount does not have.
    #[error("a mount of type {kind} has no field {field:?}{hint}", hint = did_you_mean(.field, known_fields(.kind)))]
    Field {
        /// The type.
        kind: &'static str,
        /// The field's name.
        field: String,
    },
    /// A value that its field cannot have.
    #[error("{field}={value}: expected {expected}")]
    Value {
        /// The field's name.
        field: String,
        /// What was given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// Two names of one field.
    #[error("both {0} and {1} are given: they mean the same")]
    Twice(&'static str, &'static str),
    /// The field that says where is missing.
    #[error("a mount needs a target: target=PATH")]
    NoTarget,
    /// A mount in place of the root.
    #[error("invalid mount target {0:?}: a mount cannot take the place of the root")]
    Root(String),
    /// Neither field that says which secret.
    #[error("a secret mount needs an id or a target: id=NAME")]
    NoSecret,
}

impl MountSpec {
    /// Reads the words. Without a type it is `bind`.
    pub fn parse(text: &str) -> Result<Self, MountSpecError> {
        Self::parse_with(text, |value| Ok(value.to_owned()))
    }

    /// The same, where `expand` replaces the variables of a value.
    pub fn parse_with<E: From<MountSpecError>>(
        text: &str,
        expand: impl Fn(&str) -> Result<String, E>,
    ) -> Result<Self, E> {
        let mut fields = fields::divide(text)?;
        for field in &mut fields {
            field.value = field.value.take().map(|value| expand(&value)).transpose()?;
        }
        let kind = fields.iter().find(|field| field.name == "type").map_or("bind", |field| field.text());
        let spec = match kind {
            "bind" => bind(&fields).map(Self::Bind),
            "cache" => cache(&fields).map(Self::Cache),
            "tmpfs" => tmpfs(&fields).map(Self::Tmpfs),
            "secret" => secret(&fields).map(Self::Secret),
            "ssh" => ssh(&fields).map(Self::Ssh),
            other => Err(MountSpecError::Type(other.to_owned())),
        };
        Ok(spec?)
    }

    /// The stage or image that it shows, if it names one.
    pub fn from(&self) -> Option<&str> {
        match self {
            Self::Bind(BindSpec { from, .. }) | Self::Cache(CacheSpec { from, .. }) => from.as_deref(),
            Self::Tmpfs(_) | Self::Secret(_) | Self::Ssh(_) => None,
        }
    }
}

fn bind(fields: &[Field]) -> Result<BindSpec, MountSpecError> {
    let mut spec = BindSpec::default();
    for field in fields {
        match &*field.name {
            // there is one kind of consistency, and a label for files is the host's matter
            "type" | "consistency" => {}
            "source" | "src" => spec.source = Some(field.filled("a path")?),
            "from" => spec.from = Some(field.filled("a stage or an image")?),
            "target" | "dst" | "destination" => spec.target = field.target()?,
            "ro" | "readonly" => spec.writable = Some(!field.switch()?),
            "rw" | "readwrite" => spec.writable = Some(field.switch()?),
            "bind-nonrecursive" => spec.non_recursive = field.switch()?,
            "bind-propagation" => {
                spec.propagation = Some(field.filled("private, rprivate, shared, rshared, slave or rslave")?);
            }
            "chown" | "u" => spec.chown = field.switch()?,
            "z" if field.value.is_none() => {}
            "relabel" => field.one_of(&["shared", "private"], "shared or private")?,
            _ => spec.flags.push(flag("bind", field)?),
        }
    }
    if spec.target.is_empty() { Err(MountSpecError::NoTarget) } else { Ok(spec) }
}

fn cache(fields: &[Field]) -> Result<CacheSpec, MountSpecError> {
    let mut spec = CacheSpec::default();
    for field in fields {
        match &*field.name {
            "type" => {}
            "id" => spec.id = Some(field.filled("a name")?),
            "target" | "dst" | "destination" => spec.target = field.target()?,
            "sharing" => {
                spec.sharing = match field.text() {
                    "shared" => Sharing::Shared,
                    "private" => Sharing::Private,
                    "locked" => Sharing::Locked,
                    _ => return Err(field.needs("shared, private or locked")),
                }
            }
            "from" => spec.from = Some(field.filled("a stage or an image")?),
            "source" | "src" => spec.source = Some(field.filled("a path")?),
            "mode" => spec.mode = Some(field.mode()?),
            "uid" => spec.uid = field.number()?,
            "gid" => spec.gid = field.number()?,
            "ro" | "readonly" => spec.writable = Some(!field.switch()?),
            "rw" | "readwrite" => spec.writable = Some(field.switch()?),
            _ => return Err(field.unknown("cache")),
        }
    }
    if spec.target.is_empty() { Err(MountSpecError::NoTarget) } else { Ok(spec) }
}

fn tmpfs(fields: &[Field]) -> Result<TmpfsSpec, MountSpecError> {
    let mut spec = TmpfsSpec::default();
    for field in fields {
        match &*field.name {
            "type" => {}
            "target" | "dst" | "destination" => spec.target = field.target()?,
            "ro" | "readonly" => spec.writable = Some(!field.switch()?),
            "rw" | "readwrite" => spec.writable = Some(field.switch()?),
            "size" | "tmpfs-size" => spec.size = Some(field.size()?),
            "mode" | "tmpfs-mode" => spec.mode = Some(field.mode()?),
            "tmpcopyup" => spec.copy_up = field.switch()?,
            "notmpcopyup" => spec.copy_up = !field.switch()?,
            _ => spec.flags.push(flag("tmpfs", field)?),
        }
    }
    if spec.target.is_empty() { Err(MountSpecError::NoTarget) } else { Ok(spec) }
}

fn secret(fields: &[Field]) -> Result<SecretSpec, MountSpecError> {
    let mut spec = SecretSpec::default();
    let (mut id, mut source) = (None, None);
    for field in fields {
        match &*field.name {
            "type" => {}
            "id" => id = Some(field.filled("a name")?),
            "source" | "src" => source = Some(field.filled("a name")?),
            "target" | "dst" | "destination" => spec.target = Some(field.target()?),
            "env" => spec.env = Some(field.filled("the name of a variable")?),
            "required" => spec.required = field.switch()?,
            "mode" => spec.mode = Some(field.mode()?),
            "uid" => spec.uid = field.number()?,
            "gid" => spec.gid = field.number()?,
            _ => return Err(field.unknown("secret")),
        }
    }
    spec.id = match (id, source, &spec.target) {
        (Some(_), Some(_), _) => return Err(MountSpecError::Twice("id", "source")),
        (Some(id), None, _) | (None, Some(id), _) => id,
        (None, None, Some(target)) => last(target).to_owned(),
        (None, None, None) => return Err(MountSpecError::NoSecret),
    };
    if spec.target.is_none() && spec.env.is_none() {
        spec.target = Some(format!("{SECRETS}/{}", last(&spec.id)));
    }
    Ok(spec)
}

fn ssh(fields: &[Field]) -> Result<SshSpec, MountSpecError> {
    let mut spec = SshSpec { id: "default".to_owned(), ..SshSpec::default() };
    for field in fields {
        match &*field.name {
            "type" => {}
            "id" => spec.id = field.filled("a name")?,
            "target" | "dst" | "destination" => spec.target = Some(field.target()?),
            "required" => spec.required = field.switch()?,
            "mode" => spec.mode = Some(field.mode()?),
            "uid" => spec.uid = field.number()?,
            "gid" => spec.gid = field.number()?,
            _ => return Err(field.unknown("ssh")),
        }
    }
    Ok(spec)
}

fn flag(kind: &'static str, field: &Field) -> Result<String, MountSpecError> {
    if FLAGS.contains(&&*field.name) && field.value.is_none() {
        return Ok(field.name.clone());
    }
    Err(field.unknown(kind))
}

/// The last component of a path.
fn last(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}
