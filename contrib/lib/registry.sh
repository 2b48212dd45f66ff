# Sourced after host.sh: a registry on loopback and a real Debian base image in it.

# start_registry DIR: Debian's docker-registry on a free port; sets REGISTRY to host:port.
start_registry() {
    port=5000
    while ss -ltn | grep -q ":$port "; do
        port=$((port + 1))
    done
    REGISTRY=127.0.0.1:$port
    as_root mkdir -p "$1/registry"
    as_root tee "$1/registry.yml" >/dev/null <<YAML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $1/registry}, delete: {enabled: true}}
http: {addr: $REGISTRY}
YAML
    REGISTRY_PID=$1/registry.pid
    # shellcheck disable=SC2016  # the inner shell expands them
    as_root sh -c 'echo $$ >"$1"; exec docker-registry serve "$2" >"$3" 2>&1' - \
        "$REGISTRY_PID" "$1/registry.yml" "$1/registry.log" &
    tries=0
    until ss -ltn | grep -q "$REGISTRY "; do
        tries=$((tries + 1))
        [ "$tries" -lt 40 ] || die "the registry did not start" "see $1/registry.log"
        sleep 0.25
    done
}

stop_registry() {
    [ -s "${REGISTRY_PID:-}" ] || return 0
    as_root kill "$(cat "$REGISTRY_PID")"
    # Waited for, so that the shell does not report its end after the last word of the tests.
    { wait || true; } 2>/dev/null
}

# provide_debian DIR: debian:bookworm in the registry. The root file system is made once and kept in target/.
provide_debian() {
    base=target/check/debian-bookworm.tar
    if [ ! -f "$base" ]; then
        say "making the Debian base image"
        mkdir -p target/check
        as_root mmdebstrap --quiet --variant=minbase --mode=root bookworm target/check/part.tar
        as_root mv target/check/part.tar "$base"
    fi
    storage=$1/buildah
    peer from --quiet --name debian scratch >/dev/null
    peer add --quiet debian "$base" / >/dev/null
    peer config --cmd bash debian
    peer commit --quiet --tls-verify=false debian "docker://$REGISTRY/debian:bookworm" >/dev/null
    as_root rm -rf "$storage" "$storage-run"
}

# peer VERB...: buildah with a storage of its own
peer() {
    as_root buildah --root "$storage" --runroot "$storage-run" --storage-driver vfs "$@"
}
