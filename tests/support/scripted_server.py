"""A server for tests that does exactly what a script says, however wrong that is. Threads; one for each connection."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from tests.support import net

END: Final = b"\r\n.\r\n"


class Talk:
    """One connection, as the script sees it. The client going away ends the script quietly."""

    def __init__(self, sock: socket.socket, number: int, stopping: threading.Event) -> None:
        self._socket = sock
        self._stopping = stopping
        self._buffer = b""
        self.number = number  # of the connection, from 0
        self.heard: list[bytes] = []

    def say(self, text: str | bytes) -> None:
        """Send; text lines are separated by "|" and get their CRLF."""
        if isinstance(text, str):
            text = b"".join(line.encode() + b"\r\n" for line in text.split("|"))
        self._socket.sendall(text)

    def line(self) -> bytes:
        """Read one line, without its CRLF."""
        line = self._until(b"\r\n")
        self.heard.append(line)
        return line

    def content(self) -> bytes:
        """Read content up to and without the final dot."""
        self._buffer = b"\r\n" + self._buffer
        content = self._until(END)[2:]
        self.heard.append(content)
        return content

    def octets(self, size: int) -> None:
        """Read so many octets, of whatever it is; all that has come is taken."""
        while len(self._buffer) < size:
            self._buffer += self._receive()
        self._buffer = b""

    def hang(self) -> None:
        """Say nothing until the test is over or the client leaves."""
        while not self._stopping.is_set():
            self._socket.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                if not self._socket.recv(65536):
                    return

    def reset(self) -> None:
        """Leave at once, by RST: what was said before is still with the client, and an error behind it."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def trickle(self, data: bytes, every_s: float) -> None:
        """Send one octet at a time."""
        for octet in data:
            if self._stopping.is_set():
                return
            self._socket.sendall(bytes([octet]))
            time.sleep(every_s)

    def converse(self, replies: dict[str, str] | None = None) -> None:
        """Greet and answer well, but for the verbs of which `replies` says how; "" closes without a reply."""
        answers = {
            "GREETING": "220 scripted.test ESMTP",
            "DATA": "354 go on",
            ".": "250 2.0.0 Ok: queued",
            "QUIT": "221 bye",
        }
        answers["EHLO"] = "250-scripted.test|250-PIPELINING|250-DSN|250 8BITMIME"
        answers["LHLO"] = answers["EHLO"]
        answers |= replies or {}
        verb = "GREETING"
        while True:
            answer = answers.get(verb, "250 2.0.0 Ok")
            if not answer:
                return
            self.say(answer)
            if verb == "QUIT":
                return
            if verb == "DATA" and answer.startswith("354"):
                self.content()
                verb = "."
            else:
                verb = self.line().partition(b" ")[0].decode().upper()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._buffer += self._receive()
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _receive(self) -> bytes:
        self._socket.settimeout(20)
        piece = self._socket.recv(65536)
        if not piece:
            raise ConnectionError
        return piece


Script = Callable[[Talk], None]


class ScriptedServer:
    """The server; `with ScriptedServer(script) as server:` runs it on server.port, or on a UNIX socket."""

    def __init__(self, script: Script, *, address: str = "127.0.0.1", port: int = 0, path: str = "") -> None:
        self._script = script
        self.path = path
        self.address = address
        self.port = 0 if path else port or net.free_port()
        self.talks: list[Talk] = []
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        """Start to listen."""
        self._listener = socket.socket(socket.AF_UNIX if self.path else socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(self.path or (self.address, self.port))
        self._listener.listen(100)
        self._listener.settimeout(0.05)
        self._run(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def stop(self) -> None:
        """Begin to stop; leaving the context waits for it."""
        self._stopping.set()

    def _run(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            talk = Talk(sock, len(self.talks), self._stopping)
            self.talks.append(talk)

            def run(talk: Talk = talk, sock: socket.socket = sock) -> None:
                with sock, contextlib.suppress(OSError):
                    self._script(talk)

            self._run(run)

    def heard(self) -> list[bytes]:
        """Everything clients said, over all connections."""
        return [line for talk in self.talks for line in talk.heard]
