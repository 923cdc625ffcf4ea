#!/bin/sh
# Makes var/native: Posthouse with compiled modules, as `NATIVE=1 packaging/install.sh` installs it, for the benchmark and
# for tests of that build (docs/adr/0014-native-build.md). A C compiler and Python's headers are installed by apt as root.
# Where there is none, nothing is made, and who asks for it runs Python alone.
set -eu
cd "$(dirname "$0")/.."
python=$(readlink -f .venv/bin/python)
headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')

rm -rf var/native
if ! command -v cc >/dev/null || [ ! -e "$headers" ]; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && tools/install_packages.sh gcc libc6-dev python3-dev
fi
if ! command -v cc >/dev/null || [ ! -e "$headers" ]; then
    echo "native: no C compiler or no $headers here; the daemons run as Python alone" >&2
    exit 0
fi
echo "native: compiling what a message goes through; this takes two minutes"
NATIVE=1 PYTHON="$python" PIP="$PWD/.venv/bin/python -m pip" packaging/install.sh var/native
# What tables of some types need, and an installation has only when asked, comes from the tests' environment.
for packages in "$PWD"/var/native/lib/python*/site-packages; do
    ls -d "$PWD"/.venv/lib/python*/site-packages >"$packages/extras.pth"
done
touch var/native/complete
