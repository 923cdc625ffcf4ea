"""One stream connection, driven by the event loop: raw non-blocking socket, no transport, no stream objects.

Bytes go out at once when the socket takes them and wait in a buffer otherwise. One deadline timer serves the whole
connection and is re-armed lazily, since nearly every deadline is moved before it comes. Descriptors may travel with
the bytes (SCM_RIGHTS) where the subclass asks for it.
"""

import array
import asyncio
import socket
import traceback
from collections.abc import Callable, Coroutine
from typing import ClassVar, Final, TypeVar

from posthouse.util import eager, log

READ_SIZE: Final = 256 * 1024  # bytes asked of the socket at once; one buffer serves the whole process
MAX_DESCRIPTORS: Final = 16  # taken with one read
DESCRIPTOR_WAIT_S: Final = 10.0  # how long sending a descriptor may wait for the other end

T = TypeVar("T")

_BUFFER: Final = memoryview(bytearray(READ_SIZE))
_ROOM: Final = socket.CMSG_SPACE(4 * MAX_DESCRIPTORS)


class _Bugs:
    """Who is told of a bug in a session: the skeleton, which retires the process after its other sessions."""

    report: ClassVar[Callable[[BaseException], None]] = staticmethod(lambda _error: None)


def set_bug_handler(report: Callable[[BaseException], None]) -> None:
    """Say who is told when a session ended by a bug of ours."""
    _Bugs.report = staticmethod(report)


class TurnWriter:
    """Writes of many connections, made together when all that a turn of the loop brought has been handled.

    A write wakes the other end, which on a busy machine takes the CPU at once: it comes back with cold caches. Done
    at the end of the turn, the handling runs through (a tenth less CPU in smtpd; docs/performance.md).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[Connection, bytes] = {}

    def add(self, connection: "Connection", data: bytes) -> None:
        """Write at the end of this turn."""
        if not self._waiting:
            self._loop.call_soon(self._write_all)
        self._waiting[connection] = self._waiting.get(connection, b"") + data

    def write_last(self, connection: "Connection") -> None:
        """Write what waits for one connection, which the caller closes next: both travel in one packet (MSG_MORE)."""
        if (data := self._waiting.get(connection)) is not None:
            self._waiting[connection] = b""
            connection.write(data, socket.MSG_MORE)

    def _write_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for connection, data in waiting.items():
            try:
                connection.write(data)
            except Exception as error:  # noqa: BLE001 - a session's end, not that of the others
                connection.failed(error)


class Connection:
    """Subclasses say what happens: data_received, eof_received, connection_lost, timed_out, drained."""

    high_water: ClassVar[int] = 1024 * 1024  # bytes unsent beyond which `congested` is True
    takes_descriptors: ClassVar[bool] = False

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.loop = loop
        self.socket = sock
        self.closed = False
        self._fileno = sock.fileno()
        self._unsent: list[bytes] = []
        self._unsent_size = 0
        self._closing = False
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._reading = self._writing = False
        self._broken = False  # the socket has an error; what it still holds is read
        self.resume_reading()

    # What a subclass fills in.

    def data_received(self, data: memoryview) -> None:
        """Take bytes; `data` is only valid during the call."""

    def descriptors_received(self, descriptors: list[int]) -> None:
        """Take descriptors that came with the bytes that follow."""

    def eof_received(self) -> None:
        """The other side sends no more; the default is to close."""
        self.close()

    def connection_lost(self, error: OSError | None) -> None:
        """The connection is closed: by close() (None), by the other side or by an error. Called once."""

    def timed_out(self) -> None:
        """The deadline has come; the default is to close."""
        self.close()

    def drained(self) -> None:
        """All bytes are with the kernel after they had to wait."""

    def write_failed(self, error: OSError) -> None:
        """The other side takes nothing more; the default is that this is the end, whatever it said before."""
        self._lost(error)

    def failed(self, error: BaseException) -> None:
        """A bug of ours showed in this connection: it ends, the others go on, and the process is told."""
        log.panic(f"{type(self).__name__}: " + " | ".join(traceback.format_exception(error)).replace("\n", " | "))
        self.abort()
        _Bugs.report(error)

    # What a subclass uses.

    def run(self, coroutine: Coroutine[object, None, T], then: Callable[[T], None]) -> "eager.Running[T] | None":
        """Run policy code eagerly (util/eager.py); `then` gets its value, `failed` any exception."""
        try:
            waits_for = coroutine.send(None)
        except StopIteration as stop:  # the normal case, and so the short way
            if not self.closed:
                self._take(then, stop.value)
            return None
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a session's end, not the process's
            if not self.closed:
                self.failed(error)
            return None

        def done(outcome: "eager.Outcome[T]") -> None:
            if self.closed:
                return
            if outcome.error is not None:
                self.failed(outcome.error)
            else:
                self._take(then, outcome.result())

        running = eager.Running(coroutine, done)
        running.wait(waits_for)
        return running

    def _take(self, then: Callable[[T], object], value: T) -> None:
        try:
            then(value)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a session's end, not the process's
            self.failed(error)

    @property
    def congested(self) -> bool:
        """Whether the other side reads too slowly."""
        return self._unsent_size > self.high_water

    def write(self, data: bytes, flags: int = 0) -> None:
        """Send, now or as soon as the socket takes it. flags: of send(2)."""
        if self.closed or self._closing or not data:
            return
        if self._unsent:
            self._unsent.append(data)
            self._unsent_size += len(data)
            return
        try:
            sent = self.socket.send(data, flags)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self.write_failed(error)
            return
        if sent < len(data):
            self._unsent.append(data[sent:])
            self._unsent_size += len(data) - sent
            self._writing = True
            self.loop.add_writer(self._fileno, self._on_writable)

    def write_with_descriptors(self, data: bytes, descriptors: list[int]) -> None:
        """Send `data` with descriptors (duplicated by the kernel); the caller keeps and closes its own."""
        if self.closed or self._closing:
            return
        # Rare (large content), and the descriptors must travel with their bytes: wait for the socket in place. The
        # other end is one of our daemons, which always reads; the limit keeps a dead one from holding us.
        self.socket.settimeout(DESCRIPTOR_WAIT_S)
        had_to_wait = bool(self._unsent)
        try:
            for piece in self._unsent:
                self.socket.sendall(piece)
            self._unsent.clear()
            self._unsent_size = 0
            sent = self.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))])
            self.socket.sendall(data[sent:])
        except OSError as error:
            self._lost(error)
            return
        self.socket.setblocking(False)
        self._stop_writing()
        if had_to_wait:
            self.loop.call_soon(self._tell_drained)

    def _tell_drained(self) -> None:
        if not self.closed and not self._unsent:
            self.drained()

    def close(self) -> None:
        """Close when everything written has been sent."""
        if self.closed or self._closing:
            return
        self._closing = True
        self.pause_reading()
        if not self._unsent:
            self._lost(None)

    def abort(self) -> None:
        """Close now; unsent bytes are dropped."""
        self._lost(None)

    def set_deadline(self, seconds: float) -> None:
        """Call timed_out in so many seconds, unless this is called again before; 0: never."""
        if seconds <= 0:
            self._deadline = 0.0
            return
        self._deadline = deadline = self.loop.time() + seconds
        if self._timer is None or self._timer_due > deadline:
            self._wake_at(deadline)

    def _wake_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = when
        self._timer = self.loop.call_at(when, self._on_timer)

    def pause_reading(self) -> None:
        """Take no more bytes for now (back-pressure)."""
        if self._reading:
            self._reading = False
            self.loop.remove_reader(self._fileno)

    def resume_reading(self) -> None:
        """Take bytes again."""
        if not self._reading and not self.closed and not self._closing:
            self._reading = True
            self.loop.add_reader(self._fileno, self._on_readable)

    def heed_error(self) -> None:
        """Read on if the socket has failed: for who has taken bytes, and waits for more without writing.

        libuv watches a socket no longer that has an error, even if there are bytes in it, or an end, to be read.
        """
        if not self.closed and (self._broken or self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
            self._broken = True
            self.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self.closed and not self._closing:
            self._on_readable()

    def read_rest(self) -> None:
        """Take what the other side said before it was gone."""
        while not self.closed:
            try:
                size = self._receive()
            except OSError:
                return
            if not size:
                return
            self.data_received(_BUFFER[:size])

    # Driven by the loop.

    def _on_readable(self) -> None:
        try:
            size = self._receive()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lost(error)
            return
        try:
            if size:
                self.data_received(_BUFFER[:size])
            elif not self.closed:
                self.pause_reading()
                self.eof_received()
        except Exception as error:  # noqa: BLE001 - a session's end, not the process's
            self.failed(error)

    def _receive(self) -> int:
        if not self.takes_descriptors:
            return self.socket.recv_into(_BUFFER)
        size, ancillary, _flags, _address = self.socket.recvmsg_into([_BUFFER], _ROOM, socket.MSG_CMSG_CLOEXEC)
        if ancillary:
            received = array.array("i")
            for level, kind, payload in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    received.frombytes(payload[: len(payload) - len(payload) % received.itemsize])
            self.descriptors_received(list(received))
        return size

    def _on_writable(self) -> None:
        try:
            sent = self.socket.sendmsg(self._unsent[:64])
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.write_failed(error)
            return
        self._unsent_size -= sent
        while self._unsent and sent >= len(self._unsent[0]):
            sent -= len(self._unsent.pop(0))
        if sent:
            self._unsent[0] = self._unsent[0][sent:]
        if not self._unsent:
            self._stop_writing()
            if self._closing:
                self._lost(None)
            else:
                self.drained()

    def _stop_writing(self) -> None:
        if self._writing:
            self._writing = False
            self.loop.remove_writer(self._fileno)

    def _on_timer(self) -> None:
        self._timer = None
        if self.closed or not self._deadline:
            return
        if self.loop.time() < self._deadline - 0.001:
            self._wake_at(self._deadline)
            return
        self._deadline = 0.0
        if self._closing:
            self._lost(None)
            return
        try:
            self.timed_out()
        except Exception as error:  # noqa: BLE001 - a session's end, not the process's
            self.failed(error)

    def _lost(self, error: OSError | None) -> None:
        if self.closed:
            return
        self.pause_reading()
        self.closed = True
        self._stop_writing()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._unsent.clear()
        self._unsent_size = 0
        self.socket.close()
        self.connection_lost(error)
