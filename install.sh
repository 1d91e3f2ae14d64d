#!/bin/sh
# Builds xr from this folder and installs it with its completions and man pages.
#
#   ./install.sh [--demo] [--prefix DIR]
#
# --demo     then runs the main job on the example product, on real containers (as root, on Debian)
# --prefix   where to; /usr/local for root, else ~/.local
set -eu
cd "$(dirname "$0")"

demo=no
prefix=
while [ $# -gt 0 ]; do
    case $1 in
        --demo) demo=yes ;;
        --prefix) prefix=${2:?--prefix needs a folder}; shift ;;
        --prefix=*) prefix=${1#--prefix=} ;;
        -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) echo "install.sh: unknown option $1 (see --help)" >&2; exit 2 ;;
    esac
    shift
done
if [ -z "$prefix" ]; then
    if [ "$(id -u)" = 0 ]; then prefix=/usr/local; else prefix=$HOME/.local; fi
fi

if [ "$demo" = yes ] && [ "$(id -u)" != 0 ]; then
    echo "install.sh: --demo starts a Docker engine of its own, which only root may" >&2
    echo "hint: as root: ./install.sh --demo; without the demo: ./install.sh" >&2
    exit 1
fi
if ! command -v cargo >/dev/null 2>&1; then
    echo "install.sh: cargo is not installed" >&2
    echo "hint: https://rustup.rs" >&2
    exit 1
fi
if ! command -v cc >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends gcc libc6-dev
    else
        echo "install.sh: there is no C compiler (cc)" >&2
        echo "hint: sudo apt-get install gcc libc6-dev" >&2
        exit 1
    fi
fi

target=${CARGO_TARGET_DIR:-target}

# Both packages are named in each call, also where one program is built: so what they share is compiled once.
build() {
    cargo build --release --locked --package xr --package xr-demo "$@"
}

# The lab's images are made while xr is being compiled. The process that makes them has a group of its own, so that all of it
# can be ended from here, and what it says goes to a file, not between cargo's lines.
preparing=
log=$target/xr-demo.log
prepare() {
    # sh has what runs in its background ignore Ctrl-C; that must not get into the lab's daemons and containers
    setsid env --default-signal=INT,QUIT "$target/release/xr-demo" prepare >"$log" 2>&1 &
    preparing=$!
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap stop EXIT
}
stop() {
    [ -n "$preparing" ] || return 0
    kill -TERM "-$preparing" 2>/dev/null || kill -TERM "$preparing" 2>/dev/null || return 0
    echo "install.sh: the demo's preparation was stopped; what runs of its lab ends with: $target/release/xr-demo down" >&2
}
prepared() {
    echo "the demo's images, made meanwhile:"
    tail -n +1 -f --pid="$preparing" "$log"
    code=0
    wait "$preparing" || code=$?
    preparing=
    if [ "$code" != 0 ]; then
        echo "install.sh: the demo cannot be shown: its preparation failed; what it said is above and in $log" >&2
        exit 1
    fi
}

if [ "$demo" = yes ]; then
    echo "building xr and, meanwhile, the demo's images; then the demo: about 6 minutes on 2 cores the first time"
    build --bin xr-demo
    prepare
else
    echo "building xr: about 4 minutes on 2 cores the first time"
fi
build --bin xr

install -d "$prefix/bin" "$prefix/share/man/man1" "$prefix/share/bash-completion/completions" \
    "$prefix/share/zsh/site-functions" "$prefix/share/fish/vendor_completions.d"
# Beside first, then renamed: an xr that runs now is not disturbed.
install -m 755 "$target/release/xr" "$prefix/bin/.xr.new"
mv -f "$prefix/bin/.xr.new" "$prefix/bin/xr"
install -m 644 docs/man/*.1 "$prefix/share/man/man1/"
install -m 644 completions/xr.bash "$prefix/share/bash-completion/completions/xr"
install -m 644 completions/_xr "$prefix/share/zsh/site-functions/_xr"
install -m 644 completions/xr.fish "$prefix/share/fish/vendor_completions.d/xr.fish"
echo "installed $("$prefix/bin/xr" --version) in $prefix/bin"

if [ "$demo" = yes ]; then
    prepared
    "$target/release/xr-demo" show "$prefix/bin/xr"
fi
