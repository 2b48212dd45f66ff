//! What RUN sees besides the image's files.

use std::path::{Path, PathBuf};

use super::super::failure::Failure;
use crate::dockerfile::{BindSpec, MountSpec, TmpfsSpec};
use crate::runtime::{
    Access, Bind, Content, Mount, Overlay, Owner, Propagation, Reach, Right, Source, Tmpfs, Upper,
};

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Mounts of RUN")]
pub(super) struct Args {
    /// Show a file, directory or socket of the host; may be given several times
    #[arg(short, long = "volume", value_name = "HOST:CONTAINER[:OPTION,…]", value_parser = volume)]
    volumes: Vec<Mount>,
    /// Show something of the host or a file system in memory; may be given several times
    #[arg(long = "mount", value_name = "type=TYPE,target=PATH[,…]", value_parser = wanted)]
    mounts: Vec<Wanted>,
}

/// A value of `--mount`.
#[derive(Clone)]
enum Wanted {
    /// It shows something of the host, or nothing.
    Host(Box<Mount>),
    /// It shows something that a build brings; this is how it is written, and what kind it is.
    Build(String, &'static str),
}

impl Args {
    /// All of them. Errors if two have one target.
    pub(super) fn mounts(&self) -> Result<Vec<Mount>, Failure> {
        let mut mounts = self.volumes.clone();
        for wanted in &self.mounts {
            match wanted {
                Wanted::Host(mount) => mounts.push((**mount).clone()),
                Wanted::Build(text, kind) => {
                    return Err(Failure::new(format!("--mount {text}: {}", of_a_dockerfile(kind))));
                }
            }
        }
        for (place, mount) in mounts.iter().enumerate() {
            let same = |other: &Mount| Path::new(&other.target) == Path::new(&mount.target);
            if mounts[..place].iter().any(same) {
                return Err(Failure::new(format!("two mounts have the target {:?}", mount.target)));
            }
        }
        Ok(mounts)
    }

    /// Takes out those that show what a build brings.
    pub(super) fn take_words(&mut self) -> Vec<String> {
        let (mut words, mut kept) = (Vec::new(), Vec::new());
        for wanted in std::mem::take(&mut self.mounts) {
            match wanted {
                Wanted::Build(text, _) => words.push(text),
                host @ Wanted::Host(_) => kept.push(host),
            }
        }
        self.mounts = kept;
        words
    }
}

/// Directories that hold a system or its users: none is given away with all that is in it.
const SYSTEM: [&str; 22] = [
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc",
    "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/lib", "/var/tmp",
];

/// `--volume`.
fn volume(text: &str) -> Result<Mount, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err("expected HOST:CONTAINER[:OPTION,…]".to_owned()),
    };
    check_target(target)?;
    if !source.contains('/') && ![".", ".."].contains(&source) {
        return Err(format!(
            "there are no named volumes: for a file or directory {source:?}, write ./{source}"
        ));
    }
    let path = real(source)?;
    let options = VolumeOptions::parse(options)?;
    let overlay_only = options.upper.is_some() || options.work.is_some();
    let source = match (options.overlay, options.upper, options.work) {
        (Wish::Asked, upper, work) => {
            if !path.is_dir() {
                return Err(format!("the option O takes a directory, which {} is not", path.display()));
            }
            let upper = match (upper, work) {
                (Some(dir), Some(work)) => Some(Upper { dir: real(&dir)?, work: real(&work)? }),
                (None, None) => None,
                _ => return Err("upperdir= and workdir= go together".to_owned()),
            };
            Source::Overlay(Overlay { lower: path, upper, owner: options.owner })
        }
        (Wish::None, ..) if overlay_only => {
            return Err("upperdir= and workdir= belong to the option O".to_owned());
        }
        (Wish::None, ..) => Source::Bind(bind(path, options.reach, options.owner, options.propagation)?),
    };
    Ok(Mount { target: target.to_owned(), source, access: options.access, rights: options.rights })
}

/// Whether something was asked for.
#[derive(PartialEq, Eq)]
enum Wish {
    None,
    Asked,
}

struct VolumeOptions {
    access: Access,
    rights: Vec<Right>,
    reach: Reach,
    owner: Owner,
    propagation: Propagation,
    overlay: Wish,
    upper: Option<String>,
    work: Option<String>,
}

impl VolumeOptions {
    fn parse(text: &str) -> Result<Self, String> {
        let mut options = Self {
            access: Access::ReadWrite,
            rights: Vec::new(),
            reach: Reach::All,
            owner: Owner::Kept,
            propagation: Propagation::Private,
            overlay: Wish::None,
            upper: None,
            work: None,
        };
        for option in text.split(',').filter(|option| !option.is_empty()) {
            match option.split_once('=').unwrap_or((option, "")) {
                ("ro", "") => options.access = Access::ReadOnly,
                ("rw", "") => options.access = Access::ReadWrite,
                ("bind", "") => options.reach = Reach::One,
                ("rbind", "") => options.reach = Reach::All,
                ("U", "") => options.owner = Owner::Command,
                ("O", "") => options.overlay = Wish::Asked,
                ("upperdir", dir) if !dir.is_empty() => options.upper = Some(dir.to_owned()),
                ("workdir", dir) if !dir.is_empty() => options.work = Some(dir.to_owned()),
                // a step has no label of its own that files would have to match
                ("z" | "Z", "") => {}
                (word, "") => match (propagation(word), Right::named(word)) {
                    (Some(propagation), _) => options.propagation = propagation,
                    (None, Some(right)) => options.rights.push(right),
                    (None, None) => return Err(format!("unknown volume option {word:?}")),
                },
                _ => return Err(format!("unknown volume option {option:?}")),
            }
        }
        Ok(options)
    }
}

/// What is mounted on the host while a step runs never shows in it, so a slave is as good as private.
fn propagation(word: &str) -> Option<Propagation> {
    match word {
        "private" | "rprivate" | "slave" | "rslave" => Some(Propagation::Private),
        "shared" | "rshared" => Some(Propagation::Shared),
        _ => None,
    }
}

/// `--mount`.
fn wanted(text: &str) -> Result<Wanted, String> {
    let of_build = |kind| Ok(Wanted::Build(text.to_owned(), kind));
    let of_host = |mount| Ok(Wanted::Host(Box::new(mount)));
    match MountSpec::parse(text).map_err(|error| error.to_string())? {
        MountSpec::Bind(spec) if spec.from.is_some() => of_build("bind"),
        MountSpec::Bind(spec) => mount_bind(spec).and_then(of_host),
        MountSpec::Tmpfs(spec) => mount_tmpfs(spec).and_then(of_host),
        MountSpec::Cache(_) => of_build("cache"),
        MountSpec::Secret(_) => of_build("secret"),
        MountSpec::Ssh(_) => of_build("ssh"),
    }
}

fn of_a_dockerfile(kind: &str) -> String {
    if kind == "bind" {
        return "from= belongs to the RUN of a Dockerfile: --mount shows what is on the host".to_owned();
    }
    format!("a mount of type {kind} belongs to the RUN of a Dockerfile: RUN --mount=type={kind},…")
}

fn mount_bind(spec: BindSpec) -> Result<Mount, String> {
    check_target(&spec.target)?;
    let source = spec.source.ok_or("a bind mount needs a source: source=PATH")?;
    let word = spec.propagation.as_deref().unwrap_or("rprivate");
    let propagation = propagation(word).ok_or_else(|| format!("unknown propagation {word:?}"))?;
    let reach = if spec.non_recursive { Reach::One } else { Reach::All };
    let owner = if spec.chown { Owner::Command } else { Owner::Kept };
    Ok(Mount {
        source: Source::Bind(bind(real(&source)?, reach, owner, propagation)?),
        target: spec.target,
        access: access(spec.writable.unwrap_or(false)),
        rights: rights(&spec.flags),
    })
}

fn mount_tmpfs(spec: TmpfsSpec) -> Result<Mount, String> {
    check_target(&spec.target)?;
    let content = if spec.copy_up { Content::Image } else { Content::Empty };
    Ok(Mount {
        source: Source::Tmpfs(Tmpfs { size: spec.size, mode: spec.mode.unwrap_or(0o1777), content }),
        target: spec.target,
        access: access(spec.writable.unwrap_or(true)),
        rights: rights(&spec.flags),
    })
}

fn access(writable: bool) -> Access {
    if writable { Access::ReadWrite } else { Access::ReadOnly }
}

fn rights(flags: &[String]) -> Vec<Right> {
    flags.iter().filter_map(|flag| Right::named(flag)).collect()
}

fn bind(path: PathBuf, reach: Reach, owner: Owner, propagation: Propagation) -> Result<Bind, String> {
    if owner == Owner::Command && SYSTEM.iter().any(|system| Path::new(system) == path) {
        return Err(format!("{} and all in it is not given away: name a directory below it", path.display()));
    }
    Ok(Bind { path, reach, owner, propagation })
}

fn check_target(target: &str) -> Result<(), String> {
    if !target.starts_with('/') || target.split('/').any(|part| part == "..") {
        return Err(format!("the container's path {target:?} must be absolute and without '..'"));
    }
    if target.split('/').all(|part| ["", "."].contains(&part)) {
        return Err("a mount cannot take the place of the root".to_owned());
    }
    Ok(())
}

/// What the host has there, by its real path.
fn real(source: &str) -> Result<PathBuf, String> {
    std::fs::canonicalize(source).map_err(|why| format!("{source:?}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(text: &str) -> Result<Mount, String> {
        match wanted(text)? {
            Wanted::Host(mount) => Ok(*mount),
            Wanted::Build(_, kind) => Err(of_a_dockerfile(kind)),
        }
    }

    fn tmp(target: &str) -> Mount {
        Mount::bind("/tmp", target, Access::ReadWrite)
    }

    fn bound(change: impl FnOnce(&mut Bind)) -> Mount {
        let mut mount = tmp("/x");
        if let Source::Bind(bind) = &mut mount.source {
            change(bind);
        }
        mount
    }

    fn over(upper: Option<(&str, &str)>) -> Mount {
        let upper = upper.map(|(dir, work)| Upper { dir: dir.into(), work: work.into() });
        Mount {
            source: Source::Overlay(Overlay { lower: "/tmp".into(), upper, owner: Owner::Kept }),
            ..tmp("/x")
        }
    }

    #[test]
    fn volumes_are_read_strictly() {
        let rights = |rights: &[Right]| Mount { rights: rights.to_vec(), ..tmp("/x") };
        for (text, want) in [
            ("/tmp:/x", Ok(tmp("/x"))),
            ("/tmp/../tmp/.:/x", Ok(tmp("/x"))),
            ("/tmp:/x:ro", Ok(Mount { access: Access::ReadOnly, ..tmp("/x") })),
            ("/tmp:/x:ro,rw", Ok(tmp("/x"))),
            ("/tmp:/x:z,Z,rbind,rprivate,rslave", Ok(tmp("/x"))),
            ("/tmp:/x:noexec,nodev,nosuid", Ok(rights(&[Right::NoExec, Right::NoDev, Right::NoSuid]))),
            ("/tmp:/x:exec,dev,suid", Ok(rights(&[Right::Exec, Right::Dev, Right::Suid]))),
            ("/tmp:/x:bind", Ok(bound(|bind| bind.reach = Reach::One))),
            ("/tmp:/x:shared", Ok(bound(|bind| bind.propagation = Propagation::Shared))),
            (
                "/usr/bin:/x:U",
                Ok(Mount::bind("/usr/bin", "/x", Access::ReadWrite)).map(|mut mount| {
                    if let Source::Bind(bind) = &mut mount.source {
                        bind.owner = Owner::Command;
                    }
                    mount
                }),
            ),
            ("/tmp:/x:O", Ok(over(None))),
            ("/tmp:/x:O,upperdir=/usr,workdir=/var", Ok(over(Some(("/usr", "/var"))))),
            ("/tmp:x", Err("the container's path \"x\" must be absolute and without '..'")),
            ("/tmp:/", Err("a mount cannot take the place of the root")),
            ("/tmp:/.//", Err("a mount cannot take the place of the root")),
            ("/tmp:/a/../..", Err("the container's path \"/a/../..\" must be absolute and without '..'")),
            ("/tmp:/x:Q", Err("unknown volume option \"Q\"")),
            ("/tmp:/x:ro=1", Err("unknown volume option \"ro=1\"")),
            ("/tmp:/x:idmap=x", Err("unknown volume option \"idmap=x\"")),
            ("/tmp", Err("expected HOST:CONTAINER[:OPTION,…]")),
            ("/tmp:/x:ro:rw", Err("expected HOST:CONTAINER[:OPTION,…]")),
            ("cache:/x", Err("there are no named volumes: for a file or directory \"cache\", write ./cache")),
            ("/no/such/dir:/x", Err("\"/no/such/dir\": No such file or directory (os error 2)")),
            ("/tmp:/x:U", Err("/tmp and all in it is not given away: name a directory below it")),
            (
                "/tmp:/x:O,U",
                Ok(over(None)).map(|mut mount| {
                    if let Source::Overlay(overlay) = &mut mount.source {
                        overlay.owner = Owner::Command;
                    }
                    mount
                }),
            ),
            ("/dev/null:/x:O", Err("the option O takes a directory, which /dev/null is not")),
            ("/tmp:/x:O,upperdir=/usr", Err("upperdir= and workdir= go together")),
            ("/tmp:/x:workdir=/usr", Err("upperdir= and workdir= belong to the option O")),
        ] {
            assert_eq!(volume(text), want.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn mounts_are_read_strictly() {
        let memory = |tmpfs| Mount { source: Source::Tmpfs(tmpfs), ..tmp("/x") };
        let plain = Tmpfs { size: None, mode: 0o1777, content: Content::Empty };
        for (text, want) in [
            ("type=bind,source=/tmp,target=/x", Ok(Mount { access: Access::ReadOnly, ..tmp("/x") })),
            ("type=bind,source=/tmp,target=/x,rw", Ok(tmp("/x"))),
            ("source=/tmp,target=/x,rw,noexec", Ok(Mount { rights: vec![Right::NoExec], ..tmp("/x") })),
            ("type=tmpfs,target=/x", Ok(memory(plain.clone()))),
            (
                "type=tmpfs,target=/x,size=1m,mode=700,tmpcopyup",
                Ok(memory(Tmpfs { size: Some(1 << 20), mode: 0o700, content: Content::Image })),
            ),
            ("type=tmpfs,target=/x,ro", Ok(Mount { access: Access::ReadOnly, ..memory(plain) })),
            ("type=bind,target=/x", Err("a bind mount needs a source: source=PATH")),
            (
                "type=bind,source=/tmp,target=x",
                Err("the container's path \"x\" must be absolute and without '..'"),
            ),
            (
                "type=bind,source=/tmp,target=/x,from=base",
                Err("from= belongs to the RUN of a Dockerfile: --mount shows what is on the host"),
            ),
            ("type=bind,source=/tmp,target=/x,bind-propagation=up", Err("unknown propagation \"up\"")),
            (
                "type=cache,target=/x",
                Err("a mount of type cache belongs to the RUN of a Dockerfile: RUN --mount=type=cache,…"),
            ),
        ] {
            assert_eq!(mount(text), want.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn a_target_is_taken_once() {
        let args = |targets: &[&str]| Args {
            volumes: targets.iter().map(|target| tmp(target)).collect(),
            mounts: vec![Wanted::Host(Box::new(tmp("/m")))],
        };
        assert_eq!(args(&["/a", "/a/b"]).mounts().map(|mounts| mounts.len()).ok(), Some(3));
        for targets in [["/a", "/a/"], ["/a", "/m"]] {
            assert!(args(&targets).mounts().is_err(), "{targets:?}");
        }
    }
}
