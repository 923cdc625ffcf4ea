"""Many SMTP servers that hold their clients up: one thread, one port, an address of 127.0.1.0/24 for each.

What a server does is given by its number: it accepts and says nothing; it greets an octet a second; it greets, and
answers nothing more; it answers all but the end of the content.
"""

import asyncio
import threading
from types import TracebackType
from typing import Final, Self

from tests.support import net

KINDS: Final = ("accepts and says nothing", "an octet a second", "greets and falls silent", "silent after the dot")
OCTET_S: Final = 1.0
_ANSWERS: Final = {"EHLO": b"250 tarpit.test\r\n", "DATA": b"354 go on\r\n"}


class _Held(asyncio.Protocol):
    """One client."""

    def __init__(self, tarpits: "Tarpits", kind: int) -> None:
        self._tarpits, self._kind = tarpits, kind
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._tarpits.held += 1
        self._tarpits.transports.add(transport)
        if self._kind == 1:
            self._say_octet(0)
        elif self._kind > 1:
            transport.write(b"220 tarpit.test ESMTP\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._tarpits.held -= 1
        if self._transport is not None:
            self._tarpits.transports.discard(self._transport)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        verb = data[:4].decode("latin-1").upper()
        if self._kind == 3 and self._transport is not None and verb in ("EHLO", "MAIL", "RCPT", "DATA"):
            self._transport.write(_ANSWERS.get(verb, b"250 ok\r\n"))

    def _say_octet(self, number: int) -> None:
        assert self._transport is not None
        self._transport.write(b"220-wait for it\r\n"[number % 17 : number % 17 + 1])
        self._timer = asyncio.get_running_loop().call_later(OCTET_S, self._say_octet, number + 1)


class Tarpits:
    """`with Tarpits(50) as tarpits:` runs them; nexthops() names them for transport_maps."""

    def __init__(self, count: int) -> None:
        self.port = net.free_port()
        self.addresses = [f"127.0.1.{number + 1}" for number in range(count)]
        self.held = 0  # clients now
        self.transports: set[asyncio.Transport] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="tarpits", daemon=True)
        self._listening = threading.Event()

    def nexthops(self) -> list[str]:
        """Give the destination of each."""
        return [f"[{address}]:{self.port}" for address in self.addresses]

    def __enter__(self) -> Self:
        """Start and wait until they listen."""
        self._thread.start()
        assert self._listening.wait(10), "the tarpits do not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _listen(self) -> list[asyncio.Server]:
        return [
            await self._loop.create_server(
                lambda number=number: _Held(self, number % len(KINDS)),  # type: ignore[misc]
                address,
                self.port,
            )
            for number, address in enumerate(self.addresses)
        ]

    def _run(self) -> None:
        servers = self._loop.run_until_complete(self._listen())
        self._listening.set()
        self._loop.run_forever()
        for server in servers:
            server.close()
        for transport in tuple(self.transports):
            transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0.01))  # lets them close
        self._loop.close()
