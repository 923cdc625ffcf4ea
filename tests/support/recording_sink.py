"""An SMTP server that remembers every message with its recipients and the time, and that refuses when told to.

For accounting: what was taken here was delivered, once for each entry. It knows just enough SMTP to be talked to by a
real client, and shares no code with the server under test. It runs in a thread of its own.
"""

import asyncio
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from tests.support import net

_END: Final = b"\r\n.\r\n"
_PATH: Final = re.compile(rb"^(?:MAIL FROM|RCPT TO):\s*<([^>]*)>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it came over the wire, dots unstuffed."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    at: float  # time.time()


@dataclass(slots=True)
class _Transaction:
    sender: str | None = None  # none before MAIL was taken
    recipients: list[str] = field(default_factory=list)


Answer = Callable[[str, str], str]  # (verb, address) -> a reply instead of the ordinary one, or ""


def _ordinary(verb: str, address: str) -> str:
    del verb, address
    return ""


class _Session(asyncio.Protocol):
    """One client."""

    def __init__(self, sink: "RecordingSink") -> None:
        self._sink = sink
        self._buffer = b""
        self._in_content = False
        self._mail = _Transaction()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._sink.sessions += 1
        self._sink.transports.add(transport)
        self._reply("220 sink.test ESMTP")

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._transport is not None:
            self._sink.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._take_content() if self._in_content else self._take_command():
            pass

    def _reply(self, text: str) -> None:
        assert self._transport is not None
        self._transport.write(text.encode() + b"\r\n")

    def _take_command(self) -> bool:
        line, end, rest = self._buffer.partition(b"\r\n")
        if not end:
            return False
        self._buffer = rest
        verb = line[:4].decode("ascii", "replace").upper()
        path = _PATH.match(line)
        address = path.group(1).decode("utf-8", "replace") if path else ""
        reply = self._sink.answer(verb, address) or self._ordinary_reply(verb)
        self._reply(reply)
        if reply.startswith("2") and verb == "MAIL":
            self._mail = _Transaction(address)
        elif reply.startswith("2") and verb == "RCPT":
            self._mail.recipients.append(address)
        elif reply.startswith("354"):
            self._in_content = True
            self._buffer = b"\r\n" + self._buffer  # so that a lone dot at once is found too
        elif verb == "RSET":
            self._mail = _Transaction()
        elif verb == "QUIT" and self._transport is not None:
            self._transport.close()
            return False
        return True

    def _ordinary_reply(self, verb: str) -> str:
        if verb == "EHLO":
            return "250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 SIZE 0"
        if verb == "DATA":
            return "354 go on" if self._mail.recipients else "554 no recipient"
        if verb == "RCPT" and self._mail.sender is None:
            return "503 MAIL first"
        return {"QUIT": "221 bye", "HELO": "250 sink.test"}.get(verb, "250 ok")

    def _take_content(self) -> bool:
        content, end, rest = self._buffer.partition(_END)
        if not end:
            return False
        self._buffer, self._in_content = rest, False
        reply = self._sink.answer(".", ",".join(self._mail.recipients)) or "250 taken"
        if reply.startswith("2"):
            plain = (content + b"\r\n")[2:].replace(b"\r\n..", b"\r\n.")
            plain = plain[1:] if plain.startswith(b"..") else plain
            self._sink.keep(Received(self._mail.sender or "", tuple(self._mail.recipients), plain, time.time()))
        self._reply(reply)
        self._mail = _Transaction()
        return True


class RecordingSink:
    """The server; `with RecordingSink() as sink:` runs it."""

    def __init__(self, answer: Answer = _ordinary) -> None:
        self.port = net.free_port()
        self.answer = answer
        self.sessions = 0
        self.transports: set[asyncio.Transport] = set()
        self._received: list[Received] = []
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="recording sink", daemon=True)
        self._listening = threading.Event()

    def __enter__(self) -> Self:
        """Start and wait until it listens."""
        self._thread.start()
        assert self._listening.wait(10), "the sink does not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        async def listen() -> asyncio.Server:
            return await self._loop.create_server(lambda: _Session(self), net.LOOPBACK, self.port, backlog=500)

        server = self._loop.run_until_complete(listen())
        self._listening.set()
        self._loop.run_forever()
        server.close()
        for transport in tuple(self.transports):
            transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0.01))  # lets them close
        self._loop.close()

    def keep(self, message: Received) -> None:
        """Remember one message (called by its sessions)."""
        with self._lock:
            self._received.append(message)

    @property
    def received(self) -> list[Received]:
        """Return everything taken so far."""
        with self._lock:
            return list(self._received)

    def take(self) -> list[Received]:
        """Return everything taken so far, and forget it."""
        with self._lock:
            taken, self._received = self._received, []
            return taken

    def wait(self, count: int, limit_s: float = 20) -> list[Received]:
        """Wait until that many messages were taken. Raises TimeoutError."""
        deadline = time.monotonic() + limit_s
        while len(got := self.received) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the sink has {len(got)} messages, not {count}")
            time.sleep(0.02)
        return got
