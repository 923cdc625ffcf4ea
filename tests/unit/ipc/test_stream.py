"""Channel and Client: framing, the first record, descriptors, replay after a lost connection, time-outs."""

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.ipc.record import Hello, Request, replace
from posthouse.ipc.stream import (
    MAX_DESCRIPTORS,
    MAX_FRAME,
    MAX_HELLO,
    MAX_LOST,
    Channel,
    Client,
    Protocol,
    encode_frame,
    peek_hello,
    peer_credentials,
)
from posthouse.util.errors import TemporaryError
from posthouse.util.loop import new_event_loop
from tests.support.fake_loop import FakeLoop
from tests.support.lookups import logged


class Ask(Request, frozen=True, tag=1):
    """A question."""

    text: str


class Told(Request, frozen=True, tag=2):
    """An answer."""

    text: str
    with_descriptor: bool = False


SERVER: Protocol[Ask] = Protocol("test", 3, Ask)
CLIENT: Protocol[Told] = Protocol("test", 3, Told)
HELLO = encode_frame(Hello("test", 3))


class End:
    """One end of a channel, and what came."""

    def __init__(self, loop: FakeLoop, sock: socket.socket) -> None:
        self.records: list[Ask] = []
        self.closed = 0
        self.take: Callable[[Ask], None] = self.records.append
        self.channel: Channel[Ask] = Channel(
            loop, sock, SERVER, lambda _channel, record: self.take(record), self.on_close
        )

    def on_close(self, _channel: Channel[Ask]) -> None:
        """Count."""
        self.closed += 1


class Wire:
    """A channel and the bare socket at its other end."""

    def __init__(self, loop: FakeLoop) -> None:
        ours, self.peer = socket.socketpair()
        self.loop = loop
        self.end = End(loop, ours)

    def feed(self, *pieces: bytes) -> "End":
        """Send pieces, each read by itself."""
        for piece in pieces:
            if not self.end.channel.closed:
                self.peer.sendall(piece)
                self.loop.run_ready()
        return self.end


@pytest.fixture
def wire(loop: FakeLoop) -> Iterator[Wire]:
    """Make a wire."""
    made = Wire(loop)
    yield made
    made.end.channel.abort()
    made.peer.close()


def test_the_first_frame_says_protocol_and_version(wire: Wire) -> None:
    """Both ends say it; nothing else is needed before records."""
    wire.loop.run_ready()
    assert wire.peer.recv(100) == HELLO
    assert not wire.end.channel.greeted
    assert wire.feed(HELLO + encode_frame(Ask(1, "x"))).records == [Ask(1, "x")]
    assert wire.end.channel.greeted


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=300), max_size=5), st.lists(st.integers(0, 1500), max_size=8))
def test_records_come_whole_however_the_stream_is_cut(texts: list[str], cuts: list[int]) -> None:
    """And in order, each once."""
    records = [Ask(number, text) for number, text in enumerate(texts)]
    stream = HELLO + b"".join(map(encode_frame, records))
    places = sorted({min(cut, len(stream)) for cut in cuts})
    pieces = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
    loop = FakeLoop()
    wire = Wire(loop)
    assert wire.feed(*filter(None, pieces)).records == records
    wire.end.channel.abort()
    wire.peer.close()
    loop.close()


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (encode_frame(Hello("other", 3)), "protocol other version 3"),
        (encode_frame(Hello("test", 4)), "protocol test version 4"),
        (encode_frame(Ask(1, "no greeting")), "a record that does not decode"),
        (b"GET / HTTP/1.0\r\n\r\n", "a frame of 1195725856 bytes"),
        (struct.pack(">I", MAX_HELLO + 1), f"a frame of {MAX_HELLO + 1} bytes"),
        (HELLO + struct.pack(">I", MAX_FRAME + 1), f"a frame of {MAX_FRAME + 1} bytes"),
        (HELLO + encode_frame(Told(1, "x")), "a record that does not decode"),
        (HELLO + struct.pack(">I", 0), "a record that does not decode"),
        (HELLO + encode_frame(Hello("test", 3)), "a record that does not decode"),
    ],
)
def test_a_peer_that_breaks_the_protocol_is_cut_off(wire: Wire, octets: bytes, why: str) -> None:
    """At once, with one line in the log, and nothing of what it said is believed."""
    with logged() as lines:
        end = wire.feed(octets + encode_frame(Ask(9, "more")))
    assert end.records == []
    assert end.closed == 1
    assert len(lines) == 1
    assert lines[0].startswith(f"warning: test protocol: the other end sent {why}")


def test_records_of_one_turn_leave_together(wire: Wire) -> None:
    """In one write, in order."""
    wire.loop.run_ready()
    wire.peer.recv(1000)
    for text in "ab":
        wire.end.channel.send(Told(1, text))
    with pytest.raises(BlockingIOError):
        wire.peer.recv(1000, socket.MSG_DONTWAIT)
    wire.loop.run_ready()
    assert wire.peer.recv(1000) == encode_frame(Told(1, "a")) + encode_frame(Told(1, "b"))


def test_close_sends_what_was_written_in_this_turn(wire: Wire) -> None:
    """An answer right before the end is an answer."""
    wire.end.channel.send(Told(1, "last"))
    wire.end.channel.close()
    wire.loop.run_ready()
    assert wire.peer.recv(1000) == HELLO + encode_frame(Told(1, "last"))
    assert wire.end.closed == 1


def test_nothing_is_handed_on_after_an_abort(wire: Wire) -> None:
    """Also when further records are in the same read."""
    end = wire.end
    end.take = lambda _record: end.channel.abort()
    records: list[Ask] = end.records
    wire.feed(HELLO + encode_frame(Ask(1, "a")) + encode_frame(Ask(2, "b")))
    assert records == []
    assert end.closed == 1


def test_a_peer_that_dies_behind_its_last_record_is_gone() -> None:
    """It has not read all of ours: an error, after which libuv looks at the socket no more."""
    loop = new_event_loop()
    ours, peer = socket.socketpair()
    records: list[Ask] = []
    lost = loop.create_future()
    Channel(loop, ours, SERVER, lambda _, record: records.append(record), lost.set_result)
    loop.run_until_complete(asyncio.sleep(0))  # our greeting is on its way, and stays unread
    peer.sendall(HELLO + encode_frame(Ask(1, "last words")))
    peer.close()
    loop.run_until_complete(asyncio.wait_for(lost, 10))
    assert records == [Ask(1, "last words")]
    loop.close()


def test_text_that_is_not_utf8_travels(wire: Wire) -> None:
    """As surrogate escapes, both ways."""
    wire.end.channel.send(Told(1, "a\udcff"))
    assert wire.feed(HELLO, encode_frame(Ask(1, "\udc80"))).records == [Ask(1, "\udc80")]


# Descriptors.


def test_a_descriptor_comes_with_its_record(wire: Wire, tmp_path: Path) -> None:
    """And belongs to who takes it."""
    path = tmp_path / "file"
    path.write_text("content")
    taken: list[int] = []
    wire.end.take = lambda _record: taken.append(wire.end.channel.take_descriptor())
    with path.open() as file:
        socket.send_fds(wire.peer, [HELLO + encode_frame(Ask(1, "x"))], [file.fileno()])
    wire.loop.run_ready()
    assert os.pread(taken[0], 100, 0) == b"content"
    os.close(taken[0])


def test_a_descriptor_that_was_promised_and_does_not_come_ends_it(wire: Wire) -> None:
    """The record is not believed."""
    errors: list[str] = []

    def take(_record: Ask) -> None:
        try:
            wire.end.channel.take_descriptor()
        except TemporaryError as error:
            errors.append(str(error))

    wire.end.take = take
    with logged():
        wire.feed(HELLO + encode_frame(Ask(1, "x")))
    assert errors == ["descriptor missing"]
    assert wire.end.closed == 1


def test_descriptors_that_nobody_takes_are_closed(wire: Wire) -> None:
    """At the end of the connection, and at the latest when there are too many."""
    before = len(os.listdir("/proc/self/fd"))
    with logged() as lines:
        for place in range(MAX_DESCRIPTORS // 8 + 1):
            socket.send_fds(wire.peer, [HELLO[place : place + 1]], [0] * 8)
            wire.loop.run_ready()
    assert wire.end.closed == 1
    assert "descriptors that belong to no record" in lines[-1]
    assert len(os.listdir("/proc/self/fd")) <= before


def test_sending_a_descriptor_keeps_the_order(wire: Wire) -> None:
    """What was written before it is before it."""
    wire.end.channel.send(Told(1, "first"))
    wire.end.channel.send_with_descriptor(Told(2, "second", with_descriptor=True), 0)
    expected = HELLO + encode_frame(Told(1, "first")) + encode_frame(Told(2, "second", with_descriptor=True))
    data, descriptors = b"", list[int]()
    while len(data) < len(expected):
        piece, more, _flags, _address = socket.recv_fds(wire.peer, 1000, 4)
        data += piece
        descriptors += more
    assert data == expected
    assert len(descriptors) == 1
    for descriptor in descriptors:
        os.close(descriptor)


# Small things.


def test_peek_hello_leaves_what_it_sees() -> None:
    """A socket can serve several protocols; what is no Hello is given as it is."""
    left, right = socket.socketpair()
    with left, right:
        left.sendall(HELLO)
        assert peek_hello(right) == Hello("test", 3)
        assert right.recv(1000) == HELLO
        left.sendall(b"W")
        assert peek_hello(right) == b"W"


def test_the_kernel_says_who_is_there() -> None:
    """Process, user, group."""
    left, right = socket.socketpair()
    with left, right:
        peer = peer_credentials(left)
    assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.geteuid(), os.getegid())


def test_replace_copies_a_record() -> None:
    """With other values."""
    assert replace(Ask(1, "a"), id=2) == Ask(2, "a")


# Client.


class Server:
    """The other end of clients: takes connections, keeps questions, answers when the test says so."""

    def __init__(self, loop: FakeLoop, path: Path) -> None:
        self.loop = loop
        self.path = path
        self.channels: list[Channel[Ask]] = []
        self.asked: list[Ask] = []
        self.answer: Callable[[Ask], Told | None] = lambda ask: Told(ask.id, ask.text.upper())
        self._listener: socket.socket | None = None

    def listen(self) -> None:
        """Begin to serve."""
        self.path.unlink(missing_ok=True)
        self._listener = listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen()
        listener.setblocking(False)
        self.loop.add_reader(listener.fileno(), self._accept)

    def lose(self) -> None:
        """Drop all connections."""
        for channel in self.channels:
            channel.abort()
        self.channels.clear()

    def stop(self) -> None:
        """Serve no more."""
        self.lose()
        if self._listener is not None:
            self.loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        assert self._listener is not None
        sock, _address = self._listener.accept()
        self.channels.append(Channel(self.loop, sock, SERVER, self._on_record, lambda _channel: None))

    def _on_record(self, channel: Channel[Ask], record: Ask) -> None:
        self.asked.append(record)
        answer = self.answer(record)
        if answer is not None:
            channel.send(answer)


class Asker:
    """A client and its server."""

    def __init__(self, loop: FakeLoop, path: Path) -> None:
        self.loop = loop
        self.server = Server(loop, path)
        self.client: Client[Told] = Client(loop, str(path), CLIENT, timeout_s=60)

    def ask(self, text: str) -> "asyncio.Future[Told]":
        """Send a question."""
        future = self.client.request(Ask(self.client.next_id(), text))
        self.loop.run_ready()
        return future


@pytest.fixture
def asker(loop: FakeLoop, tmp_path: Path) -> Iterator[Asker]:
    """Make client and server."""
    made = Asker(loop, tmp_path / "socket")
    yield made
    made.client.close()
    made.server.stop()
    loop.run_ready()


def test_a_request_is_answered(asker: Asker) -> None:
    """Over one connection for all."""
    asker.server.listen()
    assert [asker.ask(text).result().text for text in ("a", "b")] == ["A", "B"]
    assert len(asker.server.channels) == 1
    assert asker.client.idle


def test_answers_come_in_any_order(asker: Asker) -> None:
    """The number says whose it is."""
    asker.server.answer = lambda _ask: None
    asker.server.listen()
    futures = [asker.ask("a"), asker.ask("b")]
    for ask in reversed(asker.server.asked):
        asker.server.channels[0].send(Told(ask.id, ask.text))
    asker.loop.run_ready()
    assert [future.result().text for future in futures] == ["a", "b"]


def test_an_answer_that_nobody_waits_for_is_ignored(asker: Asker) -> None:
    """It was given up, or never asked."""
    asker.server.answer = lambda _ask: None
    asker.server.listen()
    future = asker.ask("a")
    future.cancel()
    for number in (asker.server.asked[0].id, 99):
        asker.server.channels[0].send(Told(number, "x"))
    asker.loop.run_ready()
    assert asker.client.idle


def test_a_request_waits_for_a_server_that_is_away(asker: Asker) -> None:
    """It is told once, after some attempts."""
    with logged() as lines:
        future = asker.ask("a")
        asker.loop.advance(10)
        assert not future.done()
        asker.server.listen()
        asker.loop.advance(1.1)
    assert future.result().text == "A"
    assert len(lines) == 1
    assert "trying on" in lines[0]


def test_requests_are_sent_again_after_the_connection_was_lost(asker: Asker) -> None:
    """Those that were not answered, in their order; so each must be idempotent."""
    asker.server.listen()
    asker.ask("answered")
    asker.server.answer = lambda _ask: None
    futures = [asker.ask("a"), asker.ask("b")]
    asker.server.lose()
    asker.server.answer = lambda ask: Told(ask.id, ask.text.upper())
    asker.loop.advance(2)
    assert [future.result().text for future in futures] == ["A", "B"]
    assert [ask.text for ask in asker.server.asked] == ["answered", "a", "b", "a", "b"]


def test_a_request_that_ends_the_server_again_and_again_is_given_up(asker: Asker) -> None:
    """What is asked beside it is answered afterwards; nobody is killed for ever."""
    poison: list[int] = []

    def answer(ask: Ask) -> Told | None:
        if ask.text == "poison":
            poison.append(ask.id)
            asker.loop.call_soon(asker.server.lose)
            return None
        return Told(ask.id, ask.text.upper())

    asker.server.answer = answer
    asker.server.listen()
    with logged() as lines:
        bad = asker.ask("poison")
        asker.loop.advance(20)
    assert isinstance(bad.exception(), TemporaryError)
    assert len(poison) == MAX_LOST
    assert f"no answer over {MAX_LOST} connections" in lines[-1]
    assert asker.ask("good").result().text == "GOOD"


def test_a_request_without_an_answer_fails_in_time(asker: Asker) -> None:
    """With an error that means: later."""
    asker.server.answer = lambda _ask: None
    asker.server.listen()
    future = asker.ask("a")
    with logged() as lines:
        asker.loop.advance(62)
    assert isinstance(future.exception(), TemporaryError)
    assert "does not answer" in lines[0]
    assert asker.client.idle


def test_close_fails_what_waits(asker: Asker) -> None:
    """Nobody waits for ever."""
    future = asker.ask("a")
    asker.client.close()
    assert isinstance(future.exception(), TemporaryError)


def test_a_descriptor_of_a_reply_can_be_taken(asker: Asker) -> None:
    """Without a connection it is a temporary error."""
    asker.server.answer = lambda _ask: None
    asker.server.listen()
    future = asker.ask("a")
    taken: list[int] = []
    future.add_done_callback(lambda _future: taken.append(asker.client.take_descriptor()))
    asker.server.channels[0].send_with_descriptor(Told(asker.server.asked[0].id, "x", with_descriptor=True), 0)
    asker.loop.run_ready()
    os.close(taken[0])
    asker.client.close()
    with pytest.raises(TemporaryError):
        asker.client.take_descriptor()
