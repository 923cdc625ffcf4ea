"""Some thousand servers that misbehave, beside Debian's Postfix: what becomes of each recipient, and who is asked next.

Each case is a server with one fault at one stage (bad_servers.py) and a message for three recipients. Where the two
differ, a line of docs/compatibility.md says so (ROWS), and must be needed. Servers that talk for ever are not among
them, since Postfix listens for ever; they are in tests/unit/smtp.
"""

import re
import smtplib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.support import net
from tests.support.bad_servers import LARGE, BadServers, Case, all_cases
from tests.support.instance import Instance, Options
from tests.support.servers import beside_postfix

pytestmark = pytest.mark.root
DOCUMENT: Final = Path(__file__).resolve().parents[3] / "docs" / "compatibility.md"
RECIPIENTS: Final = ("a", "b", "c")
CASES: Final = list(all_cases())
STEPS: Final = ("helo", "mail", "rcpt", "data_init", "data_xfer", "data_done", "rset", "quit", "connect")
MAIN: Final = {
    **{f"{agent}_{step}_timeout": "5s" for agent in ("smtp", "lmtp") for step in STEPS},
    "lmtp_lhlo_timeout": "5s",
    "transport_maps": "texthash:{directory}/etc/routes",
    "minimal_backoff_time": "1h",
    "maximal_backoff_time": "1h",
    "queue_run_delay": "1h",
    "in_flow_delay": "0",
    "smtp_connection_cache_on_demand": "no",
    "lmtp_connection_cache_on_demand": "no",
}
# What differs, by the beginning of its line in the document: where, and what the server does.
ROWS: Final = {
    "nonsense from a remote server": (
        r"/(no-code|empty|999|150|four-digits|no-blank|good-then-550|550-then-good)$|(?<!DATA)/354$|/DATA/2[25]0$"
    ),
    "a remote server that says more than it was asked": r"/(twice|early|354-and-250)$",
    "success that a remote server announces too early": (
        r"/CONTENT/(good|no-text|lf|250|220|twice|nul|8-bit|octets|line-of|50-lines)"
    ),
    "long replies of a remote server": r"/(line-of-3000|line-of-1M|50000-lines)$",
    "a NUL in the reply of a remote server": r"nul$",
    "552 to RCPT": r"/RCPT2/552$",
}


class Fate(NamedTuple):
    """What became of a case: of each recipient; for each connection, if it was to the second server."""

    recipients: dict[str, list[str]]
    tried: list[bool]
    heard: list[tuple[bool, bool]]  # that, and whether the message came as a whole


class Run:
    """All cases with one server."""

    def __init__(self, kind: type[Instance]) -> None:
        with BadServers(CASES) as servers:
            routes = "".join(f"{case.domain} {case.nexthop(servers.port)}\n" for case in CASES)
            instance = kind(Options(main=dict(MAIN), files={"routes": routes}))
            try:
                instance.start_and_greet()
                _send(instance)
                log = _wait(instance)
            except (OSError, smtplib.SMTPException):
                print(f"--- {instance.kind}\n{instance.log()[-6000:]}")
                raise
            finally:
                instance.destroy()
        self.log = log
        lines: dict[str, list[tuple[str, str]]] = {}
        for recipient, domain, text in re.findall(r" to=<(\w)@(c\d+\.test)>, (.*)", log):
            lines.setdefault(domain, []).append((recipient, text))
        self.fates = {case.name: _fate(case, lines[case.domain], servers) for case in CASES}


def _send(instance: Instance) -> None:
    """Send a message to each; large ones where servers stop in the middle."""
    small, large = b"Subject: x\r\n\r\nbody\r\n", b"Subject: x\r\n\r\n" + (b"y" * 70 + b"\r\n") * (LARGE // 72)
    with smtplib.SMTP(net.LOOPBACK, instance.port, timeout=60) as client:
        for case in CASES:
            content = large if case.stage == "CONTENT" else small
            client.sendmail("", [f"{name}@{case.domain}" for name in RECIPIENTS], content)


def _wait(instance: Instance) -> str:
    """Wait until every recipient has a line in the log; return it. Raises TimeoutError."""
    deadline = time.monotonic() + 120
    wanted = {f"{name}@{case.domain}" for case in CASES for name in RECIPIENTS}
    while True:
        log = instance.log()
        missing = wanted - set(re.findall(r" to=<([^>]+)>, .* status=", log))
        if not missing:
            return log
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(missing)} recipients without result, such as {sorted(missing)[:5]}")
        time.sleep(0.2)


def _fate(case: Case, lines: list[tuple[str, str]], servers: BadServers) -> Fate:
    recipients: dict[str, list[str]] = {}
    for name, text in lines:
        relay, dsn, status = re.findall(r"relay=([^,]+),.* dsn=([^,]+), (status=.*)", text)[0]
        known = f"{relay} {dsn} {status}".replace(f":{servers.port}", ":PORT")
        for second, label in ((False, "FIRST"), (True, "SECOND")):
            known = re.sub(rf"{re.escape(case.address(second))}\b", label, known)
        recipients.setdefault(name, []).append(known)
    heard = [(dialog.second, "DOT" in dialog.heard) for dialog in servers.dialogs[case.number]]
    return Fate(recipients, [second for second, _ in heard], heard)


@pytest.fixture(scope="module")
def runs() -> tuple[Run, Run]:
    """Have all cases with both, at the same time."""
    return beside_postfix(Run)


def _rows(case: Case) -> Iterator[str]:
    """Give the lines of the document that say how a case differs."""
    return (row for row, pattern in ROWS.items() if re.search(pattern, case.name))


def test_recipients_have_the_same_fate(runs: tuple[Run, Run]) -> None:
    """State, DSN and words of each recipient, servers asked, and messages offered; or a line of the document."""
    theirs, ours = runs
    known = DOCUMENT.read_text(encoding="utf-8")
    differ, needed = [], set()
    for case in CASES:
        one, other = theirs.fates[case.name], ours.fates[case.name]
        # How much of the content is sent to a server that has refused it is a matter of who is faster.
        if one[:2] == other[:2] and (one.heard == other.heard or case.stage == "CONTENT"):
            continue
        rows = set(_rows(case))
        needed |= rows
        if not rows:
            differ.append(f"{case.name}\n  Postfix   {one}\n  Posthouse {other}")
    assert not differ, f"{len(differ)} cases\n" + "\n".join(differ)
    assert needed == set(ROWS)
    assert all(f"\n| {row}" in known for row in ROWS)


def test_nothing_is_lost(runs: tuple[Run, Run]) -> None:
    """Sent is what a server took after all of it; returned, what it refused with 5xx; each recipient has one result."""
    _, ours = runs
    for case in CASES:
        fate = ours.fates[case.name]
        assert sorted(fate.recipients) == list(RECIPIENTS), case.name
        for (line,) in fate.recipients.values():
            relay = line.partition("[")[0]
            if "status=sent" in line:
                assert re.search(r"status=sent \(250\b", line) or case.what == "220", (case.name, line)
                if case.what != "good-rst":  # with an RST goes what the kernel knew of the octets
                    assert (relay == "SECOND", True) in fate.heard, (case.name, line)
            elif "status=bounced" in line:
                assert re.search(r"(said|talk to me): 5\d\d", line), (case.name, line)
            else:
                assert "status=deferred" in line, (case.name, line)


def test_nobody_stumbles(runs: tuple[Run, Run]) -> None:
    """No server brings an agent down."""
    _, ours = runs
    assert not re.findall(r".*(?:panic|Traceback|fatal).*", ours.log)
