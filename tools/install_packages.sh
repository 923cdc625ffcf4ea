#!/bin/sh
# Installs Debian packages as root, without questions and without starting a single service.
#
# usage: install_packages.sh PACKAGE...
set -eu
policy=/usr/sbin/policy-rc.d
made_policy=no

cleanup() { [ "$made_policy" = no ] || rm -f "$policy"; }
trap cleanup EXIT

# A service that a package starts would sit on the ports and queues of this machine: 101 means "not allowed".
if [ ! -e "$policy" ]; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
if ! apt-get install --yes --quiet --quiet --no-install-recommends "$@" >/dev/null 2>&1; then
    apt-get update --quiet --quiet >/dev/null # a fresh machine has no package lists, an old one has stale ones
    apt-get install --yes --quiet --quiet --no-install-recommends "$@" >/dev/null
fi
