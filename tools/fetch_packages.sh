#!/bin/sh
# Unpacks Debian packages, and those they need and this machine lacks, below a directory. Needs no root: nothing is
# installed and no script of a package runs.
#
# usage: fetch_packages.sh [--alone] DIRECTORY PACKAGE...
#
# --alone: these packages and not what they need.
set -eu
alone=no
if [ "$1" = --alone ]; then
    alone=yes
    shift
fi
directory=$1
shift
mkdir -p "$directory/archives" "$directory/apt/lists/partial" "$directory/apt/cache/archives/partial"
directory=$(cd "$directory" && pwd)

# apt with the machine's sources, but lists and cache of our own: the machine's may be missing, and are root's.
apt() {
    apt-get -o Dir::State::Lists="$directory/apt/lists" -o Dir::Cache="$directory/apt/cache" \
        -o Debug::NoLocking=1 -o APT::Sandbox::User=root --quiet --quiet "$@"
}

apt update >/dev/null
wanted=
if [ "$alone" = no ]; then
    wanted=$(apt --simulate --no-install-recommends install "$@" | sed -n 's/^Inst \([^ ]*\) .*/\1/p')
fi
missing=
for package in $(printf '%s\n' "$@" $wanted | sort -u); do
    [ -e "$directory/archives/$package.unpacked" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
# shellcheck disable=SC2086 # a list of names
(cd "$directory/archives" && apt download $missing >/dev/null)
for package in $missing; do
    dpkg-deb -x "$directory/archives/$package"_*.deb "$directory"
    rm -f "$directory/archives/$package"_*.deb
    : >"$directory/archives/$package.unpacked"
done
