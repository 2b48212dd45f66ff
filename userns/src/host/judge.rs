//! From errno and facts to the cause: one rule a line, the first that fits.

use libc::{
    EACCES, EBUSY, EINVAL, ENODEV, ENOENT, ENOSPC, ENOSYS, ENOTTY, EOPNOTSUPP, EPERM, EROFS, EUSERS, EXDEV,
};

use super::{Cause, Container, Host, Request};

/// Why `request` ended in `errno` on `host`, and what mends it.
pub fn judge(request: Request, errno: i32, host: &Host) -> Cause {
    let known = match request {
        Request::UserNamespace => user_namespace(errno, host),
        Request::MountInside => mount_inside(errno, host),
        Request::Proc => proc(errno, host),
        Request::NetworkNamespace => network_namespace(errno, host),
        Request::SeccompNotify => seccomp_notify(errno, host),
        Request::Fuse => fuse(errno, host),
        Request::Cgroup => cgroup(errno, host),
        Request::Reflink => reflink(errno),
    };
    known.unwrap_or_else(|| {
        let error = std::io::Error::from_raw_os_error(errno);
        cause(
            format!("the kernel refuses it, for a reason that cannot be told from here: {error}"),
            "ask whoever runs this machine which security module or filter is on",
        )
    })
}

fn cause(why: impl Into<String>, remedy: impl Into<String>) -> Cause {
    Cause { why: why.into(), remedy: remedy.into() }
}

fn user_namespace(errno: i32, host: &Host) -> Option<Cause> {
    match errno {
        EUSERS => Some(cause(
            "user namespaces are nested too deep: the kernel allows 32",
            "start rbuild in one of the outer ones",
        )),
        // since Linux 4.9 also for the depth
        ENOSPC if host.max_user_namespaces == Some(0) => Some(cause(
            "user.max_user_namespaces is 0: user namespaces are switched off (hardened RHEL)",
            "as root: sysctl -w user.max_user_namespaces=15000, and the same line in /etc/sysctl.d/",
        )),
        ENOSPC => Some(cause(
            "there are as many user namespaces as user.max_user_namespaces allows, here or further out",
            "as root: sysctl -w user.max_user_namespaces=15000, outside of this container if this is one",
        )),
        EPERM | EACCES if host.unprivileged_userns_clone == Some(0) => Some(cause(
            "kernel.unprivileged_userns_clone is 0: user namespaces are root's alone (old Debian)",
            "as root: sysctl -w kernel.unprivileged_userns_clone=1, and the same line in /etc/sysctl.d/",
        )),
        EPERM | EACCES if restricted_by_apparmor(host) => Some(apparmor()),
        EPERM | ENOSYS if host.seccomp == Some(2) => Some(filtered(host)),
        EPERM if host.chroot => Some(cause(
            "this process is in a chroot, where the kernel makes no user namespace",
            "start rbuild outside of the chroot, or enter it with pivot_root (unshare --mount, nsenter)",
        )),
        ENOSYS | EINVAL => Some(cause(
            "this kernel is built without user namespaces",
            "use a kernel with CONFIG_USER_NS, or run rbuild as root",
        )),
        _ => None,
    }
}

fn restricted_by_apparmor(host: &Host) -> bool {
    host.apparmor_restrict_userns.is_some_and(|value| value != 0)
}

fn apparmor() -> Cause {
    cause(
        "kernel.apparmor_restrict_unprivileged_userns is 1: AppArmor takes every capability out of a user namespace (Ubuntu)",
        "as root: give rbuild a profile that allows it (contrib/install lays down /etc/apparmor.d/rbuild), \
         or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    )
}

/// A filter of a container engine: which switch lets it go.
fn filtered(host: &Host) -> Cause {
    let remedy = match host.container {
        Some(Container::Docker) => {
            "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
        }
        Some(Container::Podman) => "podman run --security-opt seccomp=unconfined",
        Some(Container::Kubernetes) => {
            "securityContext.seccompProfile: {type: Unconfined}, or {type: Localhost} with a profile that allows unshare and mount"
        }
        None => "start rbuild without the filter (systemd: RestrictNamespaces=, SystemCallFilter=)",
    };
    cause(
        "a seccomp filter around this process denies new namespaces, as container engines do by default",
        remedy,
    )
}

fn mount_inside(errno: i32, host: &Host) -> Option<Cause> {
    match errno {
        EPERM | EACCES if restricted_by_apparmor(host) => Some(apparmor()),
        EPERM | EACCES if host.container == Some(Container::Docker) => Some(cause(
            "a user namespace can be made, but nothing mounted in it: AppArmor or the filter of the container denies it",
            "docker run --security-opt apparmor=unconfined --security-opt seccomp=unconfined",
        )),
        EPERM | ENOSYS if host.seccomp == Some(2) => Some(filtered(host)),
        _ => None,
    }
}

fn proc(errno: i32, host: &Host) -> Option<Cause> {
    let remedy = match host.container {
        Some(Container::Kubernetes) => "securityContext.procMount: Unmasked, with hostUsers: false",
        Some(Container::Docker) => "docker run --security-opt systempaths=unconfined",
        _ => "podman run --security-opt unmask=ALL",
    };
    (errno == EPERM && host.proc_is_masked).then(|| {
        cause(
            "parts of /proc are hidden here, and the kernel then mounts no new one in a user namespace",
            remedy,
        )
    })
}

fn network_namespace(errno: i32, host: &Host) -> Option<Cause> {
    match errno {
        ENOSPC => Some(cause(
            "there are as many network namespaces as user.max_net_namespaces allows",
            "as root: sysctl -w user.max_net_namespaces=15000",
        )),
        EPERM | ENOSYS if host.seccomp == Some(2) => Some(filtered(host)),
        EINVAL => {
            Some(cause("this kernel is built without network namespaces", "use a kernel with CONFIG_NET_NS"))
        }
        _ => None,
    }
}

fn seccomp_notify(errno: i32, host: &Host) -> Option<Cause> {
    match errno {
        EBUSY => Some(cause(
            "a filter around this process has a supervisor already, and the kernel allows one",
            "start rbuild outside of the program that supervises it",
        )),
        EINVAL | ENOSYS if host.seccomp == Some(2) => Some(filtered_seccomp()),
        EINVAL | ENOSYS => Some(cause("seccomp notifications need Linux 5.0", "use a newer kernel")),
        EPERM => Some(filtered_seccomp()),
        _ => None,
    }
}

fn filtered_seccomp() -> Cause {
    cause(
        "a filter around this process denies seccomp itself",
        "use the engine's default profile, which allows it",
    )
}

fn fuse(errno: i32, host: &Host) -> Option<Cause> {
    let in_container = match host.container {
        Some(Container::Docker) => Some("docker run --device /dev/fuse"),
        Some(Container::Podman) => Some("podman run --device /dev/fuse"),
        Some(Container::Kubernetes) => {
            Some("the annotation io.kubernetes.cri-o.Devices: /dev/fuse, or a device plugin for /dev/fuse")
        }
        None => None,
    };
    match errno {
        ENOENT => Some(cause("there is no /dev/fuse", in_container.unwrap_or("as root: modprobe fuse"))),
        ENODEV => {
            Some(cause("/dev/fuse is there, and the kernel has no fuse behind it", "as root: modprobe fuse"))
        }
        EACCES => Some(cause("/dev/fuse is not this user's to open", "as root: chmod 666 /dev/fuse")),
        EPERM => Some(cause(
            "the container's device list does not have /dev/fuse",
            in_container.unwrap_or(
                "allow the device 10:229 in the control group (systemd: DeviceAllow=/dev/fuse rw)",
            ),
        )),
        _ => None,
    }
}

fn cgroup(errno: i32, host: &Host) -> Option<Cause> {
    let inside = host.container.is_some();
    match errno {
        ENOENT if host.limits_in_cgroup_v1 => Some(cause(
            "the control groups are those of cgroup v1",
            "boot with systemd.unified_cgroup_hierarchy=1",
        )),
        ENOENT => Some(cause(
            "cgroup v2 is not mounted",
            if inside {
                "have the container engine mount it at /sys/fs/cgroup"
            } else {
                "as root: mount -t cgroup2 cgroup2 /sys/fs/cgroup"
            },
        )),
        EOPNOTSUPP | EACCES | EPERM | EROFS if host.limits_in_cgroup_v1 => Some(cause(
            "cgroup v2 stands beside cgroup v1, which has the controllers of processors or memory",
            "boot with systemd.unified_cgroup_hierarchy=1",
        )),
        EROFS | EACCES | EPERM if inside => Some(cause(
            "the container's control group cannot be written to",
            "delegate one to it; podman does with --cgroupns=private and --security-opt unmask=/sys/fs/cgroup",
        )),
        EACCES | EPERM | EROFS => Some(cause(
            "the control group of this session is not delegated to this user",
            "start rbuild by: systemd-run --user --scope -p Delegate=yes rbuild …",
        )),
        EOPNOTSUPP => Some(cause(
            "no cpu and memory controller is delegated to this control group",
            "as root: Delegate=cpu cpuset io memory pids in /etc/systemd/system/user@.service.d/delegate.conf",
        )),
        _ => None,
    }
}

fn reflink(errno: i32) -> Option<Cause> {
    [EOPNOTSUPP, ENOTTY, EINVAL, EXDEV, ENOSYS].contains(&errno).then(|| {
        cause(
            "the store's file system cannot share blocks between files",
            "put the store on xfs or btrfs: --root DIR",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debian() -> Host {
        Host { max_user_namespaces: Some(63_000), seccomp: Some(0), no_new_privs: Some(0), ..Host::default() }
    }

    fn v1() -> Host {
        Host { limits_in_cgroup_v1: true, ..debian() }
    }

    fn ubuntu() -> Host {
        Host { apparmor_restrict_userns: Some(1), unprivileged_userns_clone: Some(1), ..debian() }
    }

    fn container(container: Container) -> Host {
        Host { seccomp: Some(2), container: Some(container), proc_is_masked: true, ..debian() }
    }

    fn pod() -> Host {
        Host { no_new_privs: Some(1), ..container(Container::Kubernetes) }
    }

    type Row = (&'static str, Request, i32, Host, &'static str, &'static str);

    fn hold(rows: Vec<Row>) {
        for (row, request, errno, host, why, remedy) in rows {
            let found = judge(request, errno, &host);
            assert!(found.why.contains(why), "{row}: {found:?}");
            assert!(found.remedy.contains(remedy), "{row}: {found:?}");
        }
    }

    #[test]
    fn user_namespaces_are_missing_for_a_reason() {
        use Container::{Docker, Podman};
        use Request::{MountInside, UserNamespace};
        hold(vec![
            (
                "RHEL, hardened",
                UserNamespace,
                ENOSPC,
                Host { max_user_namespaces: Some(0), ..debian() },
                "user.max_user_namespaces is 0",
                "sysctl -w user.max_user_namespaces=15000",
            ),
            ("a container in such a host", UserNamespace, ENOSPC, debian(), "here or further out", "outside"),
            (
                "Debian 10",
                UserNamespace,
                EPERM,
                Host { unprivileged_userns_clone: Some(0), ..debian() },
                "kernel.unprivileged_userns_clone is 0",
                "sysctl -w kernel.unprivileged_userns_clone=1",
            ),
            (
                "Ubuntu 24.04, made but worth nothing",
                MountInside,
                EPERM,
                ubuntu(),
                "AppArmor",
                "/etc/apparmor.d/rbuild",
            ),
            ("Ubuntu 24.04, denied", MountInside, EACCES, ubuntu(), "AppArmor", "unprivileged_userns=0"),
            ("Ubuntu 23.10, not made", UserNamespace, EACCES, ubuntu(), "AppArmor", "/etc/apparmor.d/rbuild"),
            (
                "Ubuntu, switched off",
                MountInside,
                EPERM,
                Host { apparmor_restrict_userns: Some(0), ..ubuntu() },
                "cannot be told",
                "security module",
            ),
            (
                "Docker",
                UserNamespace,
                EPERM,
                container(Docker),
                "seccomp filter",
                "docker run --security-opt seccomp",
            ),
            (
                "Docker, seccomp alone lifted",
                MountInside,
                EACCES,
                container(Docker),
                "AppArmor",
                "apparmor=unconfined",
            ),
            (
                "podman with CRI-O's profile",
                UserNamespace,
                ENOSYS,
                container(Podman),
                "seccomp filter",
                "podman run",
            ),
            ("OpenShift restricted", UserNamespace, EPERM, pod(), "seccomp filter", "seccompProfile"),
            (
                "a unit of systemd",
                UserNamespace,
                EPERM,
                Host { seccomp: Some(2), ..debian() },
                "seccomp filter",
                "RestrictNamespaces=",
            ),
            (
                "a chroot",
                UserNamespace,
                EPERM,
                Host { chroot: true, ..debian() },
                "chroot",
                "outside of the chroot",
            ),
            ("a kernel without", UserNamespace, EINVAL, debian(), "built without", "CONFIG_USER_NS"),
            ("33 levels", UserNamespace, EUSERS, debian(), "too deep", "outer"),
            ("SELinux, say", UserNamespace, EPERM, debian(), "cannot be told", "security module"),
        ]);
    }

    #[test]
    fn other_things_are_missing_for_a_reason() {
        use Container::{Docker, Podman};
        use Request::{Cgroup, Fuse, NetworkNamespace, Proc, Reflink, SeccompNotify};
        hold(vec![
            ("a pod's /proc", Proc, EPERM, pod(), "/proc are hidden", "procMount: Unmasked"),
            ("Docker's /proc", Proc, EPERM, container(Docker), "/proc are hidden", "systempaths=unconfined"),
            ("podman's /proc", Proc, EPERM, container(Podman), "/proc are hidden", "unmask=ALL"),
            ("an unmasked /proc", Proc, EPERM, debian(), "cannot be told", "security module"),
            (
                "network namespaces used up",
                NetworkNamespace,
                ENOSPC,
                debian(),
                "max_net_namespaces",
                "sysctl -w",
            ),
            (
                "a filter that lets user alone",
                NetworkNamespace,
                EPERM,
                container(Docker),
                "filter",
                "docker run",
            ),
            ("no module", Fuse, ENOENT, debian(), "no /dev/fuse", "modprobe fuse"),
            (
                "Docker without the device",
                Fuse,
                ENOENT,
                container(Docker),
                "no /dev/fuse",
                "--device /dev/fuse",
            ),
            ("a pod without the device", Fuse, EPERM, pod(), "device list", "cri-o.Devices"),
            ("a closed device", Fuse, EACCES, debian(), "not this user's", "chmod 666"),
            ("a session", Cgroup, EACCES, debian(), "not delegated", "systemd-run --user --scope"),
            ("a pod", Cgroup, EROFS, pod(), "cannot be written", "delegate"),
            ("cgroup v1 alone", Cgroup, ENOENT, v1(), "those of cgroup v1", "unified_cgroup_hierarchy"),
            ("both", Cgroup, EOPNOTSUPP, v1(), "beside cgroup v1", "unified_cgroup_hierarchy"),
            ("both, and a session", Cgroup, EACCES, v1(), "beside cgroup v1", "unified_cgroup_hierarchy"),
            ("neither", Cgroup, ENOENT, debian(), "not mounted", "mount -t cgroup2"),
            ("neither, in a container", Cgroup, ENOENT, container(Podman), "not mounted", "engine"),
            ("old systemd", Cgroup, EOPNOTSUPP, debian(), "no cpu and memory controller", "Delegate="),
            ("ext4", Reflink, EOPNOTSUPP, debian(), "share blocks", "xfs or btrfs"),
            ("a supervised shell", SeccompNotify, EBUSY, debian(), "supervisor already", "outside"),
            ("Linux 4.19", SeccompNotify, EINVAL, debian(), "Linux 5.0", "newer kernel"),
        ]);
    }
}
