# The first process of a lab, in namespaces of its own: network, mounts, processes, IPC. Its arguments:
# the lab's folder, the folder of its engine. Descriptor 9 is the network namespace of the machine.
set -eu
lab=$1 engine=$2

ip link set lo up
# Whoever copies these mounts for a namespace of their own hears of what is unmounted here.
mount --make-rshared /

# What this machine runs keeps its files there.
mount -t tmpfs -o mode=755 xr-lab /run
mkdir -p /run/lock /run/sshd

# What an engine keeps here is thrown away. Memory takes it with a sixth less work than a disk does.
memory=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)
if [ "$memory" -gt 12000000 ]; then
    mkdir -p "$lab/docker"
    mount -t tmpfs -o mode=711 xr-lab "$lab/docker"
fi

# The way out, for packages: a network stack in a program, which changes nothing of the machine's.
rm -f "$lab/run/slirp.sock"
nsenter --net=/proc/self/fd/9 slirp4netns --configure --mtu=65520 --disable-host-loopback \
    --api-socket="$lab/run/slirp.sock" 1 tap0 >"$lab/log/slirp.log" 2>&1 &
exec 9<&-
echo 'nameserver 10.0.2.3' >"$lab/run/resolv.conf"
resolv=$(readlink -m /etc/resolv.conf)
mkdir -p "$(dirname "$resolv")"
[ -e "$resolv" ] || : >"$resolv"
mount --bind "$lab/run/resolv.conf" "$resolv"

# The docker client takes its plugins from the engine's packages, not from the machine's.
plugins=usr/libexec/docker/cli-plugins
[ -d /$plugins ] || mount -t overlay -o "lowerdir=$engine/usr/libexec:/usr/libexec" xr-lab /usr/libexec
for folder in /usr/local/lib/docker/cli-plugins /usr/local/libexec/docker/cli-plugins /usr/lib/docker/cli-plugins /$plugins; do
    [ ! -d "$folder" ] || mount --bind "$engine/$plugins" "$folder"
done

until ip -brief address show tap0 2>/dev/null | grep -q 10.0.2.100; do
    kill -0 $! 2>/dev/null || { cat "$lab/log/slirp.log" >&2; exit 1; }
    sleep 0.05
done
: >"$lab/run/sandbox.ready"
exec "$engine/usr/bin/tini-static" -- sleep infinity
