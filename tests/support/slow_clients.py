"""Many clients that hold a server up, in one thread: silent, an octet a second, or in the middle of a message."""

import selectors
import socket
import threading
import time
from types import TracebackType
from typing import Final, Self

from tests.support import net

KINDS: Final = ("silent after the greeting", "a command an octet a second", "content an octet a second")
CONTENT: Final = 2  # the kind that sends content
EVERY_S: Final = 1.0
BEGIN: Final = (b"EHLO slow.test\r\n", b"MAIL FROM:<a@slow.test>\r\n", b"RCPT TO:<user@example.test>\r\n", b"DATA\r\n")


class SlowClients:
    """`with SlowClients(port, 2000) as slow:`; slow.settled of them are where they want to stay."""

    def __init__(self, port: int, count: int) -> None:
        self._port, self._count = port, count
        self.settled = self.gone = 0
        self._sockets: dict[socket.socket, int] = {}
        self._steps: dict[socket.socket, int] = {}  # replies heard
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slow clients", daemon=True)

    def __enter__(self) -> Self:
        """Begin to connect."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave, all at once."""
        self._ending.set()
        self._thread.join(20)
        for sock in self._sockets:
            sock.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            spoke = time.monotonic()
            while not self._ending.is_set():
                for _ in range(min(50, self._count - self._begun)):
                    self._connect(selector)
                for key, _ in selector.select(0.02):
                    assert isinstance(key.fileobj, socket.socket)
                    self._hear(selector, key.fileobj)
                if time.monotonic() - spoke > EVERY_S:
                    spoke = time.monotonic()
                    self._speak()

    @property
    def _begun(self) -> int:
        return len(self._sockets) + self.gone

    def _connect(self, selector: selectors.BaseSelector) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex((net.LOOPBACK, self._port))
        self._sockets[sock] = self._begun % len(KINDS)
        selector.register(sock, selectors.EVENT_READ)

    def _hear(self, selector: selectors.BaseSelector, sock: socket.socket) -> None:
        try:
            said = sock.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if said[:1] in (b"2", b"3") and said:
            step = self._steps[sock] = self._steps.get(sock, -1) + 1
            last = len(BEGIN) if self._sockets[sock] == CONTENT else 0
            self.settled += step == last
            if step < last:
                sock.send(BEGIN[step])
        if not said:
            self.gone += 1
            selector.unregister(sock)
            del self._sockets[sock]
            sock.close()

    def _speak(self) -> None:
        for sock, kind in self._sockets.items():
            if kind == 1 or (kind == CONTENT and self._steps.get(sock) == len(BEGIN)):
                try:
                    sock.send(b"x")
                except OSError:
                    continue  # not connected yet, or gone
