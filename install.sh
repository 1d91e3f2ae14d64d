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

cargo build --release --locked --package xr
target=${CARGO_TARGET_DIR:-target}

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
    cargo xtask demo --xr "$prefix/bin/xr"
fi
