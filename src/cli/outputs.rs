//! `bud --output`: where else what was built goes.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::output;
use crate::layer::Compression;
use crate::oci::{Descriptor, Reference};
use crate::progress::Sink;
use crate::registry::Client;
use crate::store::Store;
use crate::transfer::export::{self, ArchiveKind, Destination, Names, Tree};
use crate::transfer::{PushOptions, Subject};

/// One `--output`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// The tree, in a directory.
    Local { to: PathBuf, split: Option<bool> },
    /// The tree, as a tar.
    Tar { to: Destination, split: Option<bool> },
    /// The image, as an archive.
    Archive { kind: ArchiveKind, to: Destination, names: Vec<Reference>, packing: Packing },
    /// The image, as a directory.
    Layout { to: PathBuf, names: Vec<Reference>, packing: Packing },
    /// The image in the store, and in a registry.
    Image { names: Vec<Reference>, push: bool, packing: Packing },
}

/// How layers leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packing {
    compression: Compression,
    force: bool,
}

impl Packing {
    fn options(self) -> PushOptions {
        PushOptions { compression: self.compression, force: self.force }
    }
}

/// `DIR`, `FILE.tar`, `-`, or `type=…` with its fields.
pub(super) fn parse(text: &str) -> Result<Output, String> {
    if !text.contains('=') && !text.contains(',') {
        return short(text);
    }
    let mut fields = Fields::read(text)?;
    let kind = fields.take("type").ok_or("no type=: expected local, tar, oci, docker, image or registry")?;
    let output = match kind.as_str() {
        "local" => Output::Local {
            to: fields.dest()?.ok_or("type=local needs dest=DIR")?.into(),
            split: fields.split()?,
        },
        "tar" => Output::Tar { to: fields.destination()?, split: fields.split()? },
        "oci" if fields.flag("tar")? == Some(false) => {
            let to = fields.dest()?.ok_or("type=oci,tar=false needs dest=DIR")?.into();
            Output::Layout { to, names: fields.names()?, packing: fields.packing()? }
        }
        "oci" => {
            let (kind, to) = (ArchiveKind::Oci, fields.destination()?);
            Output::Archive { kind, to, names: fields.names()?, packing: fields.packing()? }
        }
        "docker" => {
            let to = fields.dest()?;
            let to = to.ok_or("type=docker needs dest=FILE; with dest=- it can be piped into docker load")?;
            let (kind, names) = (ArchiveKind::Docker, fields.names()?);
            let packing = Packing { compression: Compression::None, force: false };
            Output::Archive { kind, to: destination(&to), names, packing }
        }
        "image" | "registry" => {
            let push = fields.flag("push")?.unwrap_or(kind == "registry");
            Output::Image { names: fields.names()?, push, packing: fields.packing()? }
        }
        other => {
            return Err(format!("type={other}: expected local, tar, oci, docker, image or registry"));
        }
    };
    fields.end(&kind)?;
    Ok(output)
}

fn short(text: &str) -> Result<Output, String> {
    match text {
        "" => Err("expected DIR, FILE.tar, - or type=…".to_owned()),
        "-" => Ok(Output::Tar { to: Destination::Stdout, split: None }),
        path if Path::new(path).extension().is_some_and(|end| end == "tar") && !Path::new(path).is_dir() => {
            Ok(Output::Tar { to: Destination::Path(path.into()), split: None })
        }
        path => Ok(Output::Local { to: path.into(), split: None }),
    }
}

fn destination(text: &str) -> Destination {
    if text == "-" { Destination::Stdout } else { Destination::Path(text.into()) }
}

/// The fields of an output that nobody has asked for yet.
struct Fields(Vec<(String, String)>);

impl Fields {
    /// Comma-separated; a field in double quotes may hold commas, a doubled quote within it is one.
    fn read(text: &str) -> Result<Self, String> {
        let mut fields = vec![String::new()];
        let mut quoted = false;
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            let last = fields.last_mut().expect("there is always one");
            match letter {
                '"' if quoted && letters.peek() == Some(&'"') => last.extend(letters.next()),
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(String::new()),
                _ => last.push(letter),
            }
        }
        if quoted {
            return Err("a double quote is not closed".to_owned());
        }
        let pair = |field: &String| {
            let (name, value) = field.split_once('=').ok_or(format!("{field:?}: expected NAME=VALUE"))?;
            Ok((name.trim().to_lowercase(), value.to_owned()))
        };
        fields.iter().map(pair).collect::<Result<_, _>>().map(Self)
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(own, _)| own == name)?;
        Some(self.0.remove(at).1)
    }

    fn dest(&mut self) -> Result<Option<String>, String> {
        match self.take("dest") {
            Some(dest) if dest.is_empty() => Err("dest= is empty".to_owned()),
            dest => Ok(dest),
        }
    }

    /// Without one, standard output.
    fn destination(&mut self) -> Result<Destination, String> {
        Ok(self.dest()?.map_or(Destination::Stdout, |dest| destination(&dest)))
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, String> {
        match self.take(name).as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => Err(format!("{name}={other}: expected true or false")),
        }
    }

    fn split(&mut self) -> Result<Option<bool>, String> {
        self.flag("platform-split")
    }

    fn names(&mut self) -> Result<Vec<Reference>, String> {
        let mut names = Vec::new();
        while let Some(words) = self.take("name") {
            for word in words.split(',') {
                names.push(word.parse().map_err(|why| format!("name={word}: {why}"))?);
            }
        }
        Ok(names)
    }

    fn packing(&mut self) -> Result<Packing, String> {
        let word = self.take("compression").unwrap_or_else(|| "gzip".to_owned());
        let compression = export::compression(&word)
            .ok_or_else(|| format!("compression={word}: expected uncompressed, gzip or zstd"))?;
        Ok(Packing { compression, force: self.flag("force-compression")?.unwrap_or(false) })
    }

    fn end(self, kind: &str) -> Result<(), String> {
        match self.0.first() {
            Some((name, _)) => Err(format!("type={kind} has no {name}=")),
            None => Ok(()),
        }
    }
}

/// Looks, before anything is built, whether `outputs` can be carried out.
pub(super) fn check(outputs: &[Output], tags: &[Reference], platforms: usize) -> Result<(), Failure> {
    if outputs.iter().filter(|output| output.takes_stdout()).count() > 1 {
        return Err(Failure::new("--output: standard output can take one").hint("give the others a dest="));
    }
    if outputs.iter().any(Output::takes_stdout) {
        output::takes_a_tar("give --output a dest=FILE, or send standard output to one")?;
    }
    for output in outputs {
        match output {
            Output::Image { names, push: true, .. } if names.is_empty() && tags.is_empty() => {
                return Err(Failure::new("--output: nothing says where to push to")
                    .hint("give name=HOST/NAME:TAG, or -t HOST/NAME:TAG"));
            }
            Output::Image { names, push: true, .. } => {
                let targets = if names.is_empty() { tags } else { names };
                if let Some(local) = targets.iter().find(|name| name.local().registry() == Some("localhost"))
                {
                    return Err(Failure::new(format!("--output: {local} names no registry to push to"))
                        .hint("give name=HOST/NAME:TAG"));
                }
            }
            Output::Archive { kind: ArchiveKind::Docker, .. } if platforms > 1 => {
                return Err(Failure::new("--output type=docker: the archive holds one platform alone")
                    .hint("take type=oci, or build for one platform"));
            }
            Output::Tar { to: Destination::Path(path), .. }
            | Output::Archive { to: Destination::Path(path), .. }
            | Output::Layout { to: path, .. } => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                if parent.is_some_and(|parent| !parent.is_dir())
                    || (path.is_dir() && !matches!(output, Output::Layout { .. }))
                {
                    let why =
                        if path.is_dir() { "is a directory" } else { "the directory for it does not exist" };
                    return Err(Failure::new(format!("--output {}: {why}", path.display())));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

impl Output {
    /// Whether standard output is data.
    pub(super) fn takes_stdout(&self) -> bool {
        matches!(
            self,
            Self::Tar { to: Destination::Stdout, .. } | Self::Archive { to: Destination::Stdout, .. }
        )
    }

    /// Names that it gives the image in the store.
    pub(super) fn names(&self) -> &[Reference] {
        match self {
            Self::Image { names, .. } => names,
            _ => &[],
        }
    }

    /// Carries it out. `tags` are what `-t` names, for an output without a name; `epoch` the one time
    /// that files are to show. Returns what a registry has now, as it was sent last.
    pub(super) fn write(
        &self,
        (store, client): (&Store, &Client),
        subject: &Subject,
        tags: &[Reference],
        epoch: Option<i64>,
        sink: &dyn Sink,
    ) -> Result<Option<Descriptor>, Failure> {
        let or_tags = |names: &[Reference]| if names.is_empty() { tags.to_vec() } else { names.to_vec() };
        let trees = |split: Option<bool>| {
            let images = subject.images();
            let split = split.unwrap_or(images.len() > 1);
            Tree::of(store, &images, split)
        };
        match self {
            Self::Local { to, split } => export::local(&trees(*split)?, to, epoch, sink)?,
            Self::Tar { to, split } => export::tar(store, &trees(*split)?, to, epoch)?,
            Self::Archive { kind, to, names, packing } => {
                export::archive(
                    store,
                    subject,
                    Names::Images(&or_tags(names)),
                    *kind,
                    to,
                    packing.options(),
                )?;
            }
            Self::Layout { to, names, packing } => {
                export::layout(store, subject, Names::Images(&or_tags(names)), to, packing.options())?;
            }
            Self::Image { push: false, .. } => {}
            Self::Image { names, push: true, packing } => {
                let mut pushed = None;
                for name in or_tags(names) {
                    pushed = Some(subject.push(store, client, &name, packing.options(), sink)?);
                }
                return Ok(pushed);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_read() {
        let file = |name: &str| Destination::Path(name.into());
        let gzip = Packing { compression: Compression::Gzip, force: false };
        let plain = Packing { compression: Compression::None, force: false };
        let names =
            |words: &[&str]| words.iter().map(|word| word.parse().unwrap()).collect::<Vec<Reference>>();
        for (text, want) in [
            ("out", Output::Local { to: "out".into(), split: None }),
            ("-", Output::Tar { to: Destination::Stdout, split: None }),
            ("out.tar", Output::Tar { to: file("out.tar"), split: None }),
            ("type=local,dest=a", Output::Local { to: "a".into(), split: None }),
            ("type=local,dest=a,platform-split=false", Output::Local { to: "a".into(), split: Some(false) }),
            ("type=local,\"dest=a,\"\"b\"", Output::Local { to: "a,\"b".into(), split: None }),
            ("type=tar", Output::Tar { to: Destination::Stdout, split: None }),
            ("type=tar,dest=x", Output::Tar { to: file("x"), split: None }),
            (
                "type=oci,dest=x,compression=uncompressed",
                Output::Archive { kind: ArchiveKind::Oci, to: file("x"), names: vec![], packing: plain },
            ),
            ("type=oci,tar=false,dest=d", Output::Layout { to: "d".into(), names: vec![], packing: gzip }),
            (
                "type=docker,dest=-,name=a:1",
                Output::Archive {
                    kind: ArchiveKind::Docker,
                    to: Destination::Stdout,
                    names: names(&["a:1"]),
                    packing: plain,
                },
            ),
            ("type=image,name=a", Output::Image { names: names(&["a"]), push: false, packing: gzip }),
            (
                "type=image,\"name=h/a,h/b\",push=true",
                Output::Image { names: names(&["h/a", "h/b"]), push: true, packing: gzip },
            ),
            ("type=registry", Output::Image { names: vec![], push: true, packing: gzip }),
        ] {
            assert_eq!(parse(text), Ok(want), "{text}");
        }
        for (text, why) in [
            ("", "expected DIR"),
            ("dest=x", "no type="),
            ("type=local", "needs dest="),
            ("type=local,dest=", "dest= is empty"),
            ("type=zip,dest=x", "type=zip: expected local"),
            ("type=tar,push=true", "type=tar has no push="),
            ("type=docker", "piped into docker load"),
            ("type=oci,tar=maybe", "tar=maybe: expected true or false"),
            ("type=oci,compression=estargz", "expected uncompressed, gzip or zstd"),
            ("type=image,name=UPPER", "name=UPPER"),
            ("type=tar,x", "\"x\": expected NAME=VALUE"),
            ("type=tar,\"dest=x", "not closed"),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
