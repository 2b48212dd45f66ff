//! A mount in words: `type=bind,source=…,target=…,ro`, as RUN and the command line have it.
//!
//! The fields are those of a line of CSV: one that holds a comma stands in double quotes. Names have the spellings of
//! every builder; a field that means nothing for its type is an error, not a wish.

/// A mount in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSpec {
    /// `type=bind`
    Bind(BindSpec),
    /// `type=tmpfs`
    Tmpfs(TmpfsSpec),
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

/// Types that the language has besides.
const OTHER_TYPES: [&str; 3] = ["cache", "secret", "ssh"];
/// Words without a value that both types know.
const FLAGS: [&str; 6] = ["exec", "noexec", "suid", "nosuid", "dev", "nodev"];

/// Why words are no mount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountSpecError {
    /// A quoted field does not end, or goes on after its end.
    #[error("unbalanced quotes in {0:?}")]
    Quotes(String),
    /// A type of mount that this version does not carry out.
    #[error("a mount of type {0} is not supported yet")]
    Unsupported(String),
    /// A type of mount that nobody knows.
    #[error("unknown mount type {0:?}: expected bind or tmpfs")]
    Type(String),
    /// A field that this type of mount does not have.
    #[error("a mount of type {kind} has no field {field:?}")]
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
    /// The field that says where is missing.
    #[error("a mount needs a target: target=PATH")]
    NoTarget,
}

impl MountSpec {
    /// Reads the words. Without a type it is `bind`.
    pub fn parse(text: &str) -> Result<Self, MountSpecError> {
        let fields = fields(text)?;
        let kind = fields.iter().find(|field| field.name == "type").map_or("bind", |field| field.text());
        match kind {
            "bind" => bind(&fields).map(Self::Bind),
            "tmpfs" => tmpfs(&fields).map(Self::Tmpfs),
            other if OTHER_TYPES.contains(&other) => Err(MountSpecError::Unsupported(other.to_owned())),
            other => Err(MountSpecError::Type(other.to_owned())),
        }
    }
}

/// `name` or `name=value`.
struct Field {
    name: String,
    value: Option<String>,
}

impl Field {
    fn text(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }

    fn needs(&self, expected: &'static str) -> MountSpecError {
        MountSpecError::Value { field: self.name.clone(), value: self.text().to_owned(), expected }
    }

    fn filled(&self, expected: &'static str) -> Result<String, MountSpecError> {
        if self.text().is_empty() { Err(self.needs(expected)) } else { Ok(self.text().to_owned()) }
    }

    fn one_of(&self, words: &[&str], expected: &'static str) -> Result<(), MountSpecError> {
        if words.contains(&self.text()) { Ok(()) } else { Err(self.needs(expected)) }
    }

    /// A switch: alone, it is on.
    fn switch(&self) -> Result<bool, MountSpecError> {
        match self.value.as_deref() {
            None | Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) => Err(self.needs("true or false")),
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
            "target" | "dst" | "destination" => spec.target = field.filled("a path")?,
            "ro" | "readonly" => spec.writable = Some(!field.switch()?),
            "rw" | "readwrite" => spec.writable = Some(field.switch()?),
            "bind-nonrecursive" => spec.non_recursive = field.switch()?,
            "bind-propagation" => {
                spec.propagation = Some(field.filled("private, rprivate, shared, rshared, slave or rslave")?);
            }
            "chown" | "U" => spec.chown = field.switch()?,
            "z" | "Z" if field.value.is_none() => {}
            "relabel" => field.one_of(&["shared", "private"], "shared or private")?,
            _ => spec.flags.push(flag("bind", field)?),
        }
    }
    if spec.target.is_empty() { Err(MountSpecError::NoTarget) } else { Ok(spec) }
}

fn tmpfs(fields: &[Field]) -> Result<TmpfsSpec, MountSpecError> {
    let mut spec = TmpfsSpec::default();
    for field in fields {
        match &*field.name {
            "type" => {}
            "target" | "dst" | "destination" => spec.target = field.filled("a path")?,
            "ro" | "readonly" => spec.writable = Some(!field.switch()?),
            "rw" | "readwrite" => spec.writable = Some(field.switch()?),
            "size" | "tmpfs-size" => spec.size = Some(size(field)?),
            "mode" | "tmpfs-mode" => spec.mode = Some(mode(field)?),
            "tmpcopyup" => spec.copy_up = field.switch()?,
            "notmpcopyup" => spec.copy_up = !field.switch()?,
            _ => spec.flags.push(flag("tmpfs", field)?),
        }
    }
    if spec.target.is_empty() { Err(MountSpecError::NoTarget) } else { Ok(spec) }
}

fn flag(kind: &'static str, field: &Field) -> Result<String, MountSpecError> {
    if FLAGS.contains(&&*field.name) && field.value.is_none() {
        return Ok(field.name.clone());
    }
    Err(MountSpecError::Field { kind, field: field.name.clone() })
}

/// Bytes, or `k`, `m`, `g` of them.
fn size(field: &Field) -> Result<u64, MountSpecError> {
    let refused = || field.needs("a number of bytes above 0, or one with k, m or g");
    let text = field.text().to_ascii_lowercase();
    let digits = text.trim_end_matches(['b', 'k', 'm', 'g']);
    let unit: u64 = match &text[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return Err(refused()),
    };
    let number: u64 = digits.parse().map_err(|_| refused())?;
    number.checked_mul(unit).filter(|bytes| *bytes > 0).ok_or_else(refused)
}

fn mode(field: &Field) -> Result<u32, MountSpecError> {
    let mode = u32::from_str_radix(field.text(), 8).ok().filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| field.needs("permission bits in octal, such as 1777"))
}

/// The fields of a line of CSV.
fn fields(text: &str) -> Result<Vec<Field>, MountSpecError> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut().expect("there is always one");
        match c {
            // two within quotes stand for one
            '"' if quoted && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' if quoted => {
                quoted = false;
                if chars.peek().is_some_and(|next| *next != ',') {
                    return Err(MountSpecError::Quotes(text.to_owned()));
                }
            }
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    if quoted {
        return Err(MountSpecError::Quotes(text.to_owned()));
    }
    let divide = |field: String| match field.split_once('=') {
        Some((name, value)) => Field { name: name.trim().to_owned(), value: Some(value.to_owned()) },
        None => Field { name: field.trim().to_owned(), value: None },
    };
    Ok(fields.into_iter().map(divide).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(source: &str, target: &str) -> BindSpec {
        BindSpec { source: Some(source.to_owned()), target: target.to_owned(), ..BindSpec::default() }
    }

    fn memory(target: &str) -> TmpfsSpec {
        TmpfsSpec { target: target.to_owned(), ..TmpfsSpec::default() }
    }

    #[test]
    fn binds_are_read() {
        let flags = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let rows = [
            ("type=bind,source=/s,target=/t", bound("/s", "/t")),
            ("src=/s,dst=/t", bound("/s", "/t")),
            ("destination=/t,type=bind,source=a=b", bound("a=b", "/t")),
            ("target=/t", BindSpec { source: None, ..bound("", "/t") }),
            ("source=/s,target=/t,from=base", BindSpec { from: Some("base".into()), ..bound("/s", "/t") }),
            ("source=/s,target=/t,ro", BindSpec { writable: Some(false), ..bound("/s", "/t") }),
            ("source=/s,target=/t,readonly=false", BindSpec { writable: Some(true), ..bound("/s", "/t") }),
            ("source=/s,target=/t,ro,rw", BindSpec { writable: Some(true), ..bound("/s", "/t") }),
            ("source=/s,target=/t,rw=0", BindSpec { writable: Some(false), ..bound("/s", "/t") }),
            ("source=/s,target=/t,U", BindSpec { chown: true, ..bound("/s", "/t") }),
            ("source=/s,target=/t,bind-nonrecursive", BindSpec { non_recursive: true, ..bound("/s", "/t") }),
            (
                "source=/s,target=/t,bind-propagation=rshared",
                BindSpec { propagation: Some("rshared".into()), ..bound("/s", "/t") },
            ),
            ("source=/s,target=/t,z,relabel=private,consistency=cached", bound("/s", "/t")),
            (
                "source=/s,target=/t,noexec,nodev",
                BindSpec { flags: flags(&["noexec", "nodev"]), ..bound("/s", "/t") },
            ),
            ("\"source=/a,b\",target=/t", bound("/a,b", "/t")),
            ("\"source=/a\"\"b\",target=/t", bound("/a\"b", "/t")),
        ];
        for (text, want) in rows {
            assert_eq!(MountSpec::parse(text), Ok(MountSpec::Bind(want)), "{text}");
        }
    }

    #[test]
    fn file_systems_in_memory_are_read() {
        let rows = [
            ("type=tmpfs,target=/t", memory("/t")),
            ("type=tmpfs,dst=/t,size=64m", TmpfsSpec { size: Some(64 << 20), ..memory("/t") }),
            (
                "type=tmpfs,dst=/t,tmpfs-size=4096,tmpfs-mode=0700",
                TmpfsSpec { size: Some(4096), mode: Some(0o700), ..memory("/t") },
            ),
            (
                "type=tmpfs,dst=/t,tmpcopyup,ro",
                TmpfsSpec { copy_up: true, writable: Some(false), ..memory("/t") },
            ),
            ("type=tmpfs,dst=/t,tmpcopyup,notmpcopyup", memory("/t")),
        ];
        for (text, want) in rows {
            assert_eq!(MountSpec::parse(text), Ok(MountSpec::Tmpfs(want)), "{text}");
        }
    }

    #[test]
    fn what_is_no_mount_is_refused_in_words() {
        for (text, want) in [
            ("", "a mount of type bind has no field \"\""),
            ("type=bind", "a mount needs a target: target=PATH"),
            ("type=tmpfs", "a mount needs a target: target=PATH"),
            ("type=bind,target=", "target=: expected a path"),
            ("type=cache,target=/t", "a mount of type cache is not supported yet"),
            ("type=secret,id=x", "a mount of type secret is not supported yet"),
            ("type=ssh", "a mount of type ssh is not supported yet"),
            ("type=volume,target=/t", "unknown mount type \"volume\": expected bind or tmpfs"),
            ("type,target=/t", "unknown mount type \"\": expected bind or tmpfs"),
            ("type=tmpfs,target=/t,source=/s", "a mount of type tmpfs has no field \"source\""),
            ("target=/t,size=1", "a mount of type bind has no field \"size\""),
            ("target=/t,noexec=true", "a mount of type bind has no field \"noexec\""),
            ("target=/t,ro=maybe", "ro=maybe: expected true or false"),
            (
                "type=tmpfs,target=/t,size=0",
                "size=0: expected a number of bytes above 0, or one with k, m or g",
            ),
            (
                "type=tmpfs,target=/t,size=1kk",
                "size=1kk: expected a number of bytes above 0, or one with k, m or g",
            ),
            ("type=tmpfs,target=/t,mode=9", "mode=9: expected permission bits in octal, such as 1777"),
            ("target=/t,relabel=x", "relabel=x: expected shared or private"),
            ("\"target=/t", "unbalanced quotes in \"\\\"target=/t\""),
            ("\"target=/t\"x", "unbalanced quotes in \"\\\"target=/t\\\"x\""),
        ] {
            assert_eq!(
                MountSpec::parse(text).map_err(|error| error.to_string()),
                Err(want.to_owned()),
                "{text}"
            );
        }
    }
}
