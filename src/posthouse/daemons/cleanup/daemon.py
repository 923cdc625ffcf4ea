"""cleanup(8): makes incoming messages complete and hands them to the queue.

It adds the headers that are missing (Message-Id, Date, From), takes those out that must not travel (Bcc, Return-Path),
brings addresses to standard form, applies canonical and virtual alias tables, and gives the message to qmgr(8). It
answers its client when the message is durable, not before.

Standards: RFC 5322, RFC 2047 no more than as text, RFC 3461 (aliases and NOTIFY).
Diagnostics: "QUEUEID: message-id=<...>" for each message; why a message was refused, as a warning.
Bugs: header_checks, body_checks and milters are not built yet. The report "expanded" of RFC 3461 5.2.7.3 is not sent.
See also: smtpd(8), pickup(8), qmgr(8), trivial-rewrite(8); canonical(5), virtual(5).
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
