"""Clients that know which of their messages were answered 250: the ledger of the crash tests.

Each message carries a token that occurs nowhere else. A token is *acknowledged* once the whole 250 to its final dot was
read, and only then; everything sent before that may or may not arrive. The ledger lives in this process, outside of
what is killed.
"""

import itertools
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.support import net

TOKEN_PREFIX: Final = "tk"  # followed by 16 hexadecimal digits and the recipient's number
_REPLY_LIMIT_S: Final = 60


@dataclass(slots=True)
class Ledger:
    """What was sent, what was promised."""

    tried: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    broken: int = 0  # connections that ended under a message
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def try_(self, token: str) -> None:
        """Note a message that is about to be sent."""
        with self._lock:
            self.tried.add(token)

    def acknowledge(self, token: str) -> None:
        """Note the 250 to a message."""
        with self._lock:
            self.acknowledged.add(token)

    def refuse(self, reply: bytes) -> None:
        """Note any other reply: the client keeps the message."""
        with self._lock:
            self.refused[reply.decode("latin-1").strip()[:120]] += 1

    def break_(self) -> None:
        """Note a connection that was lost."""
        with self._lock:
            self.broken += 1

    def promised(self) -> set[str]:
        """Return what has been acknowledged until now."""
        with self._lock:
            return set(self.acknowledged)

    def check(self, delivered: Iterable[str], doubles_allowed: int = 0) -> Counter[str]:
        """Hold the ledger against what arrived. Raises AssertionError for lost, invented or doubled messages."""
        counted = Counter(delivered)
        lost = self.acknowledged - set(counted)
        assert not lost, f"{len(lost)} of {len(self.acknowledged)} acknowledged messages are lost: {sorted(lost)[:5]}"
        invented = set(counted) - self.tried
        assert not invented, f"arrived but never sent: {sorted(invented)[:5]}"
        doubled = {token: count for token, count in counted.items() if count > 1}
        extra = sum(doubled.values()) - len(doubled)
        assert extra <= doubles_allowed, f"{extra} messages too many, {doubles_allowed} allowed: {sorted(doubled)[:5]}"
        return counted


def find_tokens(contents: Iterable[bytes]) -> list[str]:
    """Return the token of each message; a message without one is an error."""
    found = []
    for content in contents:
        _, mark, rest = content.partition(b"X-Token: ")
        assert mark, f"a message without a token: {content[:300]!r}"
        found.append(rest.split(b"\n", 1)[0].strip().decode())
    return found


class Clients(threading.Thread):
    """Some clients that send one message after the other until they are told to stop."""

    def __init__(
        self, port: int, ledger: Ledger, recipients: Sequence[str], connections: int = 4, size_bytes: int = 2048
    ) -> None:
        super().__init__(name="clients", daemon=True)
        self.ledger = ledger
        self._port = port
        self._recipients = itertools.cycle(recipients)
        self._connections = connections
        self._body = b"".join(b"%062d\r\n" % n for n in range(size_bytes // 64))
        self._ending = threading.Event()

    def run(self) -> None:
        """Run the clients, each in a thread."""
        threads = [threading.Thread(target=self._client, daemon=True) for _ in range(self._connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def finish(self, limit_s: float = _REPLY_LIMIT_S + 10) -> None:
        """Let each client end its message, then stop."""
        self._ending.set()
        self.join(limit_s)
        assert not self.is_alive(), "a client hangs"

    def _client(self) -> None:
        while not self._ending.is_set():
            try:
                with socket.create_connection((net.LOOPBACK, self._port), timeout=_REPLY_LIMIT_S) as sock:
                    self._session(sock)
            except OSError:
                self.ledger.break_()
                time.sleep(0.02)

    def _session(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not net.read_reply(sock).startswith(b"220"):
            raise ConnectionError("no greeting")
        self._say(sock, b"EHLO client.test\r\n", b"250")
        while not self._ending.is_set():
            if not self._message(sock):
                return
        sock.sendall(b"QUIT\r\n")

    def _message(self, sock: socket.socket) -> bool:
        token = TOKEN_PREFIX + secrets.token_hex(8)
        recipient = next(self._recipients)
        steps = (b"MAIL FROM:<sender@client.test>\r\n", f"RCPT TO:<{recipient}>\r\n".encode(), b"DATA\r\n")
        for step, code in zip(steps, (b"250", b"250", b"354"), strict=True):
            if not self._say(sock, step, code):
                return False
        header = f"From: sender@client.test\r\nTo: {recipient}\r\nSubject: {token}\r\nX-Token: {token}\r\n\r\n"
        self.ledger.try_(token)
        if not self._say(sock, header.encode() + self._body + b".\r\n", b"250"):
            return False
        self.ledger.acknowledge(token)
        return True

    def _say(self, sock: socket.socket, data: bytes, code: bytes) -> bool:
        sock.sendall(data)
        reply = net.read_reply(sock)
        if not reply.endswith(b"\r\n"):
            raise ConnectionError("ended in a reply")
        if not reply.startswith(code):
            self.ledger.refuse(reply)
            return False
        return True
