"""Messages by BDAT beside Debian's Postfix: the same dialogs, replies, log lines and mail.

Some seventy dialogs, good and bad, with a dozen settings. Where the two differ, the dialog names the line of
docs/compatibility.md that says so, and must differ.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support import net
from tests.support.chunk_dialogs import COMMON, DIALOGS, EHLO, SERVICES, ChunkDialog, Had, have
from tests.support.instance import Instance, Options
from tests.support.mailboxes import Boxes, box, give_away
from tests.support.servers import beside_postfix

pytestmark = pytest.mark.root
ROWS: Final = Path(__file__).resolve().parents[3] / "docs" / "compatibility.md"
ADDED: Final = re.compile(
    rb"(?:^(?:Return-Path|X-Original-To|Delivered-To|Received|Message-Id|Date):.*\n(?:[ \t].*\n)*)", re.MULTILINE
)
QUEUE_ID: Final = re.compile(r"\b(?:[0-9A-F]{8,}|[0-9A-Za-z]{12,}): ")
CLIENT: Final = re.compile(r" (?:localhost|unknown)\[127\.0\.0\.1\]:\d+")


class Run:
    """All dialogs with one server."""

    def __init__(self, kind: type[Instance]) -> None:
        ports = {name: net.free_port() for name in SERVICES}
        options = Boxes([dialog.name for dialog in DIALOGS]).options(**COMMON)
        services = [
            f"127.0.0.1:{ports[name]} inet n - n - - smtpd" + "".join(f" -o {{{k}={v}}}" for k, v in settings.items())
            for name, settings in SERVICES.items()
        ]
        self.server = kind(Options(main=options["main"], files=options["files"], master=services))
        give_away(self.server)
        try:
            self.server.start_and_greet()
            self.offer = have(ChunkDialog("offer", [EHLO]), ports["plain"]).replies
            self.had: dict[str, Had] = {one.name: have(one, ports[one.service]) for one in DIALOGS}
            self.server.wait_queue_empty(30)
            self.mail = {one.name: sorted(self._mail(one.name)) for one in DIALOGS}
            self.log = self.server.log()
        except OSError:
            print(f"--- {self.server.kind}\n{self.server.log()[-6000:]}")
            raise
        finally:
            self.server.destroy()

    def _mail(self, name: str) -> Iterator[bytes]:
        for path in (box(self.server, name) / "new").glob("*"):
            yield ADDED.sub(b"", path.read_bytes())

    def lines(self, name: str) -> list[str]:
        """Give what smtpd logged about a dialog."""
        port = f"[127.0.0.1]:{self.had[name].port}"
        found = []
        for line in self.log.splitlines():
            text = line.partition("]: ")[2]
            if re.search(re.escape(port) + r"\b", text) and "/smtpd[" in line and " client=" not in text:
                found.append(CLIENT.sub(" CLIENT", QUEUE_ID.sub("ID: ", text)).removesuffix(" notes=bare_lf").rstrip())
        return [re.sub(r"(reject: .* CLIENT: )\d{3} \S+ \S+ Error: (bare)", r"\1\2", one) for one in found]


@pytest.fixture(scope="module")
def runs() -> tuple[Run, Run]:
    """Have all dialogs with both, at the same time."""
    return beside_postfix(Run)


def test_chunking_is_offered_last(runs: tuple[Run, Run]) -> None:
    """At Postfix's place."""
    assert [run.offer for run in runs] == [[b"250 CHUNKING"]] * 2


def test_replies_and_mail_are_the_same(runs: tuple[Run, Run]) -> None:
    """Codes, enhanced codes and texts; what was delivered, octet for octet."""
    assert sum(not dialog.row for dialog in DIALOGS) >= 60
    differ = [one for one in DIALOGS if not same(runs, one) and not one.row]
    theirs, ours = runs
    told = [
        f"{one.name}:\n{theirs.had[one.name].replies}\n{ours.had[one.name].replies}\n"
        f"{theirs.mail[one.name]!r:.1000}\n{ours.mail[one.name]!r:.1000}"
        for one in differ
    ]
    assert not told, "\n".join(told)
    assert sum(len(mail) for mail in ours.mail.values()) > 30


def same(runs: tuple[Run, Run], dialog: ChunkDialog) -> bool:
    """Whether replies and mail are the same."""
    theirs, ours = runs
    name = dialog.name
    return theirs.had[name].replies == ours.had[name].replies and theirs.mail[name] == ours.mail[name]


def test_what_differs_is_documented(runs: tuple[Run, Run]) -> None:
    """Each known difference is one, and has its line."""
    rows = [line.removeprefix("| ") for line in ROWS.read_text(encoding="utf-8").splitlines()]
    for dialog in DIALOGS:
        if dialog.row:
            assert not same(runs, dialog), dialog.name
            assert any(row.startswith(dialog.row) for row in rows), dialog.row


def test_log_lines_are_the_same(runs: tuple[Run, Run]) -> None:
    """Counts of commands, warnings, refusals, and where a client was lost."""
    theirs, ours = runs
    told = [
        f"{one.name}:\n" + "\n".join(theirs.lines(one.name)) + "\n--\n" + "\n".join(ours.lines(one.name))
        for one in DIALOGS
        if one.same_log and not one.row and theirs.lines(one.name) != ours.lines(one.name)
    ]
    assert not told, "\n".join(told)
    assert "Traceback" not in ours.log
