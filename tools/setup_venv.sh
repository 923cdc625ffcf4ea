#!/bin/sh
# Makes .venv: a virtual environment with exactly the packages of requirements.lock, and this project in it.
#
# Needs of the machine: a Python of at least 3.11, and a package index that pip can reach. What Debian keeps in packages of
# its own (ensurepip) is installed by apt when we are root, and taken out of the downloaded package when we are not.
# PYTHON=/path/to/python chooses another interpreter.
set -eu
cd "$(dirname "$0")/.."
unpacked=$PWD/var/peers

fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# The system's interpreter comes first: every user may execute it (the daemons' users too), which is not so for one that
# lives in somebody's home, and Debian's build is a good deal faster than a plain one.
choose_python() {
    for python in ${PYTHON:-} /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
        if fits "$python"; then
            command -v "$python"
            return
        fi
    done
    echo "setup: no Python of at least 3.11 here; install python3 or set PYTHON=/path/to/one" >&2
    return 1
}

# Prints the wheel of pip that Debian ships for ensurepip, fetching it where it is missing.
pip_wheel() {
    tools/fetch_packages.sh "$unpacked" python3-pip-whl >&2
    ls "$unpacked"/usr/share/python-wheels/pip-*.whl | tail -n 1
}

make_venv() {
    rm -rf .venv
    if ! "$1" -c 'import ensurepip, venv' 2>/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        tools/install_packages.sh python3-venv || true # a Python that is not Debian's gains nothing by it: next line
    fi
    if "$1" -c 'import ensurepip, venv' 2>/dev/null && "$1" -m venv .venv; then
        return
    fi
    rm -rf .venv
    "$1" -m venv --without-pip .venv
    wheel=$(pip_wheel)
    .venv/bin/python "$wheel/pip" install --quiet --no-index "$wheel"
}

python=$(choose_python)
make_venv "$python"
export PIP_DISABLE_PIP_VERSION_CHECK=1
echo "setup: installing the locked packages into .venv ($("$python" --version), $python)"
.venv/bin/python -m pip install --quiet --require-hashes --requirement requirements.lock
.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
touch .venv/complete
