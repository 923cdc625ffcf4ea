"""Bombs at a running server: each gets its answer, no process dies, and everybody else's mail passes meanwhile."""

import re
import threading
from typing import Final, Self

import pytest

from tests.conftest import Start
from tests.support import bombs
from tests.support.instance import Instance

SIZE: Final = 30_000
FAR: Final = "user@far.test"
WATCHED: Final = ("smtpd", "cleanup", "trivial-rewrite", "qmgr")


@pytest.fixture
def server(posthouse: Start) -> Instance:
    """Discards everything, and looks at content as strictly as it can."""
    needles = "/^Subject: needle/ WARN\n/(n+)+eedle$/ WARN\n"
    return posthouse(
        main={
            "default_transport": "discard:",
            "mydestination": "",
            "header_checks": "pcre:{directory}/etc/checks",
            "nested_header_checks": "$header_checks",
            "body_checks": "regexp:{directory}/etc/needles",
            "smtpd_client_connection_count_limit": "0",
        },
        files={"checks": needles + "/^(?=x)(x+)+$/ WARN\n", "needles": needles},
    )


def processes(server: Instance) -> dict[int, str]:
    """Name the server's processes that may not die."""
    return {process.pid: process.name for process in server.processes() if process.name in WATCHED}


class Others:
    """Somebody else, who sends one message after the other until he is told to stop."""

    def __init__(self, port: int) -> None:
        self.replies: list[bytes] = []
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _send(self) -> None:
        while not self._stop.wait(0.02):
            self.replies.append(bombs.send(self._port, bombs.START + b"\nordinary\n", FAR))


def test_bombs(server: Instance) -> None:
    """All kinds, one after the other, by way of header and body checks."""
    bombs.send(server.port, bombs.START + b"\nbegin\n", FAR)
    before = processes(server)
    with Others(server.port) as others:
        replies = {
            name: bombs.drop(server.port, name, make(SIZE // 8 if name == bombs.TINY else SIZE), FAR)
            for name, make in bombs.BOMBS.items()
        }
        wild = bombs.send(server.port, bombs.START + b"x" * 1_500 + b": y\n\nbody\n", FAR)
    refused = {name: reply for name, reply in replies.items() if not reply.startswith(b"250 ")}
    assert refused == {
        "MIME depth": b"550 5.6.0 MIME nesting exceeds safety limit\r\n",
        "Received lines": b"554 5.4.0 Error: too many hops\r\n",
    }
    assert wild.startswith(b"451 4.3.0 "), "a pattern that goes wild is a table that cannot be asked"
    assert re.search(r"pcre map \S+/etc/checks, line 3: (match|heap) limit exceeded", server.log())
    assert others.replies
    assert all(reply.startswith(b"250 ") for reply in others.replies)
    assert before.items() <= processes(server).items(), "a process has died"
    server.wait_queue_empty(60)
    assert "Traceback" not in server.log()
