"""Channel and Client: declared, versioned records over a UNIX stream socket.

A frame is a 4-octet length (network order) and one msgpack record. The first frame each way is Hello with the
protocol's name and version; anything else, and any record that does not decode strictly, ends the connection: a peer
that breaks the protocol is cut off, never believed. Records written in one turn of the event loop leave in one write.

Requests carry a number and are answered by a reply with the same number, in any order. `Client` keeps a request until
it is answered and sends it again after a reconnect, so every request must be idempotent. docs/adr/0005-ipc.md.
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec

from posthouse.ipc.codec import Decoder, RecordError, encode
from posthouse.ipc.record import Hello, PeerCredentials, Request
from posthouse.util import log
from posthouse.util.connection import Connection
from posthouse.util.errors import TemporaryError

MAX_DESCRIPTORS: Final = 32  # that came and were not taken; more than the records that one read can hold
MAX_HELLO: Final = 256  # bytes of the first frame; who says more speaks something else
MAX_FRAME: Final = 16 * 1024 * 1024 - 1  # bytes; the first octet of a length is always 0 (qmgr tells triggers by it)
MAX_LOST: Final = 8  # connections with the same request
# Waits between attempts; the last one repeats.
RECONNECT_S: Final[tuple[float, ...]] = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
SO_PASSRIGHTS: Final = 83  # asm-generic/socket.h; Python 3.11 has no name for it
_LENGTH: Final = struct.Struct(">I")
_CREDENTIALS: Final = struct.Struct("3i")


R = TypeVar("R")
Q = TypeVar("Q", bound=Request)


class Protocol(Generic[R]):
    """The records that one end receives. Made once for each end of each internal protocol.

    max_frame: bytes of its longest record. Small where any user may connect: what a frame may hold is kept in memory.
    """

    def __init__(
        self,
        name: str,
        version: int,
        receives: Any,  # noqa: ANN401 - a union type is no type[T]
        *,
        max_frame: int = MAX_FRAME,
    ) -> None:
        self.name = name
        self.version = version
        self.max_frame = max_frame
        self.hello = Hello(name, version)
        self.decode: Callable[[bytes | memoryview], R] = Decoder[R](receives).decode


_decode_hello: Final = Decoder[Hello](Hello).decode


def peer_credentials(sock: socket.socket) -> PeerCredentials:
    """Ask the kernel who connected."""
    return PeerCredentials(*_CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)))


def connect_to(path: str) -> socket.socket:
    """Connect to a daemon's socket without waiting. Raises OSError: nobody listens, or no descriptor is left."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def refuse_descriptors(listeners: Iterable[socket.socket]) -> None:
    """Let nobody pass descriptors to sockets that users can reach (SO_PASSRIGHTS, Linux 6.16; unix(7)).

    Dropping a descriptor closes it, and closing somebody else's TCP connection can take as long as he likes
    (SO_LINGER). Older kernels cannot refuse; there a user can hold up the daemon that way.
    """
    for listener in listeners:
        if listener.family == socket.AF_UNIX:
            with contextlib.suppress(OSError):
                listener.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)


def encode_frame(record: msgspec.Struct) -> bytes:
    """One record as a frame, for an end that has no Channel (a blocking child)."""
    frame = encode(record)
    return _LENGTH.pack(len(frame)) + frame


def peek_hello(sock: socket.socket) -> Hello | bytes:
    """Look, without taking it, at what a new connection says first: Hello, or anything else as raw bytes.

    For a socket that serves several protocols. Raises BlockingIOError: nothing came yet; OSError.
    """
    start = sock.recv(256, socket.MSG_PEEK)
    if len(start) > _LENGTH.size and start[0] == 0:
        (length,) = _LENGTH.unpack_from(start)
        with contextlib.suppress(RecordError):
            return _decode_hello(memoryview(start)[_LENGTH.size : _LENGTH.size + length])
    return start


class Channel(Connection, Generic[R]):
    """One end of a stream of records. `on_record` gets each; `on_close` is called once at the end."""

    takes_descriptors: ClassVar[bool] = True
    high_water: ClassVar[int] = 4 * 1024 * 1024

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        protocol: Protocol[R],
        on_record: Callable[["Channel[R]", R], None],
        on_close: Callable[["Channel[R]"], None],
    ) -> None:
        self._protocol = protocol
        self._on_record = on_record
        self._on_close = on_close
        self._partial = bytearray()
        self._out: list[bytes] = []
        self._out_size = 0
        self._flushing = False  # flush() runs in the next turn of the loop
        self._greeted = False
        self._descriptors: list[int] = []
        self.on_drained: Callable[[], None] | None = None
        self.peer: PeerCredentials | None = None
        super().__init__(loop, sock)
        self.send(protocol.hello)

    @property
    def congested(self) -> bool:
        """Whether the other end reads too slowly, or this turn of the loop has written too much already."""
        return self._unsent_size + self._out_size > self.high_water

    @property
    def greeted(self) -> bool:
        """Whether the other end has taken the connection."""
        return self._greeted

    def send(self, record: msgspec.Struct) -> None:
        """Send a record with the others of this turn of the loop."""
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self.flush)
        self.send_with_next(record)

    def send_with_next(self, record: msgspec.Struct) -> None:
        """Send a record that nobody waits for: it travels with the next one, and wakes nobody for itself."""
        frame = encode(record)
        size = len(frame)
        assert size <= MAX_FRAME, "a record beyond the frame limit"
        self._out += (_LENGTH.pack(size), frame)
        self._out_size += size

    def send_with_descriptor(self, record: msgspec.Struct, descriptor: int) -> None:
        """Send a record that says it has a descriptor, and the descriptor; the caller closes its own copy."""
        self.flush()
        frame = encode(record)
        self.write_with_descriptors(_LENGTH.pack(len(frame)) + frame, [descriptor])

    def take_descriptor(self) -> int:
        """Take the descriptor that came with the record being handled; the caller owns it. Raises TemporaryError."""
        if not self._descriptors:
            self._refuse("a record promised a descriptor that did not come")
            raise TemporaryError("descriptor missing")
        return self._descriptors.pop(0)

    def flush(self) -> None:
        """Send now what was written in this turn."""
        self._flushing = False
        if self._out:
            data = b"".join(self._out)
            self._out.clear()
            self._out_size = 0
            self.write(data)

    def data_received(self, data: memoryview) -> None:
        """Cut frames and hand each record on."""
        if self._partial:
            self._partial += data
            with memoryview(bytes(self._partial)) as whole:
                used = self._frames(whole)
            del self._partial[:used]
        else:
            used = self._frames(data)
            if used < len(data):
                self._partial += data[used:]
        self.heed_error()

    def _frames(self, data: memoryview) -> int:
        position, end, decode = 0, len(data), self._protocol.decode
        while end - position >= _LENGTH.size and not self.closed:
            (length,) = _LENGTH.unpack_from(data, position)
            if length > (self._protocol.max_frame if self._greeted else MAX_HELLO):
                self._refuse(f"a frame of {length} bytes")
                break
            start = position + _LENGTH.size
            if end - start < length:
                break
            position = start + length
            try:
                if self._greeted:
                    record = decode(data[start:position])
                else:
                    self._take_hello(data[start:position])
                    continue
            except RecordError as error:
                self._refuse(f"a record that does not decode: {error}")
                break
            try:
                self._on_record(self, record)
            except TemporaryError:  # of take_descriptor, which has closed the connection
                if not self.closed:
                    raise
        return position

    def _take_hello(self, frame: memoryview) -> None:
        hello = _decode_hello(frame)
        if (hello.protocol, hello.version) != (self._protocol.name, self._protocol.version):
            self._refuse(f"protocol {hello.protocol} version {hello.version}")
        self._greeted = True

    def _refuse(self, what: str) -> None:
        log.warning(f"{self._protocol.name} protocol: the other end sent {what}; connection closed")
        self.abort()

    def descriptors_received(self, descriptors: list[int]) -> None:
        """Keep descriptors for the records they came with; nobody sends more than he has records for."""
        self._descriptors += descriptors
        if len(self._descriptors) > MAX_DESCRIPTORS:
            self._refuse("descriptors that belong to no record")

    def close(self) -> None:
        """Close when everything has been sent, what was written in this turn too."""
        self.flush()
        super().close()

    def drained(self) -> None:
        """Tell who waits for room."""
        if self.on_drained is not None:
            self.on_drained()

    def connection_lost(self, error: OSError | None) -> None:
        """Close descriptors nobody took, and tell the owner."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
        self._on_close(self)


class _Waiting(Generic[R]):
    __slots__ = ("deadline", "future", "lost", "request")

    def __init__(self, request: Request, future: "asyncio.Future[R]", deadline: float) -> None:
        self.request, self.future, self.deadline = request, future, deadline
        self.lost = 0  # connections that ended before it was answered


class Client(Generic[R]):
    """Requests to one service, over one connection that is made when needed and again when lost.

    A request whose connection is lost is sent again; after `timeout_s` without an answer, or when MAX_LOST connections
    were lost with it, its future gets TemporaryError: one that ends the other side each time must not do so for ever.
    Descriptors cannot be part of a request (they can be of a reply).
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, path: str, protocol: Protocol[R], *, timeout_s: float = 3600.0
    ) -> None:
        self._loop = loop
        self._path = path
        self._protocol = protocol
        self._timeout_s = timeout_s
        self._channel: Channel[R] | None = None
        self._waiting: dict[int, _Waiting[R]] = {}
        self._number = 0
        self._attempt = 0
        self._sweep: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None

    def next_id(self) -> int:
        """Number for the next request."""
        self._number += 1
        return self._number

    def request(self, request: Request) -> "asyncio.Future[R]":
        """Send a request made with next_id(); the future gets its reply, or TemporaryError."""
        future: asyncio.Future[R] = self._loop.create_future()
        self._waiting[request.id] = _Waiting(request, future, self._loop.time() + self._timeout_s)
        if self._channel is not None:
            self._channel.send(request)
        elif self._retry is None:
            self._connect()
        if self._sweep is None:
            self._sweep = self._loop.call_later(min(self._timeout_s, 1.0), self._expire)
        return future

    def close(self) -> None:
        """Close the connection; what still waits gets TemporaryError."""
        for timer in (self._sweep, self._retry):
            if timer is not None:
                timer.cancel()
        if self._channel is not None:
            channel, self._channel = self._channel, None
            channel.close()
        for waiting in self._waiting.values():
            if not waiting.future.done():
                waiting.future.set_exception(TemporaryError(f"{self._protocol.name} service: closed"))
        self._waiting.clear()

    def take_descriptor(self) -> int:
        """Take the descriptor that came with the reply just received; the caller owns it. Raises TemporaryError."""
        if self._channel is None:
            raise TemporaryError(f"{self._protocol.name} service: connection lost")
        return self._channel.take_descriptor()

    @property
    def idle(self) -> bool:
        """Whether nothing waits for a reply."""
        return not self._waiting

    def _connect(self) -> None:
        self._retry = None
        if self._channel is not None or not self._waiting:
            return
        try:
            sock = connect_to(self._path)
        except OSError as error:  # nobody listens, the listen queue is full (EAGAIN), no descriptor is left
            if self._attempt == len(RECONNECT_S):
                log.warning(f"connect to {self._path}: {error}; trying on")
            wait = RECONNECT_S[min(self._attempt, len(RECONNECT_S) - 1)]
            self._attempt += 1
            self._retry = self._loop.call_later(wait, self._connect)
            return
        self._channel = Channel(self._loop, sock, self._protocol, self._on_record, self._on_close)
        for waiting in self._waiting.values():
            self._channel.send(waiting.request)

    def _on_record(self, channel: Channel[R], record: R) -> None:
        self._attempt = 0
        assert isinstance(record, Request)
        waiting = self._waiting.pop(record.id, None)
        if waiting is not None and not waiting.future.done():
            waiting.future.set_result(record)

    def _on_close(self, channel: Channel[R]) -> None:
        if channel is not self._channel:
            return
        self._channel = None
        for number, waiting in list(self._waiting.items()):
            waiting.lost += 1
            if waiting.lost >= MAX_LOST:
                self._give_up(number, f"{self._protocol.name} service: no answer over {MAX_LOST} connections")
        if self._waiting:
            wait = RECONNECT_S[min(self._attempt, len(RECONNECT_S) - 1)]
            self._attempt += 1
            self._retry = self._loop.call_later(wait, self._connect)

    def _expire(self) -> None:
        self._sweep = None
        now = self._loop.time()
        for number, waiting in list(self._waiting.items()):
            if waiting.deadline <= now:
                self._give_up(number, f"{self._protocol.name} service does not answer ({self._path})")
        if self._waiting:
            self._sweep = self._loop.call_later(1.0, self._expire)

    def _give_up(self, number: int, why: str) -> None:
        waiting = self._waiting.pop(number)
        if not waiting.future.done():
            log.warning(why)
            waiting.future.set_exception(TemporaryError(why))
