# Takes the packages away again that `install-docker.sh` has brought.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
if [ "$(id -u)" = 0 ]; then as_root() { "$@"; }; else as_root() { sudo -n "$@"; }; fi
as_root service docker stop >&2 || true
as_root apt-get -q -y purge $PACKAGES >&2
