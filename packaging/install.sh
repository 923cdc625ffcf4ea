#!/bin/sh
# Makes a virtual environment with Posthouse's wheel and what it needs at run time, and nothing else.
#
# usage: packaging/install.sh DIRECTORY
#
# NATIVE=1: what a message goes through is compiled (docs/performance.md); that takes two minutes, a C compiler and
# Python's headers (Debian: gcc libc6-dev python3-dev). Without it the wheel is Python alone.
#
# Every package comes from requirements.lock and is checked against its hash before anything is installed; the wheel of
# this work tree is built with the locked builder. PYTHON: the interpreter (default /usr/bin/python3); PIP: a pip for
# the same interpreter (default: one in an environment of its own, for which Debian has python3-venv).
set -eu
if [ $# -ne 1 ]; then
    echo "usage: packaging/install.sh DIRECTORY" >&2
    exit 64
fi
target=$1
cd "$(dirname "$0")/.."
python=${PYTHON:-/usr/bin/python3}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${PIP:-}" ]; then
    "$python" -m venv "$work/tools"
    PIP="$work/tools/bin/python -m pip"
fi
# shellcheck disable=SC2086 # a command and its words
$PIP download --quiet --require-hashes --no-deps --only-binary :all: --requirement requirements.lock --dest "$work/wheels"
if [ -n "${NATIVE:-}" ]; then # the compiler reads types, of the locked packages too: so it stands among them
    "$python" -m venv --without-pip "$work/builder"
    # shellcheck disable=SC2086
    $PIP --python "$work/builder/bin/python" install --quiet --no-index --no-deps "$work"/wheels/*.whl
    HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 "$work/builder/bin/python" -m hatchling build --target wheel \
        --directory "$work/own" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; } # by pip it would compile twice
else
    # shellcheck disable=SC2086
    $PIP wheel --quiet --no-index --find-links "$work/wheels" --no-deps --wheel-dir "$work/own" .
fi
"$python" -m venv --without-pip "$target"
# shellcheck disable=SC2086
$PIP --python "$target/bin/python" install --quiet --no-index --find-links "$work/wheels" "$work"/own/posthouse-*.whl
