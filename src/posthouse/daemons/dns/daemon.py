"""dns(8): asks DNS servers for all the other daemons, which cannot.

It is the only one that may use UDP. Its cache obeys TTLs; equal questions are asked once; the AD bit of a validating
name server is passed on, so that server should be local (or the way to it trusted). Every lookup ends within 30 s.

Security: what comes back from the network is read here and nowhere else. Sockets are connected, from a random port.

Standards: RFC 1034, 1035, 2181, 2308, 6891, 7505, 7766, 9520.

Bugs: names are never completed from resolv.conf's search list.

See also: smtp(8), smtpd(8), resolv.conf(5), hosts(5).
"""

from typing import Final

from posthouse.daemons.dns.parameters import PARAMETERS
from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON: Final = Daemon(
    name="dns",
    start=Later("posthouse.daemons.dns.service", "start"),
    parameters=PARAMETERS,
    privileges=Privileges(
        user="$network_owner",
        network=("dns",),
        reads=("/etc/resolv.conf", "/etc/hosts"),
    ),
    resident=True,  # its cache is worth more than its memory
)
