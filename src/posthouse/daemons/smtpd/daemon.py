"""smtpd(8): the SMTP server. Takes mail from the network and hands it to cleanup(8).

It talks to untrusted clients, so it can do little: it is never root, runs no command, opens no mailbox and writes no
file; the message leaves it through cleanup's socket. One process serves many clients. Who may send what is decided by
the restriction lists of main.cf; a restriction that is unknown, or not built yet, refuses with 451.

Standards: RFC 5321, 1870 (SIZE), 2034 (status codes), 2920 (PIPELINING), 3461 (DSN), 6152 (8BITMIME), 6531 (SMTPUTF8).
Diagnostics: refused commands are logged as "NOQUEUE: reject: ..." or, after the first recipient, with the queue ID.
See also: master(8), cleanup(8), trivial-rewrite(8), dns(8), proxymap(8).
"""

from posthouse.daemons.smtpd.parameters import PARAMETERS
from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON = Daemon(
    name="smtpd",
    start=Later("posthouse.daemons.smtpd.service", "SmtpdService"),
    parameters=PARAMETERS,
    talks_to=("cleanup", "rewrite", "dns", "proxymap", "governor"),
    privileges=Privileges(user="$network_owner", network=("accept",)),
)
