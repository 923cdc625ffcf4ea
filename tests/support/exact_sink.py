"""An SMTP server that keeps the octets of every message and of the commands that brought it; one thread per client.

Unlike recording_sink.py it reads no address: what two servers say to a third is compared as it stands on the wire.
"""

import re
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader
from types import TracebackType
from typing import Final, Self

from tests.support import net

FEATURES: Final = ("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 0")
_ENVID: Final = re.compile(rb" ENVID=([^ ]+)", re.IGNORECASE)
_CLIENT_LIMIT_S: Final = 120


@dataclass(frozen=True, slots=True)
class Delivery:
    """One transaction: MAIL and RCPT commands without line ends, and content with its CRLFs, dots unstuffed."""

    mail: bytes
    recipients: tuple[bytes, ...]
    content: bytes

    @property
    def envid(self) -> bytes:
        """What the sender called the envelope (RFC 3461 4.4); empty when it has no name."""
        found = _ENVID.search(self.mail)
        return found[1] if found else b""


class ExactSink:
    """The server; `with ExactSink() as sink:` runs it. features: what EHLO announces."""

    def __init__(self, features: Sequence[str] = FEATURES) -> None:
        self._features = features
        self._listener = socket.create_server((net.LOOPBACK, 0), backlog=200)
        self.port: int = self._listener.getsockname()[1]
        self._taken: list[Delivery] = []
        self._lock = threading.Lock()
        self._clients: set[socket.socket] = set()

    def __enter__(self) -> Self:
        """Begin to accept."""
        threading.Thread(target=self._accept, name="exact sink", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close everything: what reads or accepts meanwhile ends with an error of its own."""
        with self._lock:
            sockets = [self._listener, *self._clients]
        for each in sockets:
            _shut(each)
        self._listener.close()

    @property
    def taken(self) -> list[Delivery]:
        """Return all deliveries so far."""
        with self._lock:
            return list(self._taken)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._clients.add(client)
            threading.Thread(target=self._serve, args=(client,), name="exact sink's client", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(_CLIENT_LIMIT_S)
        try:
            with client, client.makefile("rb") as lines:
                client.sendall(b"220 sink.test ESMTP\r\n")
                _Dialog(self, client, lines).run()
        except OSError:
            return  # the client went away, or the sink was closed
        finally:
            with self._lock:
                self._clients.discard(client)

    def greeting(self) -> bytes:
        """Give the reply to EHLO."""
        words = ["sink.test", *self._features]
        lines = [f"250-{word}\r\n" for word in words[:-1]]
        return "".join([*lines, f"250 {words[-1]}\r\n"]).encode()

    def keep(self, delivery: Delivery) -> None:
        """Remember a delivery."""
        with self._lock:
            self._taken.append(delivery)


class _Dialog:
    """One client."""

    def __init__(self, sink: ExactSink, client: socket.socket, lines: BufferedReader) -> None:
        self._sink = sink
        self._client = client
        self._lines = lines
        self._mail = b""
        self._recipients: list[bytes] = []

    def run(self) -> None:
        """Answer until QUIT or the end."""
        while line := self._lines.readline():
            command = line.rstrip(b"\r\n")
            verb = command[:4].upper()
            if verb == b"DATA":
                self._client.sendall(b"354 go on\r\n")
                self._sink.keep(Delivery(self._mail, tuple(self._recipients), self._content()))
            elif verb == b"MAIL":
                self._mail, self._recipients = command, []
            elif verb == b"RCPT":
                self._recipients.append(command)
            self._client.sendall(self._sink.greeting() if verb == b"EHLO" else _REPLIES.get(verb, b"250 ok\r\n"))
            if verb == b"QUIT":
                return

    def _content(self) -> bytes:
        """Read to the final dot; only CRLF ends a line here."""
        pieces: list[bytes] = []
        at_start = True
        while line := self._lines.readline():
            if at_start and line == b".\r\n":
                return b"".join(pieces)
            pieces.append(line[1:] if at_start and line.startswith(b".") else line)
            at_start = line.endswith(b"\r\n")
        raise ConnectionError("ended in content")


_REPLIES: Final = {b"QUIT": b"221 bye\r\n"}


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it was not connected any more
