"""cleanup(8): makes incoming messages complete and hands them to the queue.

It adds the headers that are missing (Message-Id, Date, From), takes those out that must not travel (Bcc, Return-Path),
brings addresses to standard form, applies canonical and virtual alias tables, and gives the message to qmgr(8). It
answers its client when the message is durable, not before.

Where main.cf asks for it, headers and body lines are looked up as they come, and what MIME forbids is refused:
header_checks(5), strict_8bitmime and its kin. Other messages are not taken apart.

Standards: RFC 5322, RFC 2045, RFC 2046, RFC 2047 no more than as text, RFC 3461 (aliases and NOTIFY).
Diagnostics: "QUEUEID: message-id=<...>" for each message; "QUEUEID: reject: header ..." and its like for what content
checks find; why a message was refused otherwise, as a warning. A table that cannot be asked: the client tries again.
Bugs: milters are not built yet.
See also: smtpd(8), pickup(8), qmgr(8), trivial-rewrite(8); canonical(5), header_checks(5), virtual(5).
"""

from posthouse.daemons.cleanup.parameters import PARAMETERS
from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON = Daemon(
    name="cleanup",
    start=Later("posthouse.daemons.cleanup.service", "CleanupService"),
    parameters=PARAMETERS,
    talks_to=("qmgr", "proxymap", "governor"),
    privileges=Privileges(user="$mail_owner", threads=True),
)
