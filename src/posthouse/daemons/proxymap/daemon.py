"""proxymap(8): looks keys up in tables for daemons that cannot open them, being confined or chrooted.

It opens what proxy_read_maps names, at its start, and nothing else. It keeps no cache; clients do, for a second.

Security: a lookup can tell a broken daemon what is in an approved table, so approve no table with secrets for all.
Standards: none. Diagnostics: requests for tables that are not approved. See also: postconf(5), proxy_read_maps.
"""

from posthouse.daemons.proxymap.parameters import PARAMETERS
from posthouse.daemons.proxymap.service import ProxymapService
from posthouse.skeleton.daemon import Context, Daemon, Privileges


def start(context: Context) -> ProxymapService:
    """Read which tables are approved, and open them."""
    return ProxymapService(context)


DAEMON = Daemon(
    name="proxymap",
    start=start,
    parameters=PARAMETERS,
    privileges=Privileges(
        user="$mail_owner",
        chroot="never",  # the account files are outside
        accounts=True,
    ),
)
