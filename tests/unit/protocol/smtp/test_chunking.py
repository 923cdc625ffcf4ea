"""BDAT: octets that are counted, in content that is the same as by DATA, and states that nothing confuses."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.chunking import GATHERED, Chunks
from posthouse.protocol.smtp.content import BareNewline, ContentReader
from posthouse.protocol.smtp.events import (
    Bdat,
    Content,
    EndOfChunk,
    EndOfChunks,
    Event,
    Notice,
    Quit,
    Reason,
    Refused,
)
from posthouse.protocol.smtp.grammar import parse_bdat
from posthouse.protocol.smtp.replies import Reply
from posthouse.protocol.smtp.server import ServerSession, ServerSettings
from posthouse.protocol.smtp.states import State

NO = Reply(450, "4.7.1", "No")
OPEN = b"EHLO c.example\r\nMAIL FROM:<s@c.example>\r\nRCPT TO:<r@h.example>\r\n"
PIECES = st.lists(
    st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"..", b"a", b"bc.", b"\r\n.\r\n", b"\x00", b"\xc3\xa9", b"\x85"]),
    max_size=30,
).map(b"".join)
CUTS = st.lists(st.integers(0, 90), max_size=8)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut data."""
    at = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(at)] or [b""]


def talk(session: ServerSession, data: bytes, refuse: Reply | None = None) -> list[Event]:
    """Feed octets and answer everything, ends of chunks with `refuse`; content is joined."""
    events: list[Event] = []
    session.receive(data)
    while (event := session.next_event()) is not None:
        if isinstance(event, Content) and events and isinstance(events[-1], Content):
            events[-1] = Content(events[-1].data + event.data)
        elif not isinstance(event, Notice):
            events.append(event)
        if isinstance(event, Refused):
            session.reply(event.reply)
        elif isinstance(event, Bdat):
            session.reply(replies.START_CHUNK)
        elif isinstance(event, EndOfChunk | EndOfChunks) and refuse is not None:
            session.reply(refuse)
        elif not isinstance(event, Content | Notice):
            session.reply(replies.OK)
    return events


def at(session: ServerSession) -> State:
    """Say where it stands."""
    return session.state


def opened(commands: bytes = OPEN, **options: object) -> ServerSession:
    """Bring a session to where BDAT may come, or elsewhere."""
    session = ServerSession(ServerSettings(forbid_pipelining=False, **options))  # type: ignore[arg-type]
    session.greet(Reply(220, "", "mx.example ESMTP"))
    talk(session, commands)
    session.bytes_to_send()
    return session


@pytest.mark.parametrize(
    ("argument", "chunk"),
    [
        ("0", (0, False)),
        ("12", (12, False)),
        ("12 LAST", (12, True)),
        ("  12 \t last  ", (12, True)),
        ("\f12\vLAST\r", (12, True)),
        ("0" * 100 + "7 LaSt", (7, True)),
        ("9223372036854775807", (2**63 - 1, False)),
        ("9223372036854775808", None),
        ("9" * 1000, None),
        ("", None),
        (" ", None),
        ("-1", None),
        ("+1", None),
        ("1_0", None),
        ("0x10", None),
        ("1e3", None),
        ("<1>", None),
        ('"1"', None),
        ("1LAST", None),
        ("1 LAS", None),
        ("1 LAST x", None),
        ("1 \u017fast", None),
        ("\u0665", None),
        ("\u00b2", None),
        ("1\x00", None),
        ("1\n", None),
    ],
)
def test_arguments(argument: str, chunk: tuple[int, bool] | None) -> None:
    """A number of ASCII digits that fits into a file's size, and LAST: nothing else."""
    assert parse_bdat(argument) == chunk


def test_a_message_in_chunks() -> None:
    """The events of a message; the command itself is answered with nothing."""
    session = opened()
    assert talk(session, b"BDAT 8\r\nx: y\r\n\r\n") == [Bdat(8, False, True, 0), EndOfChunk(8, False)]
    assert at(session) is State.CHUNKS
    assert session.chunked_bytes == 8
    events = talk(session, b"BDAT 5 LAST\r\n.\r\n.Q")
    assert events == [Bdat(5, True, False, 8), Content(b"x: y\n\n.\n.Q\n"), EndOfChunks(15, False, False)]
    assert session.bytes_to_send() == replies.OK.wire * 2
    assert at(session) is State.GREETED


def test_an_end_in_the_middle_of_nothing() -> None:
    """No octet at all makes an empty message; a last chunk without octets ends one."""
    assert talk(opened(), b"BDAT 0 LAST\r\n")[1:] == [EndOfChunks(0, False, False)]
    events = talk(opened(), b"BDAT 2\r\na\rBDAT 0 LAST\r\n")
    assert events[-2:] == [Content(b"a\r\n"), EndOfChunks(4, False, True)]


@pytest.mark.parametrize(
    ("before", "reply", "after"),
    [
        (b"", replies.NEED_RCPT, State.STRAY),
        (b"EHLO c.example\r\n", replies.NEED_RCPT, State.STRAY),
        (b"EHLO c.example\r\nMAIL FROM:<s@c.example>\r\n", replies.NO_RECIPIENTS, State.FAILED),
        (OPEN + b"BDAT 0\r\n", replies.chunk_discarded(6), State.FAILED),
        (b"BDAT 1\r\nx", replies.chunk_discarded(6), State.STRAY),
    ],
)
def test_chunks_where_none_may_come(before: bytes, reply: Reply, after: State) -> None:
    """Their octets are no commands; they are answered when they are read, and LAST ends what there was."""
    session = opened(before)
    assert talk(session, b"BDAT 6\r\nQUI") == []
    assert at(session) is State.CHUNK
    assert session.chunked_bytes == 0
    assert session.bytes_to_send() == b""
    assert talk(session, b"T\r\nNOOP\r\n")[0] == Refused(Reason.SEQUENCE, "BDAT", "BDAT 6", reply)
    assert session.bytes_to_send() == reply.wire + replies.OK.wire
    assert at(session) is after
    assert session.in_transaction == (after is State.FAILED)
    talk(session, b"BDAT 0 LAST\r\n")
    assert session.bytes_to_send() == replies.chunk_discarded(0).wire
    assert at(session) in {State.NEW, State.GREETED}
    talk(session, b"BDAT 1 LAST\r\nx")
    assert session.bytes_to_send() == replies.NEED_RCPT.wire


@pytest.mark.parametrize("way", [b"RSET\r\n", b"EHLO again.example\r\n", b"HELO again.example\r\n"])
@pytest.mark.parametrize("before", [b"BDAT 1\r\nx", OPEN + b"BDAT 0\r\n", OPEN + b"BDAT 1\r\nx"])
def test_ways_out(before: bytes, way: bytes) -> None:
    """RSET and greetings forget chunks, good and bad; then a message passes, and nothing of before is in it."""
    session = opened(before)
    talk(session, way)
    assert at(session) in {State.NEW, State.GREETED}
    events = talk(session, OPEN[16:] + b"BDAT 1 LAST\r\ny")
    assert events[-2:] == [Content(b"y\n"), EndOfChunks(3, False, False)]


def test_a_refused_chunk_spoils_those_that_follow() -> None:
    """Pipelined: the octets of all are read, each command has its reply, and LAST ends it."""
    session = opened()
    talk(session, b"BDAT 6\r\nQUIT\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", refuse=NO)
    discarded = replies.chunk_discarded(6).wire
    assert session.bytes_to_send() == NO.wire + discarded * 2 + replies.OK.wire
    assert at(session) is State.GREETED


def test_a_refused_last_chunk_ends_the_transaction() -> None:
    """As the reply to the final dot, whatever it says."""
    session = opened()
    talk(session, b"BDAT 1 LAST\r\nx", refuse=NO)
    assert at(session) is State.GREETED
    assert not session.in_transaction


@pytest.mark.parametrize("before", [b"", OPEN, OPEN + b"BDAT 1\r\nx"])
@pytest.mark.parametrize("line", [b"BDAT\r\n", b"BDAT -1\r\n", b"BDAT 99999999999999999999\r\n", b"BDAT 1 LAST 2\r\n"])
def test_bad_syntax_ends_the_session(before: bytes, line: bytes) -> None:
    """Nobody knows which octets are commands then."""
    session = opened(before)
    (refused,) = talk(session, line + b"QUIT\r\n")
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.reply) == (Reason.SYNTAX, replies.BDAT_SYNTAX)
    assert at(session) is State.CLOSED


def test_chunking_that_is_not_offered() -> None:
    """The same, for the same reason; a refused chunk that is larger than anybody wants to read, too."""
    session = opened(chunking=False)
    talk(session, b"BDAT 6 LAST\r\nQUIT\r\n")
    assert (session.state, session.bytes_to_send()) == (State.CLOSED, replies.NO_CHUNKING.wire)
    for octets, state in ((100, State.CHUNK), (101, State.CLOSED)):
        session = opened(b"", skip_limit=100)
        talk(session, b"BDAT %d\r\n" % octets)
        assert at(session) is state
    assert session.bytes_to_send() == replies.NEED_RCPT.wire


def test_a_reply_that_closes() -> None:
    """A chunk may be refused before its octets come, if that is the end."""
    session = opened()
    session.receive(b"BDAT 9999 LAST\r\nQUIT\r\n")
    assert isinstance(session.next_event(), Bdat)
    session.reply(replies.closing(replies.CHUNK_TOO_LARGE))
    assert session.next_event() is None
    assert at(session) is State.CLOSED


def test_bare_newlines_are_told_at_the_chunk_when_they_are_refused() -> None:
    """With reject the chunk that has one is refused; a CRLF cut in two is none."""
    for mode in BareNewline:
        session = opened(bare_newline=mode)
        events = talk(session, b"BDAT 2\r\na\rBDAT 2\r\n\nbBDAT 2\r\n\ncBDAT 2\r\n\n\rBDAT 1 LAST\r\n\n")
        ends = [event.bare_lf for event in events if isinstance(event, EndOfChunk)]
        assert ends == [False, False, mode is BareNewline.REJECT, mode is BareNewline.REJECT]
        assert isinstance(events[-1], EndOfChunks)
        assert events[-1].bare_lf
        assert b"".join(event.data for event in events if isinstance(event, Content)) == b"a\nb\nc\n\n"


def by_data(content: bytes) -> tuple[bytes, int, bool, bool]:
    """Send content by DATA: what comes out, its size and what is found. Its last line may end as it likes."""
    reader = ContentReader(BareNewline.NO)
    end = b".\r\n" if not content or content.endswith(b"\n") else b"\r\n.\r\n"
    text = reader.feed(re.sub(rb"(?m)^\.", b"..", content) + end)
    assert reader.done
    return text, reader.size_bytes, reader.bare_lf, reader.bare_cr


def by_bdat(content: bytes, chunks: list[int], cuts: list[int], *, empty_last: bool) -> tuple[bytes, int, bool, bool]:
    """Send it by BDAT, chunks and network packets cut anywhere."""
    session = opened()
    parts = [*pieces(content, chunks), *([b""] if empty_last else [])]
    if not content:
        parts = [b""]
    last = len(parts) - 1
    wire = b"".join(
        b"BDAT %d%s\r\n%s" % (len(part), b" LAST" if n == last else b"", part) for n, part in enumerate(parts)
    )
    events = [event for piece in pieces(wire, cuts) for event in talk(session, piece)]
    end = events[-1]
    assert isinstance(end, EndOfChunks)
    assert session.chunked_bytes == 0
    text = b"".join(event.data for event in events if isinstance(event, Content))
    return text, end.size_bytes, end.bare_lf, end.bare_cr


@given(PIECES, CUTS, CUTS, st.booleans())
def test_by_bdat_as_by_data(content: bytes, chunks: list[int], cuts: list[int], empty_last: bool) -> None:
    """The same content, the same size and the same findings, whatever the chunks, whatever the network does."""
    assert by_bdat(content, chunks, cuts, empty_last=empty_last) == by_data(content)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([1, 3, 700, GATHERED - 1, GATHERED, 3 * GATHERED]), max_size=9), CUTS, st.booleans())
def test_large_chunks_as_by_data(sizes: list[int], cuts: list[int], eager: bool) -> None:
    """Content that is given back in pieces is the same as well, and memory for it has a bound."""
    content = (b"\r\nline\n\r.\r\n" * (sum(sizes) // 13 + 1))[: sum(sizes)]
    chunks, out, start = Chunks(eager=eager), [], 0
    for number, size in enumerate(sizes):
        chunks.begin(size, last=number == len(sizes) - 1)
        for piece in pieces(content[start : start + size], [cut * 700 for cut in cuts]):
            out.append(chunks.take(piece) if piece else b"")
            assert len(chunks._gathered) < GATHERED
        out.append(chunks.finish())
        start += size
        assert chunks.finish() == b""
    assert not sizes or (b"".join(out), chunks.size_bytes, chunks.bare_lf, chunks.bare_cr) == by_data(content)


COMMANDS = st.lists(
    st.tuples(
        st.sampled_from([b"BDAT %d", b"bdat %d last", b"BDAT 0%d", b"BDAT %d LAST", b"NOOP %d"]),
        st.integers(0, 40),
        st.sampled_from([b"QUIT\r\n", b"\r\n.\r\n", b"a\r", b"\n"]),
    )
    | st.sampled_from([b"RSET\r\n", *OPEN.splitlines(keepends=True)]),
    max_size=12,
)


@given(COMMANDS, CUTS, st.sampled_from(BareNewline))
def test_octets_are_never_commands(
    commands: list[bytes | tuple[bytes, int, bytes]], cuts: list[int], mode: BareNewline
) -> None:
    """Among commands of any order: QUIT inside of chunks is not seen, and cuts change nothing."""
    wire = OPEN
    for one in commands:
        if isinstance(one, bytes):
            wire += one
        else:
            line, size, octets = one
            wire += line % size + b"\r\n" + (octets * 40)[:size] * (not line.startswith(b"NOOP"))

    def run(parts: list[bytes]) -> tuple[list[Event], bytes]:
        session = opened(b"", bare_newline=mode)
        events = [event for part in parts for event in talk(session, part)]
        assert at(session) is not State.CLOSED
        ends = [event for event in events if not isinstance(event, Content)]
        content = b"".join(event.data for event in events if isinstance(event, Content))
        return [*ends, Content(content)], session.bytes_to_send()

    whole = run([wire])
    assert not any(isinstance(event, Quit) for event in whole[0])
    assert run([wire[n : n + 1] for n in range(len(wire))]) == whole
    assert run(pieces(wire, cuts)) == whole
