# Sourced by the scripts beside it: prepares a machine, as root or with sudo.

# say TEXT: news on stderr; stdout stays with the tools.
say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf 'Error: %s\n' "$1" >&2; [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2; exit 1; }

# as_root COMMAND...: runs it as root, by sudo where we are somebody else.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; return; fi
    command -v sudo >/dev/null || die "$1 needs root, and there is no sudo" "run this as root"
    sudo "$@"
}

# install_packages APT-NAMES DNF-NAMES: installs what is missing, by whichever tool the machine has.
install_packages() {
    if command -v apt-get >/dev/null; then
        missing=''
        for package in $1; do
            dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing="$missing $package"
        done
        [ -n "$missing" ] || return 0
        say "installing$missing"
        as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
        # shellcheck disable=SC2086  # a list of names
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    elif command -v dnf >/dev/null; then
        say "installing $2"
        # shellcheck disable=SC2086
        as_root dnf install -y -q $2
    else
        die "neither apt-get nor dnf is here" "install yourself: $1"
    fi
}

# open_fuse: makes /dev/fuse what udev makes it on any distribution.
open_fuse() {
    [ -c /dev/fuse ] || as_root modprobe fuse || die "/dev/fuse is missing" "load the kernel module fuse"
    [ -r /dev/fuse ] && [ -w /dev/fuse ] && [ "$(stat -c %a /dev/fuse)" = 666 ] || as_root chmod 0666 /dev/fuse
}

# open_tun: the same for /dev/net/tun, of which private networks are made.
open_tun() {
    [ -c /dev/net/tun ] || as_root modprobe tun || die "/dev/net/tun is missing" "load the kernel module tun"
    [ "$(stat -c %a /dev/net/tun)" = 666 ] || as_root chmod 0666 /dev/net/tun
}

# give_range USER: a range of subordinate ids for the user, if there is none.
give_range() {
    for file in /etc/subuid /etc/subgid; do
        grep -q "^$1:" "$file" 2>/dev/null && continue
        last=$(awk -F: '{ end = $2 + $3; if (end > max) max = end } END { print (max < 100000) ? 100000 : max }' "$file" 2>/dev/null || echo 100000)
        echo "$1:$last:65536" | as_root tee -a "$file" >/dev/null
    done
}

# abort_fuse: ends the connections of rbuild's file systems, so that nothing waits for an answer of theirs any more.
abort_fuse() {
    # A connection is named after the minor number of its mounts, which stand in their users' mount namespaces.
    for minor in $(as_root grep -hs ' - fuse.rbuild ' /proc/[0-9]*/mountinfo | awk '{ sub(/.*:/, "", $3); print $3 }' | sort -u); do
        echo 1 | as_root tee "/sys/fs/fuse/connections/$minor/abort" >/dev/null || true
    done
}

# Whether the kernel offers FUSE over io_uring. It does not unless root says so.
RINGS=/sys/module/fuse/parameters/enable_uring

# rings_offered: Y or N; nothing where the kernel does not know it.
rings_offered() { cat "$RINGS" 2>/dev/null || true; }

# offer_rings Y|N: for the file systems mounted from now on.
offer_rings() { [ ! -e "$RINGS" ] || echo "$1" | as_root tee "$RINGS" >/dev/null; }

# delegate_group USER: makes a control group of cgroup v2 that is the user's to divide, with the controllers of limits, and
# prints its path; the tests belong into tests/ beneath it. Prints nothing where there is none to give: cgroup v1 has the
# controllers, or this machine is a container.
delegate_group() {
    mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
    [ -n "$mount" ] || return 0
    for controller in cpu cpuset memory; do
        grep -qw "$controller" "$mount/cgroup.controllers" || return 0
        grep -qw "$controller" "$mount/cgroup.subtree_control" && continue
        echo "+$controller" | as_root tee "$mount/cgroup.subtree_control" >/dev/null 2>&1 || return 0
    done
    as_root mkdir -p "$mount/rbuild-check/tests"
    echo "+cpu +cpuset +memory" | as_root tee "$mount/rbuild-check/cgroup.subtree_control" >/dev/null
    as_root chown -R "$1:" "$mount/rbuild-check"
    echo "$mount/rbuild-check"
}

# remove_group PATH: what delegate_group made, with all groups in it.
remove_group() {
    [ -z "$1" ] || as_root find "$1" -depth -type d -exec rmdir {} +
}
