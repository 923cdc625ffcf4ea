#!/bin/sh
# Gets the programs that the tests talk to: Debian's Postfix with smtp-source and smtp-sink and its lmdb, cdb and pcre
# tables, db5.3_load for Berkeley DB files that Postfix does not write, swaks, Dovecot's LMTP; and mkfs.xfs, for the power
# cuts, systemd-analyze, for the units, strace, for the profiles, nft, for lost packets, tcc, for the clock that jumps, and
# memcached, redis-server, slapd, PostgreSQL and MariaDB, for tables that ask them, and what setup_policy_tools.sh gets.
#
# As root they are installed by apt, and no service is started. Without root, or where another mail server is installed
# that apt would remove, the packages are unpacked below var/peers: clients and sinks run from there, a whole Postfix does
# not (it wants root and its users), and the tests that need one skip and say so.
set -eu
cd "$(dirname "$0")/.."
packages="postfix postfix-lmdb postfix-pcre postfix-cdb postfix-ldap db5.3-util swaks dovecot-lmtpd xfsprogs systemd strace nftables tcc memcached redis-server slapd postgresql mariadb-server postfix-pgsql postfix-mysql postfix-sqlite"

complete() {
    for program in postfix smtp-source smtp-sink swaks mkfs.xfs systemd-analyze strace nft tcc db5.3_load memcached redis-server slapd mariadbd mariadb-install-db; do
        found=no
        for place in "$1/usr/sbin" "$1/usr/bin" "$1/sbin"; do
            [ -x "$place/$program" ] && found=yes
        done
        [ "$found" = yes ] || return 1
    done
    for type in cdb pcre ldap pgsql mysql sqlite; do
        [ -e "$1/usr/lib/postfix/postfix-$type.so" ] || return 1
    done
    [ -x "$1/usr/lib/dovecot/lmtp" ] && ls "$1"/usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1
}

# Tells whether installing Postfix would throw another mail server out.
has_other_mta() {
    dpkg-query --show --showformat='${db:Status-Abbrev} ${Package} ${Provides}\n' 2>/dev/null |
        grep '^ii' | grep 'mail-transport-agent' | grep -qv '^ii  *postfix '
}

command -v apt-get >/dev/null && tools/setup_policy_tools.sh
if complete ""; then
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "peers: this is no Debian; install postfix, swaks and dovecot's lmtp yourself, or their tests skip" >&2
    exit 0
fi
if [ "$(id -u)" = 0 ] && ! has_other_mta; then
    echo "peers: installing $packages (no service is started)"
    printf 'postfix postfix/main_mailer_type select Local only\npostfix postfix/mailname string localhost\n' |
        debconf-set-selections 2>/dev/null || true
    # shellcheck disable=SC2086 # a list of names
    tools/install_packages.sh $packages
elif ! complete "$PWD/var/peers"; then
    echo "peers: unpacking $packages below var/peers (not installed: not root, or another mail server is here)"
    # shellcheck disable=SC2086
    tools/fetch_packages.sh "$PWD/var/peers" $packages
fi
