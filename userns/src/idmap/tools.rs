//! Where the helpers are, and whether the kernel would give them what they need.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags, access, getxattr, statvfs};
use rustix::io::Errno;

use super::caps::{Cap, CapSet};

/// Directories in which the helpers are looked for, the first one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    dirs: Vec<PathBuf>,
}

/// The helpers that a plan will run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shadow {
    pub newuidmap: PathBuf,
    pub newgidmap: PathBuf,
}

impl Search {
    /// Exactly these directories.
    pub fn new(dirs: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { dirs: dirs.into_iter().collect() }
    }

    /// Beside the running executable, in `../libexec/rbuild` from there, in `$PATH`, in `/usr/bin`.
    pub fn of_this_process() -> io::Result<Self> {
        let executable = std::env::current_exe()?;
        let beside = executable.parent().unwrap_or(Path::new("/"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut dirs = vec![beside.to_owned(), beside.join("../libexec/rbuild")];
        // An empty or relative entry of PATH means a directory that depends on where we stand.
        dirs.extend(std::env::split_paths(&path).filter(|dir| dir.is_absolute()));
        dirs.push("/usr/bin".into());
        Ok(Self { dirs })
    }

    /// `rbuild-idmap` with its file capabilities, or why there is none.
    pub(super) fn helper(&self) -> Result<PathBuf, String> {
        const NEXT: &str = "as root: setcap cap_setuid,cap_setgid=ep";
        self.program("rbuild-idmap", &[Cap::Setuid, Cap::Setgid], Setuid::Refused).map_err(|why| match why {
            Lack::Absent => format!(
                "rbuild-idmap is not installed beside rbuild, in ../libexec/rbuild or in PATH; install it, then {NEXT} FILE"
            ),
            Lack::Privilege(path, missing) => {
                format!("{path} has no file capabilities {missing}; {NEXT} {path}", path = path.display())
            }
            Lack::NoSuid(path) => {
                format!("{path} is on a file system mounted nosuid; install it on another", path = path.display())
            }
            Lack::Unknown(path, errno) => format!("look at {}: {errno}", path.display()),
        })
    }

    /// Shadow's two programs, or why they are not there.
    pub(super) fn shadow(&self) -> Result<Shadow, String> {
        let find = |name, cap| {
            self.program(name, &[cap], Setuid::Taken).map_err(|why| match why {
                Lack::Absent => {
                    format!("{name} is not in PATH; install uidmap (Debian, Ubuntu) or shadow-utils (Fedora)")
                }
                Lack::Privilege(path, missing) => format!(
                    "{path} is neither setuid root nor has the file capability {missing}; reinstall its package",
                    path = path.display()
                ),
                Lack::NoSuid(path) => {
                    format!("{path} is on a file system mounted nosuid; as root: remount it with suid", path = path.display())
                }
                Lack::Unknown(path, errno) => format!("look at {}: {errno}", path.display()),
            })
        };
        let newuidmap = find("newuidmap", Cap::Setuid)?;
        let newgidmap = find("newgidmap", Cap::Setgid)?;
        Ok(Shadow { newuidmap, newgidmap })
    }

    /// The first program of that name which would get `wanted`; else what the first one found lacks.
    fn program(&self, name: &str, wanted: &[Cap], setuid: Setuid) -> Result<PathBuf, Lack> {
        let mut lack = Lack::Absent;
        for path in self.dirs.iter().map(|dir| dir.join(name)) {
            let why = match Lack::of(&path, wanted, setuid) {
                Ok(None) => return Ok(path),
                Ok(Some(why)) => why,
                Err(errno) => Lack::Unknown(path, errno),
            };
            if matches!(lack, Lack::Absent) {
                lack = why;
            }
        }
        Err(lack)
    }
}

/// Whether a setuid root program will do as well.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Setuid {
    Taken,
    Refused,
}

/// Why a program would not get what it needs.
enum Lack {
    Absent,
    /// Lacks these capabilities.
    Privilege(PathBuf, String),
    NoSuid(PathBuf),
    /// The question itself was answered with an error.
    Unknown(PathBuf, Errno),
}

impl Lack {
    /// `None` if the program at `path` lacks nothing.
    fn of(path: &Path, wanted: &[Cap], setuid: Setuid) -> Result<Option<Self>, Errno> {
        let Some(metadata) = executable(path)? else { return Ok(Some(Self::Absent)) };
        if statvfs(path)?.f_flag.contains(StatVfsMountFlags::NOSUID) {
            return Ok(Some(Self::NoSuid(path.to_owned())));
        }
        let setuid_root = metadata.uid() == 0 && metadata.permissions().mode() & 0o4000 != 0;
        if setuid_root && setuid == Setuid::Taken {
            return Ok(None);
        }
        let missing = file_caps(path)?.missing(wanted);
        Ok(missing.map(|missing| Self::Privilege(path.to_owned(), missing)))
    }
}

/// The metadata of a file that we may execute, `None` if there is none at `path`.
fn executable(path: &Path) -> Result<Option<Metadata>, Errno> {
    match access(path, Access::EXEC_OK) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP) => return Ok(None),
        other => other?,
    }
    let metadata = path.metadata().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(metadata.is_file().then_some(metadata))
}

fn file_caps(path: &Path) -> Result<CapSet, Errno> {
    let mut attribute = Vec::with_capacity(64);
    match getxattr(path, "security.capability", rustix::buffer::spare_capacity(&mut attribute)) {
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(CapSet::default()),
        read => read.map(|_| CapSet::of_file(&attribute)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn install(dir: &Path, name: &str, mode: u32) {
        fs::write(dir.join(name), "").unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_program_without_privilege_is_told_from_an_absent_one() {
        let dir = tempfile::tempdir().unwrap();
        let search = Search::new([PathBuf::from("/nowhere"), dir.path().to_owned()]);
        let why = search.helper().unwrap_err();
        assert!(why.starts_with("rbuild-idmap is not installed"), "{why}");
        assert!(search.shadow().unwrap_err().starts_with("newuidmap is not in PATH"));

        install(dir.path(), "rbuild-idmap", 0o755);
        install(dir.path(), "newuidmap", 0o755);
        for why in [search.helper().unwrap_err(), search.shadow().unwrap_err()] {
            // Where the test's directory is mounted nosuid, that comes first.
            assert!(why.contains("CAP_SETUID") || why.contains("nosuid"), "{why}");
        }
        install(dir.path(), "rbuild-idmap", 0o644);
        assert!(search.helper().unwrap_err().contains("is not installed"));
    }
}
