"""proxymap(8): looks keys up in tables for daemons that cannot open them, being confined or chrooted.

It opens, at its start, what proxy_read_maps names, and the tables of main.cf and master.cf that need a connection or
a library of their own (pgsql:, mysql:, sqlite:, ldap: ..), which no other daemon opens. It keeps no cache; clients
do, for a second. A server that does not answer defers the mail that needs it, and holds up no other lookup.

Security: a lookup can tell a broken daemon what is in an approved table, so approve no table with secrets for all.
The passwords of databases are in this process alone. Only where such tables are configured may it use the network.
Standards: none. Diagnostics: requests for tables that are not approved. See also: postconf(5), proxy_read_maps.
"""

from posthouse.daemons.proxymap.parameters import PARAMETERS
from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON = Daemon(
    name="proxymap",
    start=Later("posthouse.daemons.proxymap.service", "ProxymapService"),
    parameters=PARAMETERS,
    privileges=Privileges(
        user="$mail_owner",
        chroot="never",  # the account files are outside
        accounts=True,
        remote_tables=True,
    ),
)
