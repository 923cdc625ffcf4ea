"""A program: prints what a receiving system imports after the point where walls go up. test_no_late_imports runs it.

Everything before is what warm and the skeleton do; the client's side is imported before as well.
"""

import asyncio
import importlib
import sys
import tempfile
from pathlib import Path

from posthouse.daemons.cleanup.daemon import DAEMON as CLEANUP
from posthouse.daemons.smtpd.daemon import DAEMON as SMTPD
from posthouse.daemons.trivial_rewrite.daemon import DAEMON as REWRITE
from posthouse.skeleton.confined import load_everything
from posthouse.skeleton.rules import compute_rules
from posthouse.util.loop import new_event_loop
from posthouse.warm.image import LATE_IMPORTS
from tests.support.fake_queue import FakeQueue
from tests.support.inprocess import Client, System
from tests.support.receiver import Receiver, talk

LINES = (
    "EHLO client.test",
    "MAIL FROM:<öwner@example.test> SMTPUTF8",
    "RCPT TO:<x@elsewhere.test>",
    "RCPT TO:<alice@example.test>",
    "DATA",
    "Subject: =?utf-8?q?x?=\r\nTo: Bob (Bob's) <bob@xn--bcher-kva.example>, group: a@b.test;\r\n\r\nöbody\r\n.",
    "VRFY bob",
    "NOSUCH",
    "QUIT",
)


def main() -> None:
    """Run one session with an audit hook watching."""
    for module in ("posthouse.skeleton.child", *LATE_IMPORTS):
        importlib.import_module(module)
    directory = Path(tempfile.mkdtemp())
    for name, text in (("a", "/^x/ REJECT no\n"), ("b", "10.0.0.0/8 REJECT\n"), ("c", "elsewhere.test discard:\n")):
        (directory / name).write_text(text, encoding="ascii")
    main_cf = {
        "smtpd_sender_restrictions": f"check_sender_access pcre:{directory}/a, check_client_access cidr:{directory}/b",
        "transport_maps": f"texthash:{directory}/c, regexp:{directory}/a",
        "smtpd_peername_lookup": "no",
    }
    system = System(directory, main_cf)
    for daemon in (SMTPD, CLEANUP, REWRITE):
        daemon.load()
        load_everything(daemon, system.settings, compute_rules(daemon, system.settings, has_runas=True))
    late: list[str] = []
    known = set(sys.modules)
    sys.addaudithook(lambda event, found: late.append(str(found[0])) if event == "import" else None)
    asyncio.set_event_loop(new_event_loop())
    system.start(FakeQueue, "public/qmgr")
    system.start(REWRITE, "private/rewrite")
    system.start(CLEANUP, "public/cleanup")
    queue = FakeQueue(system.context())
    receiver = Receiver(system, queue, system.start_tcp(SMTPD))
    said = talk(receiver, *LINES)
    assert said[5].startswith("354"), said
    assert said[6].startswith("250"), said
    assert Client.open
    print(*sorted(set(late) - known))


if __name__ == "__main__":
    main()
