"""Bombs at a running server: each gets its answer, no process dies, and everybody else's mail passes meanwhile."""

import contextlib
import re
import socket
import threading
from typing import Final, Self

import pytest

from tests.conftest import Start
from tests.support import bombs, net
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
    """Thirteen kinds, one after the other, by way of header and body checks."""
    bombs.send(server.port, bombs.START + b"\nbegin\n", FAR)
    before = processes(server)
    with Others(server.port) as others:
        replies = {
            name: bombs.send(server.port, make(SIZE // 8 if name == bombs.TINY else SIZE), FAR, piece=_piece(name))
            for name, make in bombs.BOMBS.items()
        }
        hammered = tiny_chunks(server.port)
        wild = bombs.send(server.port, bombs.START + b"x" * 1_500 + b": y\n\nbody\n", FAR)
    refused = {name: reply for name, reply in replies.items() if not reply.startswith(b"250 ")}
    assert refused == {
        "MIME depth": b"550 5.6.0 MIME nesting exceeds safety limit\r\n",
        "Received lines": b"554 5.4.0 Error: too many hops\r\n",
    }
    assert hammered.startswith(b"5")
    assert wild.startswith(b"451 4.3.0 "), "a pattern that goes wild is a table that cannot be asked"
    assert re.search(r"pcre map \S+/etc/checks, line 3: (match|heap) limit exceeded", server.log())
    assert others.replies
    assert all(reply.startswith(b"250 ") for reply in others.replies)
    assert before.items() <= processes(server).items(), "a process has died"
    server.wait_queue_empty(60)
    assert "Traceback" not in server.log()


def _piece(name: str) -> int:
    return 1 if name == bombs.TINY else 65536


def tiny_chunks(port: int) -> bytes:
    """Send a message in chunks of one octet (RFC 3030), which nobody has offered; give the first answer to a chunk."""
    with socket.create_connection((net.LOOPBACK, port), timeout=60) as sock:
        net.read_reply(sock)
        for line in ("EHLO client.test", "MAIL FROM:<a@client.test>", f"RCPT TO:<{FAR}>"):
            sock.sendall(line.encode() + b"\r\n")
            net.read_reply(sock)
        with contextlib.suppress(OSError):  # it may have had enough
            for _ in range(1000):
                sock.sendall(b"BDAT 1\r\nx")
        return net.read_reply(sock)
