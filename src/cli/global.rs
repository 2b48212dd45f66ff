//! The options of every verb, and what the environment says in their place.

use std::io::{self, Write as _};
use std::path::PathBuf;

use rbuild_userns::idmap::{self, IdMap};

use super::environment;
use super::failure::Failure;
use super::foreign::{Given, Row, Table};
use super::step;
use crate::runtime::{self, RootfsChoice};

/// Options that every verb knows.
#[derive(clap::Args)]
#[command(next_help_heading = "Options of every verb")]
pub(super) struct Global {
    /// The store's directory [default: `$RBUILD_ROOT`, else `$XDG_DATA_HOME/rbuild`; as root `/var/lib/rbuild`]
    #[arg(long, value_name = "DIR", global = true)]
    pub root: Option<PathBuf>,
    /// How ids are mapped for RUN: auto, root, helper, newuidmap or single
    #[arg(long, value_name = "MODE", global = true, default_value = "auto", value_parser = environment::idmap)]
    idmap: idmap::Choice,
    /// The root file system of RUN: auto, kernel, fuse or plain
    #[arg(long, value_name = "DRIVER", global = true, default_value = "auto", value_parser = environment::rootfs)]
    pub rootfs: RootfsChoice,
    /// The same by buildah's names: vfs is plain, and overlay leaves the choice to rbuild
    #[arg(long, value_name = "DRIVER", global = true, value_parser = driver)]
    storage_driver: Option<Driver>,
    /// An option of that driver; may be given several times
    #[arg(long, value_name = "NAME=VALUE", global = true, value_delimiter = ',', hide = true)]
    storage_opt: Vec<String>,
    /// How much is told: with error, fatal or panic no notes, else notes
    #[arg(long, value_name = "LEVEL", global = true, default_value = "warn", value_parser = level)]
    log_level: Level,
    #[command(flatten)]
    maps: step::Maps,
    #[command(flatten)]
    foreign: Given<Foreign>,
    /// What the maps come to.
    #[arg(skip)]
    usual_maps: (Option<IdMap>, Option<IdMap>),
}

/// Options of buildah's before a verb that rbuild has no use for.
struct Foreign;

const NO_FILE_OF_REGISTRIES: &str = "rbuild reads no such file: name images whole, HOST/NAME; --tls-verify=false is for a registry without TLS";

impl Table for Foreign {
    const ROWS: &'static [Row] = &[
        Row::nothing("runroot", "all there is lies in the store, --root"),
        Row::idle("transient-store", "working containers are small files of the store"),
        Row::nothing("cgroup-manager", "control groups are made below that of rbuild"),
        Row::idle("debug", "--trace FILE of rbuild bud tells what a build does"),
        Row::not_done("imagestore", "keep images and containers in one store: --root DIR"),
        Row::not_done("registries-conf", NO_FILE_OF_REGISTRIES),
        Row::not_done("registries-conf-dir", NO_FILE_OF_REGISTRIES),
        Row::not_done("short-name-alias-conf", NO_FILE_OF_REGISTRIES),
        Row::not_done("default-mounts-file", "name what RUN is to see: --volume HOST:CONTAINER"),
        Row::not_done("cpu-profile", "--trace FILE of rbuild bud tells how long each step takes"),
        Row::not_done("memory-profile", "leave it out"),
    ];
    const BEFORE_AND_AFTER: bool = true;
}

/// Variables of the field that nobody reads here, and why.
const UNREAD: [(&str, &str); 7] = [
    ("CONTAINERS_CONF", "rbuild has no such file"),
    ("CONTAINERS_CONF_OVERRIDE", "rbuild has no such file"),
    ("CONTAINERS_STORAGE_CONF", "the store is --root, or RBUILD_ROOT"),
    ("CONTAINERS_REGISTRIES_CONF", "name images whole, HOST/NAME"),
    ("BUILDAH_RUNTIME", "rbuild runs commands by itself"),
    ("BUILDAH_NOPIVOT", "rbuild runs commands by itself"),
    ("BUILDAH_CPPFLAGS", "cpp is given no flags"),
];

/// What `--storage-driver` and its variable name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Driver {
    Overlay,
    Vfs,
}

fn driver(text: &str) -> Result<Driver, String> {
    match text {
        "overlay" | "overlay2" => Ok(Driver::Overlay),
        "vfs" => Ok(Driver::Vfs),
        _ => Err("expected overlay or vfs; rbuild has no other".to_owned()),
    }
}

/// Options of buildah's drivers about how they mount.
const OF_MOUNTS: [&str; 9] = [
    "force_mask",
    "ignore_chown_errors",
    "mount_options",
    "mount_program",
    "mountopt",
    "override_kernel_check",
    "skip_mount_home",
    "sync",
    "use_composefs",
];

/// What is said of an option of a driver; errors if it asks for more than a way to mount.
fn storage_opt(given: &str) -> Result<String, Failure> {
    let name = given.split('=').next().unwrap_or_default();
    let bare = name.rsplit('.').next().unwrap_or_default();
    if OF_MOUNTS.contains(&bare) {
        return Ok(format!("--storage-opt {name} asks for nothing here: rbuild mounts in its own way"));
    }
    Err(Failure::new(format!(
        "--storage-opt {given}: an option of buildah's drivers that rbuild does not have"
    ))
    .hint("leave it out; the store is --root DIR, and the root file system of RUN is --rootfs DRIVER"))
}

/// How much is told besides data and errors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Level {
    Error,
    Notes,
}

fn level(text: &str) -> Result<Level, String> {
    match text {
        "panic" | "fatal" | "error" => Ok(Level::Error),
        "warn" | "warning" | "info" | "debug" | "trace" => Ok(Level::Notes),
        _ => Err("expected trace, debug, info, warn, error, fatal or panic".to_owned()),
    }
}

impl Global {
    /// Puts in what the environment says where an option does not, and answers options and variables that ask for nothing.
    /// Errors if one cannot be heeded.
    pub(super) fn settle(&mut self) -> Result<(), Failure> {
        self.usual_maps = self.maps.maps()?;
        self.foreign.each(|text| self.note(&text))?;
        let opts = environment::variable("STORAGE_OPTS")?.unwrap_or_default();
        let opts = opts.split(',').filter(|opt| !opt.is_empty()).map(str::to_owned);
        for opt in self.storage_opt.iter().cloned().chain(opts) {
            self.note(&storage_opt(&opt)?);
        }
        for (name, why) in UNREAD {
            if std::env::var_os(name).is_some_and(|value| !value.is_empty()) {
                self.note(&format!("{name} is not read: {why}"));
            }
        }
        self.rootfs = self.settled_rootfs()?;
        Ok(())
    }

    /// `--rootfs`, else `--storage-driver`, else rbuild's variable, else that of the field.
    fn settled_rootfs(&self) -> Result<RootfsChoice, Failure> {
        const VARIABLE: &str = "STORAGE_DRIVER";
        if self.rootfs != RootfsChoice::Auto {
            return Ok(self.rootfs);
        }
        if let Some(driver) = self.storage_driver {
            return Ok(self.of_driver("--storage-driver ", driver));
        }
        if let Some(told) = environment::variable(environment::ROOTFS)?.filter(|told| !told.is_empty()) {
            let name = environment::ROOTFS;
            return environment::rootfs(&told).map_err(|why| Failure::new(format!("{name}={told}: {why}")));
        }
        let Some(told) = environment::variable(VARIABLE)?.filter(|told| !told.is_empty()) else {
            return Ok(RootfsChoice::Auto);
        };
        Ok(match driver(&told) {
            Ok(driver) => self.of_driver("STORAGE_DRIVER=", driver),
            Err(why) => {
                self.note(&format!("{VARIABLE}={told} asks for nothing here: {why}"));
                RootfsChoice::Auto
            }
        })
    }

    fn of_driver(&self, how: &str, driver: Driver) -> RootfsChoice {
        match driver {
            Driver::Vfs => {
                self.note(&format!("{how}vfs: RUN has the root file system `plain`"));
                RootfsChoice::Plain
            }
            Driver::Overlay => {
                self.note(&format!("{how}overlay: RUN has the root file system that works best here"));
                RootfsChoice::Auto
            }
        }
    }

    /// Tells what a person may want to know and a script does not: a line on stderr.
    pub(super) fn note(&self, text: &str) {
        if self.log_level >= Level::Notes {
            // Where stderr is closed there is nobody left to tell.
            drop(writeln!(io::stderr(), "{text}"));
        }
    }

    /// How a sandbox is started.
    pub(super) fn sandbox(&self) -> runtime::Options {
        runtime::Options {
            idmap: self.idmap,
            groups: runtime::Groups::Dropped,
            maps: self.usual_maps.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_drivers_are_about_mounting_or_refused() {
        for (given, good) in [
            ("overlay.mount_program=/usr/bin/fuse-overlayfs", true),
            ("overlay.mountopt=nodev", true),
            (".ignore_chown_errors=true", true),
            ("vfs.ignore_chown_errors=true", true),
            ("mount_program=/usr/bin/fuse-overlayfs", true),
            ("overlay.imagestore=/elsewhere", false),
            ("overlay.size=1G", false),
            ("", false),
        ] {
            assert_eq!(storage_opt(given).is_ok(), good, "{given}");
        }
    }
}
