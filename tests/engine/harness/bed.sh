# Holds one bed: its namespaces while stdin stays open, nothing afterwards.
#
# usage: sh bed.sh supervise DIR    (stdin: the lifeline; stdout: one line when ready)
#        sh bed.sh init DIR         (by the supervisor, as PID 1 of the namespaces)
#
# When the test ends, however it ends, the lifeline closes, PID 1 exits, and the kernel kills every
# process in its PID namespace; the mounts and links go with the namespaces. The supervisor then
# removes what outlives them: loop devices, control groups, the directory.
set -eu
verb=$1 dir=$2

supervise() {
    unshare --mount --net --pid --fork --kill-child sh "$0" init "$dir" || true
    for backing in /sys/block/loop*/loop/backing_file; do
        case $(cat "$backing" 2>/dev/null) in
            */"$(basename "$dir")"/*) losetup --detach "/dev/$(basename "${backing%/loop/backing_file}")" || true ;;
        esac
    done
    find /sys/fs/cgroup -depth -type d -path "*/$(basename "$dir")*" -exec rmdir {} + 2>/dev/null || true
    rm -rf --one-file-system "$dir"
}

# The engine's fixed paths become the bed's own; /srv/data is where the shipped scripts keep theirs.
private_paths() {
    mount -t proc proc /proc
    mkdir -p /run/docker /run/containerd /etc/docker/plugins /srv "$dir/srv/data"
    mount -t tmpfs tmpfs /run/docker
    mount -t tmpfs tmpfs /run/containerd
    mount -t tmpfs tmpfs /etc/docker/plugins
    mkdir /run/docker/plugins
    mount --bind "$dir/srv" /srv
}

# A second network namespace, one hop away, is the world outside: it knows no route back to a
# container's address, so only masqueraded packets get an answer.
world_outside() {
    inside=$(readlink /proc/self/ns/net)
    unshare --net sleep infinity </dev/null >/dev/null 2>&1 &
    outside=$!
    until ns=$(readlink "/proc/$outside/ns/net") && [ "$ns" != "$inside" ]; do sleep 0.01; done
    ip link set lo up
    ip link add uplink type veth peer name world netns "$outside"
    ip addr add 198.51.100.1/24 dev uplink
    ip addr add fd00:198::1/64 dev uplink nodad
    ip link set uplink up
    nsenter -t "$outside" -n sh -c '
        ip link set lo up
        ip addr add 198.51.100.2/24 dev world
        ip addr add fd00:198::2/64 dev world nodad
        ip link set world up'
    ip route add default via 198.51.100.2
    ip -6 route add default via fd00:198::2
}

init() {
    read -r self _ </proc/self/stat # before /proc is replaced: this PID as the machine knows it
    private_paths
    world_outside
    echo "ready $self $outside"
    cat >/dev/null
}

"$verb"
