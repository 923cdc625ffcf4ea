"""A table that changes on disk counts without reload, and no session is lost by it.

Two ways: a table in a directory of its own is opened anew by the process that uses it; one that the confined process
may not open (here: only root may read it) makes it ask for a successor, and finish the sessions that it has.
"""

import os
import re
import smtplib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import Start
from tests.support.bdb import HAS_POSTMAP, postmap
from tests.support.instance import Instance

DEADLINE_S: Final = 20
INDEXED: Final = ("lmdb", "cdb")
OLD: Final = ("hash", "btree")  # .db files, made by Debian's postmap
PATTERNS: Final = ("pcre", "regexp")
KINDS: Final = ("texthash", *INDEXED, *OLD, *PATTERNS, "cidr")  # cidr: refuses this client, so it comes last
SUFFIXES: Final = {"lmdb": ".lmdb", "cdb": ".cdb", "hash": ".db", "btree": ".db"}
needs_postmap: Final = pytest.mark.skipif(not HAS_POSTMAP, reason="Debian's postfix is not installed")


def _text(kind: str, action: str) -> str:
    if kind == "cidr":
        return f"127.0.0.0/8 {action}\n"
    return f"/^{kind}@/ {action}\n" if kind in PATTERNS else f"{kind}@example.test {action}\n"


def _write(server: Instance, path: Path, kind: str, action: str) -> Path:
    """Make a table with one entry; gives the file that the daemons open."""
    path.write_text(_text(kind, action), encoding="ascii")
    if kind in INDEXED:
        done = server.command("postmap", f"{kind}:{path}")
        assert done.returncode == 0, done.stderr
    if kind in OLD:
        os.utime(path, (1_000_000_000, 1_000_000_000))  # Postfix waits for a text that is quite new
        made = postmap(path.parent.parent, f"{kind}:{path}")
        assert made.returncode == 0, made.stderr
    return Path(f"{path}{SUFFIXES.get(kind, '')}")


def _start(posthouse: Start, close: Callable[[Path], None]) -> Instance:
    """Start a server that asks a table of each kind about every recipient."""
    directory = "{directory}/etc/tables"
    checks = [f"check_recipient_access {kind}:{directory}/{kind}" for kind in KINDS if kind != "cidr"]
    server = posthouse(
        started=False,
        main={
            "local_recipient_maps": "static:all",
            "smtpd_recipient_restrictions": ", ".join([*checks, f"check_client_access cidr:{directory}/cidr"]),
        },
    )
    (server.config_directory / "tables").mkdir()
    for kind in KINDS:
        close(_write(server, server.config_directory / "tables" / kind, kind, "DUNNO"))
    server.start_and_greet()
    return server


def _ask(session: smtplib.SMTP, kind: str) -> str:
    """Name a recipient that only the table of one kind knows."""
    session.docmd("RSET")
    assert session.docmd("MAIL", "FROM:<a@example.test>")[0] == 250
    return session.docmd("RCPT", f"TO:<{kind}@example.test>")[1].decode()


def _wait(answer: Callable[[], str], text: str, server: Instance) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while text not in (said := answer()):
        assert time.monotonic() < deadline, f"{text!r} does not come, but {said!r}:\n{server.log()[-3000:]}"
        time.sleep(0.2)


@needs_postmap
def test_a_session_sees_every_change(posthouse: Start) -> None:
    """One session, one process: text written in place, indexes made anew, and an lmdb file where a .db file was."""
    server = _start(posthouse, lambda _: None)
    with smtplib.SMTP("127.0.0.1", server.port, timeout=20) as session:
        session.ehlo("client.example.test")
        assert all("Ok" in _ask(session, kind) for kind in KINDS)
        for kind in KINDS:
            _write(server, server.config_directory / "tables" / kind, kind, f"REJECT second {kind}")
            _wait(partial(_ask, session, kind), f"second {kind}", server)
        for kind in OLD:
            path = server.config_directory / "tables" / kind
            path.write_text(_text(kind, f"REJECT third {kind}"), encoding="ascii")
            assert server.command("postmap", f"{kind}:{path}").returncode == 0
            _wait(partial(_ask, session, kind), f"third {kind}", server)
    refusing = set(re.findall(r"smtpd\[(\d+)\]: NOQUEUE: reject", server.log()))
    assert len(refusing) == 1, refusing
    assert "panic" not in server.log()


@pytest.mark.root
@needs_postmap
def test_what_only_root_may_read_comes_in_by_a_successor(posthouse: Start) -> None:
    """New sessions meet the new table; one that was there before goes on to its end in the process that has it."""

    def close(path: Path) -> None:
        path.chmod(0o600)

    server = _start(posthouse, close)

    def ask(kind: str) -> str:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=20) as other:
            other.ehlo("client.example.test")
            return _ask(other, kind)

    with smtplib.SMTP("127.0.0.1", server.port, timeout=20) as session:
        session.ehlo("client.example.test")
        assert all("Ok" in _ask(session, kind) for kind in KINDS)
        for kind in KINDS:
            fresh = server.config_directory / "new" / kind
            fresh.parent.mkdir(exist_ok=True)
            made = _write(server, fresh, kind, f"REJECT second {kind}")
            close(made)
            made.rename(server.config_directory / "tables" / made.name)
            _wait(partial(ask, kind), f"second {kind}", server)
        for kind in OLD:  # an lmdb file takes over
            fresh = server.config_directory / "new" / kind
            fresh.write_text(_text(kind, f"REJECT third {kind}"), encoding="ascii")
            assert server.command("postmap", f"{kind}:{fresh}").returncode == 0
            made = Path(f"{fresh}.lmdb")
            close(made)
            made.rename(server.config_directory / "tables" / made.name)
            _wait(partial(ask, kind), f"third {kind}", server)
        assert session.docmd("RSET")[0] == 250
    assert "panic" not in server.log()
