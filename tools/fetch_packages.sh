#!/bin/sh
# Unpacks Debian packages, and those they need and this machine lacks, below a directory. Needs no root: nothing is
# installed and no script of a package runs.
#
# usage: fetch_packages.sh DIRECTORY PACKAGE...
set -eu
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
wanted=$(apt --simulate --no-install-recommends install "$@" | sed -n 's/^Inst \([^ ]*\) .*/\1/p')
for package in $(printf '%s\n' "$@" $wanted | sort -u); do
    [ -e "$directory/archives/$package.unpacked" ] && continue
    (cd "$directory/archives" && apt download "$package" >/dev/null)
    dpkg-deb -x "$directory/archives/$package"_*.deb "$directory"
    rm -f "$directory/archives/$package"_*.deb
    : >"$directory/archives/$package.unpacked"
done
