"""Hundreds of SMTP sessions beside Debian's Postfix: the same replies, counts and log lines.

Good and bad ones: what is sent too early, odd orders, blanks and spellings, keywords that are not offered, clients that
are refused, limits. Where the two differ, the session names the line of docs/compatibility.md that says so, and must
differ.
"""

import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.support import net
from tests.support.instance import Instance, Options
from tests.support.servers import beside_postfix
from tests.support.session_dialogs import SESSIONS
from tests.support.sessions import COMMON, SERVICES, Held, Session, hold

pytestmark = pytest.mark.root
ROWS: Final = Path(__file__).resolve().parents[3] / "docs" / "compatibility.md"
QUEUE_ID: Final = re.compile(r"\b(?:[0-9A-F]{8,}|[0-9A-Za-z]{12,}): ")
CLIENT: Final = re.compile(r"\b(?:localhost|unknown)\[127\.0\.0\.1\]:\d+")
ENDED: Final = re.compile(r"disconnect from \w+\[127\.0\.0\.1\]:(\d+) ")
DISCARDING: Final = "discarding EHLO keywords: "
LOG_LIMIT_S: Final = 30


class Run:
    """All sessions with one server."""

    def __init__(self, kind: type[Instance]) -> None:
        ports = {name: net.free_port() for name in SERVICES}
        services = [
            f"127.0.0.1:{ports[name]} inet n - n - - smtpd" + "".join(f" -o {{{k}={v}}}" for k, v in settings.items())
            for name, settings in SERVICES.items()
        ]
        self.server = kind(Options(main=dict(COMMON), master=services))
        try:
            self.server.start_and_greet()
            with ThreadPoolExecutor(4) as pool:
                held = pool.map(lambda one: hold(one, ports[one.service]), SESSIONS)
                self.held: dict[str, Held] = {one.name: had for one, had in zip(SESSIONS, held, strict=True)}
            self.log = self._whole_log()
        finally:
            self.server.destroy()

    def _whole_log(self) -> str:
        """Wait until each client's end is in the log."""
        deadline = time.monotonic() + LOG_LIMIT_S
        wanted = {str(held.port) for held in self.held.values()}
        while wanted - set(ENDED.findall(log := self.server.log())) and time.monotonic() < deadline:
            time.sleep(0.1)
        return log

    def lines(self, name: str) -> list[str]:
        """Give what smtpd logged about a session's client."""
        port = re.compile(rf"\[127\.0\.0\.1\]:{self.held[name].port}\b")
        texts = (line.partition("]: ")[2] for line in self.log.splitlines() if "/smtpd[" in line)
        found = [CLIENT.sub("CLIENT", QUEUE_ID.sub("ID: ", text)) for text in texts if port.search(text)]
        return [text.removesuffix(" notes=bare_lf") for text in found]

    def discarding(self) -> Counter[str]:
        """Count the lines about EHLO keywords, which name no client. Postfix 3.7 writes a name of its source."""
        lines = (line.replace("EHLO_MASK_", "") for line in self.log.splitlines())
        return Counter(line.partition(DISCARDING)[2] for line in lines if DISCARDING in line)


@pytest.fixture(scope="module")
def runs() -> tuple[Run, Run]:
    """Hold all sessions with both, at the same time."""
    return beside_postfix(Run)


def told(runs: tuple[Run, Run], session: Session) -> str:
    """Say how replies or log lines differ; "" where they are the same."""
    theirs, ours = ([*run.held[session.name].replies, *run.lines(session.name)] for run in runs)
    return "" if theirs == ours else "\n".join((f"{session.name}:", *theirs, "--", *ours, ""))


def test_replies_and_log_lines_are_the_same(runs: tuple[Run, Run]) -> None:
    """Codes, enhanced codes and texts; refusals, warnings, where a client was lost, how often each command came."""
    assert sum(not session.row for session in SESSIONS) > 400
    differ = [told(runs, session) for session in SESSIONS if not session.row]
    assert not any(differ), "\n".join(filter(None, differ))
    assert "Traceback" not in runs[1].log


def test_what_differs_has_its_line(runs: tuple[Run, Run]) -> None:
    """Each known difference is one, and is documented."""
    rows = [line.removeprefix("| ") for line in ROWS.read_text(encoding="utf-8").splitlines()]
    for session in SESSIONS:
        if session.row:
            assert told(runs, session), session.name
            assert any(row.startswith(session.row) for row in rows), session.row


def test_keywords_that_are_not_offered_are_logged(runs: tuple[Run, Run]) -> None:
    """In Postfix's order, at each EHLO; not with silent-discard."""
    theirs, ours = (run.discarding() for run in runs)
    assert theirs == ours
    assert {"CHUNKING", "DSN CHUNKING", "SIZE DSN"} < set(ours)
