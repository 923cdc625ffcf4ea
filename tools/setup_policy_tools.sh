#!/bin/sh
# Unpacks below var/policy what checks the security policies and manual pages, as root or not: apparmor_parser, SELinux's
# compilers and Debian's whole policy, sesearch, mandoc. Nothing is installed: setools alone would bring 120 packages,
# and selinux-policy-default would change the machine.
#
# Debian's policy is converted to the compiler's language once, since that takes longer than compiling it.
set -eu
cd "$(dirname "$0")/.."
place=$PWD/var/policy
packages="apparmor libapparmor1 checkpolicy semodule-utils secilc policycoreutils m4 selinux-policy-dev
    selinux-policy-default setools python3-setools python3-networkx python3-pkg-resources mandoc"

if [ -e "$place/complete" ]; then
    exit 0
fi
echo "peers: unpacking the tools that check the policies below var/policy (not installed)"
# shellcheck disable=SC2086 # a list of names
tools/fetch_packages.sh --alone "$place" $packages

mkdir -p "$place/cil"
python3 - "$place" <<'END'
import bz2, pathlib, sys

place = pathlib.Path(sys.argv[1])
for packed in (place / "usr/share/selinux/default").glob("*.pp.bz2"):
    (place / "cil" / packed.stem).write_bytes(bz2.decompress(packed.read_bytes()))
END
export place
find "$place/cil" -name '*.pp' -print0 | xargs -0 -n 32 -P 2 sh -eu -c '
    for file in "$@"; do
        "$place/usr/libexec/selinux/hll/pp" "$file" "${file%.pp}.cil"
        rm "$file"
    done' sh
: >"$place/complete"
