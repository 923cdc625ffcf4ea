"""smtp(8): the SMTP and LMTP client. Delivers mail of qmgr(8) to other servers.

One process works on many deliveries at once, and keeps sessions open while more mail for a destination waits. As the
program lmtp it speaks LMTP, to UNIX sockets (unix:path) or hosts (inet:host:port), and reads lmtp_ parameters.

Security: what servers say is hostile: replies are bounded in size and time, and cleaned before they reach the log,
a report or the queue. It may connect anywhere, and open or execute nothing.

Content goes out as it came in, unless main.cf has checks or generic addresses for it, or the server takes no 8-bit
content: then parts that are 8-bit become quoted-printable.

Standards: RFC 5321, 2045, 1870 (SIZE), 2033 (LMTP), 2920 (PIPELINING), 3461 (DSN), 6152 (8BITMIME), 6531 (SMTPUTF8),
7505 (null MX).

Bugs: no TLS and no SASL yet: where main.cf demands TLS mail waits. best_mx_transport is not followed. Source addresses
are not chosen by destination.

See also: qmgr(8), dns(8), bounce(8), lmtp(8); generic(5), header_checks(5).
"""

from typing import Final

from posthouse.daemons.smtp.parameters import PARAMETERS
from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON: Final = Daemon(
    name="smtp",
    start=Later("posthouse.daemons.smtp.agent", "start"),
    parameters=PARAMETERS,
    talks_to=("dns", "qmgr", "proxymap"),
    privileges=Privileges(
        user="$network_owner",
        network=("connect",),
        reads=("/etc/hosts", "/etc/services"),
    ),
    clients=1,
)
