"""CL-01 to CL-22 against a whole system: every misbehaving server at once, and the memory of smtp(8) afterwards.

The servers, and what must become of mail for each, are the table of tests/unit/smtp/test_hostile_servers.py, which
also has what needs a look at the wire:

  CL-16 one recipient of several, CL-20 a reply too many, CL-21 LMTP, CL-22 what goes out: test_hostile_servers.py
  CL-09 TLS is wanted and not there: test_delivery.py; CL-11 at connect: test_delivery.py
  CL-08, CL-10, CL-17, CL-18 (and CL-19 for TLS): not before there is TLS and AUTH
  Debian's Postfix beside ours, word for word: tests/integration/05_smtp_client/test_words.py
"""

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from posthouse.ipc.message import BOUNCED, DEFERRED, SENT
from tests.conftest import Start
from tests.faults.figures import Figures
from tests.support.amount import Amount
from tests.support.instance import Instance
from tests.support.load import Load, smtp_source
from tests.support.processes import pss_bytes
from tests.support.scarcity import wait
from tests.support.scripted_server import ScriptedServer, Talk
from tests.unit.smtp.test_hostile_servers import CASES, STEPS, Case, Scripts

WORDS: Final = {SENT: "sent", DEFERRED: "deferred", BOUNCED: "bounced"}
GROWTH: Final = 16 << 20
TIMEOUT: Final = "1s"
# These want settings of their own for the whole smtp(8).
ROWS: Final = [case for case in CASES if not set(case.main) - {f"smtp_{step}_timeout" for step in STEPS}]
LOOK_S: Final = 0.1


def server_for(case: Case) -> ScriptedServer:
    """Make the server of a row."""

    def script(talk: Talk) -> None:
        if isinstance(case.script, dict):
            talk.converse(case.script)
        else:
            name, _, argument = case.script.partition(" ")
            getattr(Scripts, name)(talk, *([argument] if argument else []))

    return ScriptedServer(script)


def largest(server: Instance, name: str) -> int:
    """Return the memory of the largest process of that name."""
    return max((pss_bytes([each.pid]) for each in server.processes() if each.name == name), default=0)


@contextmanager
def watched(server: Instance, name: str) -> Iterator[list[int]]:
    """Look at the memory of the processes of that name all the while; the most is in the list at the end."""
    most, ending = [largest(server, name)], threading.Event()

    def look() -> None:
        while not ending.wait(LOOK_S):
            most[0] = max(most[0], largest(server, name))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        ending.set()
        thread.join(10)


def fates(server: Instance) -> dict[str, tuple[str, str, str]]:
    """Read the log: status, dsn and text of each recipient."""
    found = re.findall(r"to=<([^>]+)>,.*? dsn=([^,]+), status=(\w+) \((.*)\)$", server.log(), re.MULTILINE)
    return {recipient: (status, dsn, text) for recipient, dsn, status, text in found}


def test_every_hostile_server_at_once(posthouse: Start, amount: Amount, figures: Figures) -> None:
    """Each gets what its row says, nothing unclean is logged, and smtp(8) is no larger for it."""
    with ExitStack() as stack:
        servers = [stack.enter_context(server_for(case)) for case in ROWS]
        good = stack.enter_context(ScriptedServer(lambda talk: talk.converse()))
        routes = "".join(f"c{number}.test smtp:[127.0.0.1]:{each.port}\n" for number, each in enumerate(servers))
        routes += f"good.test smtp:[127.0.0.1]:{good.port}\n"
        limits = {f"smtp_{step}_timeout": TIMEOUT for step in STEPS}
        server = posthouse(
            main={
                **limits,
                "transport_maps": "texthash:{directory}/etc/routes",
                "default_destination_concurrency_failed_cohort_limit": "0",
                "bounce_queue_lifetime": "0",
            },
            files={"routes": routes},
        )
        smtp_source(Load(amount(20, 200), sessions=4, recipients=("u@good.test",)), server.port)
        wait("good mail is delivered", lambda: server.log().count("status=sent") >= amount(20, 200))
        before = largest(server, "smtp")
        rounds = amount(1, 20)
        with watched(server, "smtp") as most:
            for turn in range(rounds):
                people = tuple(f"u{turn}@c{number}.test" for number in range(len(ROWS)))
                smtp_source(Load(len(people), recipients=people, sender="", reuse=True), server.port)
                wait(f"round {turn} is over", lambda people=people: fates(server).keys() >= set(people), 60)  # type: ignore[misc]
        found = fates(server)
        after = largest(server, "smtp")
        for each in servers:
            each.stop()
    for recipient, (status, dsn, text) in found.items():
        if recipient.startswith("u@"):
            continue
        case = ROWS[int(recipient.partition("@c")[2].partition(".")[0])]
        assert status == WORDS[case.outcome], (case.name, status, dsn, text)
        assert dsn.startswith(case.dsn), (case.name, dsn, text)
        assert case.text in text, (case.name, text)
    clean(server.log())
    figures(
        f"{len(ROWS)} misbehaving SMTP servers at once, {rounds} times (CL-01 to CL-22 without TLS and AUTH)",
        f"each ends within its limit as its row says; smtp(8) had {before / 2**20:.1f} MB before, "
        f"{most[0] / 2**20:.1f} MB at most, {after / 2**20:.1f} MB after",
    )
    assert most[0] - before <= GROWTH


def clean(log: str) -> None:
    """Assert that no line is long, unprintable, or tells of a bug."""
    for line in log.splitlines():
        assert line.isprintable(), line
        assert len(line) < 10_000, line[:200]
    assert "panic" not in log
    assert "Traceback" not in log
