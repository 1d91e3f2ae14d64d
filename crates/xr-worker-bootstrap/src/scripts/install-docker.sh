# Installs Docker's engine from the distribution's own packages and starts it. Names the packages that are new: `new=NAME`.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l
if [ "$(id -u)" = 0 ]; then as_root() { "$@"; }; else as_root() { sudo -n "$@"; }; fi
has() { command -v "$1" >/dev/null 2>&1; }
if has apt-get; then
  as_root apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 update >&2
  packages="docker.io iptables ca-certificates"
  apt-cache show docker-cli >/dev/null 2>&1 && packages="$packages docker-cli"
  [ -e /sys/module/apparmor/parameters/enabled ] && packages="$packages apparmor"
  as_root apt-get -s install --no-install-recommends $packages | awk '/^Inst / {print "new=" $2}'
  as_root apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Options::=--force-confold \
    install --no-install-recommends $packages >&2
elif has dnf; then
  as_root dnf -y install moby-engine >&2 || as_root dnf -y install docker >&2 || as_root dnf -y install docker-ce docker-ce-cli containerd.io >&2
elif has yum; then as_root yum -y install docker >&2
elif has zypper; then as_root zypper --non-interactive install docker >&2
elif has apk; then as_root apk add docker >&2
elif has pacman; then as_root pacman -S --noconfirm --needed docker >&2
else
  echo "no package manager that xr knows" >&2
  exit 3
fi
if [ -d /run/systemd/system ]; then as_root systemctl enable --now docker >&2
elif has rc-update; then as_root rc-update add docker default >&2; as_root service docker start >&2
elif has update-rc.d; then as_root update-rc.d docker enable >&2 || true; as_root service docker start >&2 || true
else as_root service docker start >&2 || true; fi
tries=0
until as_root docker version >/dev/null 2>&1; do
  tries=$((tries + 1))
  [ $tries -lt 60 ] || { echo "the engine does not start" >&2; as_root docker version >&2; exit 4; }
  sleep 1
done
