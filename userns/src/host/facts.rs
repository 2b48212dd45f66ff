//! The facts that tell one refusal from another.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// What runs us in a container, if we are in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// Docker, by its `/.dockerenv`.
    Docker,
    /// Podman, by its `/run/.containerenv`.
    Podman,
    /// A pod of Kubernetes or OpenShift, by its service account.
    Kubernetes,
}

/// What is true of this process and this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// `user.max_user_namespaces`, where the kernel has it.
    pub max_user_namespaces: Option<u64>,
    /// `kernel.unprivileged_userns_clone`: Debian's own switch.
    pub unprivileged_userns_clone: Option<u64>,
    /// `kernel.apparmor_restrict_unprivileged_userns`: Ubuntu's, since 23.10.
    pub apparmor_restrict_userns: Option<u64>,
    /// `Seccomp:` of `/proc/self/status`: 2 is a filter.
    pub seccomp: Option<u64>,
    /// `NoNewPrivs:` of it.
    pub no_new_privs: Option<u64>,
    /// Whether parts of `/proc` are covered by other mounts.
    pub proc_is_masked: bool,
    /// Whether cgroup v1 has the controllers of processors or memory, which v2 then lacks.
    pub limits_in_cgroup_v1: bool,
    /// Whether `/` is no mount point of ours: we are in a chroot.
    pub chroot: bool,
    /// Where we run.
    pub container: Option<Container>,
}

impl Host {
    /// Reads them. What a kernel does not have is `None`; what cannot be read counts as absent, because every one of
    /// them only makes an answer more precise.
    pub fn read() -> Self {
        let status = text("/proc/self/status");
        let mounts = text("/proc/self/mountinfo");
        Self {
            max_user_namespaces: number(&text("/proc/sys/user/max_user_namespaces")),
            unprivileged_userns_clone: number(&text("/proc/sys/kernel/unprivileged_userns_clone")),
            apparmor_restrict_userns: number(&text("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")),
            seccomp: field(&status, "Seccomp:"),
            no_new_privs: field(&status, "NoNewPrivs:"),
            proc_is_masked: targets(&mounts).any(|target| target.starts_with("/proc/")),
            limits_in_cgroup_v1: limits_in_cgroup_v1(&mounts),
            chroot: !targets(&mounts).any(|target| target == "/"),
            container: container(Path::new("/")),
        }
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name)).and_then(number)
}

/// Where the mounts are: the fifth field of a line; `proc_pid_mountinfo(5)`.
fn targets(mountinfo: &str) -> impl Iterator<Item = &str> {
    mountinfo.lines().filter_map(|line| line.split(' ').nth(4))
}

/// The last word of a mount's line holds the options of its file system, among them the controllers of a hierarchy.
fn limits_in_cgroup_v1(mountinfo: &str) -> bool {
    let hierarchies = mountinfo.lines().filter(|line| line.contains(" - cgroup "));
    hierarchies
        .filter_map(|line| line.rsplit(' ').next())
        .any(|options| options.split(',').any(|option| ["cpu", "memory"].contains(&option)))
}

fn container(root: &Path) -> Option<Container> {
    let there = |path: &str| !matches!(fs::symlink_metadata(root.join(path)), Err(why) if why.kind() == ErrorKind::NotFound);
    let signs = [
        ("var/run/secrets/kubernetes.io", Container::Kubernetes),
        (".dockerenv", Container::Docker),
        ("run/.containerenv", Container::Podman),
    ];
    signs.into_iter().find(|(sign, _)| there(sign)).map(|(_, container)| container)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_mounts_are_read_as_the_kernel_writes_them() {
        let status = "Name:\tx\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        for (name, want) in [("NoNewPrivs:", Some(1)), ("Seccomp:", Some(2)), ("Absent:", None)] {
            assert_eq!(field(status, name), want, "{name}");
        }
        let docker = "644 565 0:60 / / rw,relatime - overlay overlay rw\n\
                      645 644 0:63 / /proc rw,nosuid - proc proc rw\n\
                      584 645 0:64 / /proc/acpi ro,relatime - tmpfs tmpfs ro\n";
        assert_eq!(targets(docker).collect::<Vec<_>>(), ["/", "/proc", "/proc/acpi"]);
    }

    #[test]
    fn only_controllers_of_limits_count_as_cgroup_v1() {
        for (row, mounts, want) in [
            ("v2", "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n", false),
            ("processors", "36 32 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n", true),
            ("memory", "37 32 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", true),
            (
                "systemd's own",
                "38 32 0:31 / /sys/fs/cgroup/systemd rw - cgroup none rw,name=systemd\n",
                false,
            ),
            ("net_cls alone", "39 32 0:32 / /sys/fs/cgroup/net_cls rw - cgroup cgroup rw,net_cls\n", false),
        ] {
            assert_eq!(limits_in_cgroup_v1(mounts), want, "{row}: {mounts}");
        }
    }

    #[test]
    fn a_container_is_known_by_what_its_engine_leaves() {
        for (sign, want) in [
            (".dockerenv", Some(Container::Docker)),
            ("run/.containerenv", Some(Container::Podman)),
            ("var/run/secrets/kubernetes.io", Some(Container::Kubernetes)),
            ("etc/passwd", None),
        ] {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join(sign)).unwrap();
            assert_eq!(container(root.path()), want, "{sign}");
        }
    }
}
