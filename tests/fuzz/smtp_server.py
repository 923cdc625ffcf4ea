"""The session of the SMTP server against the slow reading of the same octets, whole and cut.

What a run of the session says is a Turn for each reply. Cuts change none of them, with one exception: commands that
came before they were allowed are only seen when they arrive together (RFC 2920 3.1), so that what is compared ends at
the first such refusal of either run, and notices of it are left out.
"""

import random
import re
from typing import Final, NamedTuple

from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.chunking import GATHERED
from posthouse.protocol.smtp.content import BareNewline
from posthouse.protocol.smtp.events import (
    Bdat,
    Content,
    EndOfChunk,
    EndOfChunks,
    EndOfContent,
    Event,
    Helo,
    Mail,
    Notice,
    Rcpt,
    Reason,
    Refused,
    Vrfy,
)
from posthouse.protocol.smtp.grammar import Syntax
from posthouse.protocol.smtp.replies import Reply
from posthouse.protocol.smtp.server import ServerSession, ServerSettings, is_forbidden
from posthouse.protocol.smtp.states import State
from tests.fuzz.smtp_inputs import SEED, cut
from tests.fuzz.smtp_reference import Message, Reading, Request, Rules, after_data, of_chunks
from tests.support.steps import steps

GREETING: Final = Reply(220, "", "mx.example.test ESMTP")
HELLO: Final = Reply(250, "", "mx.example.test")
YES: Final = {"EHLO": HELLO, "HELO": HELLO, "DATA": replies.START_CONTENT}
NO: Final = (
    Reply(450, "4.2.0", "Later"), Reply(550, "5.1.1", "No"), Reply(550, "5.7.1", "No", closes=True),
    Reply(421, "4.3.2", "Bye"), Reply(521, "5.3.2", "Never"), Reply(452, "4.3.1", "Full"),
)  # fmt: skip
MILD_NO: Final = tuple(reply for reply in NO if not reply.closes)
CLOSING_NO: Final = tuple(reply for reply in NO if reply.closes)
_TEXT: Final = rb"[ -~\x80-\xff]*\r\n"
WIRE: Final = re.compile(
    rb"(?:[2-5][0-5][0-9]-" + _TEXT + rb")*([2-5][0-5][0-9]) (?:([245])(?:\.[0-9]{1,3}){2} )?" + _TEXT
)
WITHOUT_STATUS: Final = (b"220 ", b"250 mx", b"354 ", b"501 Syntax: HELO", b"501 Syntax: EHLO")
# Commands that nothing but the policy may refuse: RFC 5321 4.1.1.2, 4.1.1.3, 4.1.2, without parameters.
_MAILBOX: Final = rb"<([a-z0-9+]+(?:\.[a-z0-9+]+)*@(?:[a-z0-9]+\.)*[a-z]+)>"
PLAIN: Final = {
    "MAIL": re.compile(rb"MAIL FROM:" + _MAILBOX, re.IGNORECASE),
    "RCPT": re.compile(rb"RCPT TO:" + _MAILBOX, re.IGNORECASE),
    "DATA": re.compile(rb"[ \t\v\f\r]*DATA[ \t\v\f\r]*"),
    "RSET": re.compile(rb"[ \t\v\f\r]*RSET[ \t\v\f\r]*"),
    "QUIT": re.compile(rb"QUIT"),
    "NOOP": re.compile(rb"NOOP"),
    "HELP": re.compile(rb"HELP"),
    "EHLO": re.compile(rb"EHLO [a-z.]+", re.IGNORECASE),
    "HELO": re.compile(rb"HELO [a-z.]+", re.IGNORECASE),
}
SHORT: Final = 60  # octets of a command: no part of it is too long
UNREADABLE: Final = {"too long": Reason.TOO_LONG, "bare LF": Reason.BARE_LF, "bad UTF-8": Reason.BAD_UTF8}
ENDS: Final = {".": EndOfContent, "+": EndOfChunk, "LAST": EndOfChunks}
CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
ENDS_GROUP: Final = ("EHLO", "HELO", "DATA", "VRFY", "NOOP")
UNIT: Final = 400  # octets that are said again and again
UNITS: Final = 32
# What it costs most is a third of this
STEPS_IN_ALL, STEPS_OF_LINE, STEPS_OF_OCTET = 10_000, 400, 20
HELD_BACK: Final = 5  # octets of content that may wait to be understood


class Turn(NamedTuple):
    """One event that was answered, what content came before it, and the reply."""

    event: Event
    content: bytes
    reply: Reply


class Run(NamedTuple):
    """What a session said, content that no event followed, and the octets it sent."""

    turns: list[Turn]
    content: bytes
    wire: bytes
    session: ServerSession


class Case:
    """Settings, decisions and cuts, all from the seed in front of the octets."""

    def __init__(self, data: bytes) -> None:
        self.octets = data[SEED:]
        self.source = random.Random(data[:SEED])
        source = self.source
        defaults = source.random() < 0.4
        mode = BareNewline.NORMALIZE if defaults else source.choice(list(BareNewline))
        self.settings = ServerSettings(
            hostname="mx.example.test",
            line_limit=2048 if defaults else source.choice((2048, 2048, 2048, 2048, 512, 40)),
            helo_required=source.random() < 0.2,
            vrfy=source.random() < 0.9,
            bare_newline=mode,
            chunking=source.random() < 0.9,
            skip_limit=source.choice((0, 0, 100, 10_000)),
            forbid_pipelining=source.random() < 0.15,
            check_utf8=source.random() < 0.7,
            noop=frozenset({"XNOP"}) if source.random() < 0.2 else frozenset(),
            forbidden=is_forbidden if source.random() < 0.5 else lambda _: False,
            syntax=Syntax(*(source.random() < often for often in (0.2, 0.8, 0.8, 0.3, 0.8))),
        )
        self.rules = Rules(
            mode.value,
            self.settings.line_limit,
            self.settings.check_utf8,
            self.settings.chunking,
            self.settings.skip_limit,
            frozenset(word.encode() for word in self.settings.noop),
        )
        self.refusals = source.choice((0.0, 0.0, 0.1, 0.4))
        self._seed = source.random()

    def decide(self, event: Event, number: int) -> Reply:
        """Answer the event with this number, the same however it came."""
        source = random.Random(f"{self._seed} {number}")
        if isinstance(event, Refused):
            return event.reply
        refuse = source.random() < self.refusals
        if isinstance(event, Bdat):  # it is refused at its end, or the session ends
            return source.choice(CLOSING_NO) if refuse and source.random() < 0.2 else replies.START_CHUNK
        if refuse:
            return source.choice(NO if source.random() < 0.3 else MILD_NO)
        if isinstance(event, Helo):
            return YES[event.verb]
        return YES.get(type(event).__name__.upper(), replies.OK)


def run(case: Case, pieces: list[bytes]) -> Run:
    """Let a session hear the pieces, and answer."""
    session = ServerSession(case.settings)
    turns: list[Turn] = []
    content = b""
    assert session.greet(GREETING) is None
    wire = session.bytes_to_send()
    for piece in pieces:
        session.receive(piece)
        while (event := session.next_event()) is not None:
            if isinstance(event, Content):
                assert event.data, "content of no octets"
                content += event.data
            elif not isinstance(event, Notice):
                assert session.next_event() is None, "an event before the last one is answered"
                reply = case.decide(event, len(turns))
                session.reply(reply)
                turns.append(Turn(event, content, reply))
                content = b""
        wire += session.bytes_to_send()
        check_memory(session)
    assert session.next_event() is None
    assert session.bytes_to_send() == b""
    return Run(turns, content, wire, session)


def check_memory(session: ServerSession) -> None:
    """When all is answered, hardly anything is kept."""
    kept = session.settings.line_limit + 2
    assert session.buffered_bytes < kept, "more is kept than a command may have"
    chunks = session._chunks
    assert chunks is None or len(chunks._gathered) < GATHERED, "chunks are gathered without end"
    if session.state is State.CLOSED:
        assert session.buffered_bytes == 0


def check_replies(run: Run) -> None:
    """One well-formed reply for each event, in order, and nothing else."""
    expected = [GREETING.wire, *(turn.reply.wire for turn in run.turns)]
    assert run.wire == b"".join(expected)
    for turn in run.turns:
        wire = turn.reply.wire
        if type(turn.event) is Bdat and wire == b"":
            continue
        match = WIRE.fullmatch(wire)
        assert match is not None, wire
        assert match[2] is None or match[2] == wire[:1], wire
        assert match[2] is not None or wire.startswith(WITHOUT_STATUS), f"no enhanced status: {wire!r}"


def check_session(data: bytes) -> None:
    """What the module's docstring says."""
    case = Case(data)
    whole = run(case, [case.octets])
    check_replies(whole)
    check_meaning(case, whole)
    cuts = [cut(case.source, case.octets)]
    if len(case.octets) < 600:
        cuts.append([case.octets[at : at + 1] for at in range(len(case.octets))])
    for pieces in cuts:
        other = run(case, pieces)
        check_replies(other)
        check_meaning(case, other)
        check_same(whole, other)


def check_same(one: Run, other: Run) -> None:
    """Cuts make no difference up to the first refusal of what came too early."""
    early = [at for run in (one, other) for at, turn in enumerate(run.turns) if is_early(turn.event)]
    if early:
        until = min(early)
        assert [plain(turn) for turn in one.turns[:until]] == [plain(turn) for turn in other.turns[:until]]
        return
    assert [plain(turn) for turn in one.turns] == [plain(turn) for turn in other.turns]
    assert one.wire == other.wire
    assert one.session.state is other.session.state


def plain(turn: Turn) -> tuple[type, Event, bytes, Reply]:
    """Make it comparable: events of two classes may be equal."""
    return type(turn.event), turn.event, turn.content, turn.reply


def is_early(event: Event) -> bool:
    """Whether it is the refusal of what came too early."""
    return isinstance(event, Refused) and event.reason is Reason.PIPELINING


def check_meaning(case: Case, run: Run) -> None:
    """Each event is what the octets mean, and none is missing."""
    reading = Reading(case.rules, case.octets)
    turns = run.turns
    at = 0
    given = b""  # content of chunks so far
    while (request := reading.next()) is not None:
        turn = turns[at] if at < len(turns) else None
        if turn is not None and is_early(turn.event):
            check_early(case, reading, request)
            at += 1
            break
        if request.kind == "BDAT" and not request.skipped and reading.begin_chunk(request) and reading.refuses_chunk:
            continue  # it is answered when its octets are read
        assert turn is not None, f"no answer to {request}"
        at += 1
        check_event(case, reading, request, turn)
        given = b"" if isinstance(turn.event, Bdat) and turn.event.first else given + turn.content
        check_content(reading, request, turn, given)
        if isinstance(turn.event, Bdat) and not turn.reply.closes:
            continue  # nobody hears that reply
        reading.answer(turn.reply.code, closes=turn.reply.closes)
    assert at == len(turns), f"nobody has said {turns[at]}"
    check_unfinished(reading, run.content, given)
    assert (run.session.state is State.CLOSED) == reading.closed
    assert reading.closed or reading.refuses_chunk or run.session.in_transaction == reading.mail


def check_early(case: Case, reading: Reading, request: Request) -> None:
    """Only what ends a group is refused for what stands behind it (RFC 2920 3.1)."""
    assert case.settings.forbid_pipelining
    assert not reading.esmtp or request.kind in ENDS_GROUP, "pipelining that is allowed was refused"
    assert reading.at < len(reading.octets), "nothing stands behind it"
    reading.closed = True


def check_event(case: Case, reading: Reading, request: Request, turn: Turn) -> None:
    """The event is of the kind that the octets are, and a refusal has a reason."""
    kind, event = request.kind, turn.event
    reason = event.reason if isinstance(event, Refused) else None
    if kind in UNREADABLE:
        assert reason is UNREADABLE[kind], event
    elif not kind:
        assert reason in (Reason.UNKNOWN, Reason.FORBIDDEN, Reason.SYNTAX), f"no command became {event}"
    elif kind == "ignored":
        assert reason is Reason.IGNORED, event
    elif kind in ENDS:
        assert type(event) is ENDS[kind], event
    elif kind == "BDAT":
        check_bdat(reading, request, turn)
    elif not reading.may_come(kind):
        assert reason is Reason.SEQUENCE, f"not now: {event}"
    elif reason is None:
        assert type(event).__name__.upper() == ("HELO" if kind == "EHLO" else kind), event
        check_argument(request, event)
    else:
        assert isinstance(event, Refused)
        unknown_client = case.settings.helo_required and not reading.greeted and kind in ("MAIL", "VRFY")
        assert reason is (Reason.SEQUENCE if event.reply is replies.HELO_FIRST else Reason.SYNTAX)
        plain = kind in PLAIN and len(request.line) < SHORT and PLAIN[kind].fullmatch(request.line)
        assert unknown_client or not plain, f"refused: {request.line!r}"


def check_bdat(reading: Reading, request: Request, turn: Turn) -> None:
    """A chunk that may come, one that is refused at its end, or the end of the session."""
    event = turn.event
    if request.skipped:
        assert isinstance(event, Refused)
        assert event.reason is Reason.SEQUENCE
    elif reading.chunk is None:
        assert isinstance(event, Refused)
        assert turn.reply.closes, "nobody knows where these octets end"
    else:
        assert isinstance(event, Bdat)
        assert (event.size, event.last) == reading.chunk[:2]
        assert event.first == (not reading.chunks)
        assert event.before == len(reading.gathered)


def check_argument(request: Request, event: Event) -> None:
    """What the event says, the line says."""
    line = request.line
    plain = PLAIN[request.kind].fullmatch(line) if request.kind in PLAIN else None
    if isinstance(event, Helo):
        assert event.verb == request.kind
        assert CONTROLS.search(event.name) is None
    if not isinstance(event, Mail | Rcpt | Vrfy):
        return
    address = event.sender if isinstance(event, Mail) else event.recipient if isinstance(event, Rcpt) else event.address
    assert CONTROLS.search(address) is None, address
    assert plain is None or plain[1].decode() == address
    assert isinstance(event, Mail) or address, "a recipient without an address"
    if isinstance(event, Vrfy):
        return
    written = event.argument.encode("utf-8", "surrogateescape")
    assert written in line, f"{written!r} is not what the client wrote"
    rest = line[line.index(written) + len(written) :]
    check_parameters(rest.split(), event)


def check_parameters(words: list[bytes], event: Mail | Rcpt) -> None:
    """Each parameter once, and no more than the words say."""
    found = {}
    for word in words:
        keyword, _, value = word.partition(b"=")
        assert keyword.upper() not in found
        found[keyword.upper()] = value
    if isinstance(event, Rcpt):
        assert found.keys() <= {b"NOTIFY", b"ORCPT"}, words
        notify = found.get(b"NOTIFY", b"").upper()
        assert event.notify == frozenset(filter(None, notify.decode().split(",")))
        assert bool(event.orcpt) == (b"ORCPT" in found)
        assert CONTROLS.search(event.orcpt) is None
        return
    assert found.keys() <= {b"SIZE", b"BODY", b"SMTPUTF8", b"RET", b"ENVID", b"AUTH", b"XARRIVAL"}, words
    assert event.size == (int(found[b"SIZE"]) if b"SIZE" in found else None)
    assert event.body.encode() == found.get(b"BODY", b"").upper()
    assert event.ret.encode() == found.get(b"RET", b"").upper()
    assert event.smtputf8 == (b"SMTPUTF8" in found)
    assert event.arrival == int(found.get(b"XARRIVAL", b"0"))
    assert bool(event.envid) == (b"ENVID" in found)
    assert CONTROLS.search(event.envid) is None


def check_content(reading: Reading, request: Request, turn: Turn, given: bytes) -> None:
    """Content is what was sent. given: of all chunks of this message so far."""
    event, message = turn.event, request.message
    if message is None:
        assert turn.content == b"", "content where there is none"
    elif isinstance(event, EndOfContent):
        text = turn.content if type(event) is EndOfContent else given
        assert Message(text, event.size_bytes, event.bare_lf, event.bare_cr) == message
    else:
        assert isinstance(event, EndOfChunk)
        assert event.size == request.octets
        assert event.bare_lf == (reading.rules.mode == "reject" and of_chunks(reading.gathered + b"\r").bare_lf)
        check_front(given, reading.gathered, GATHERED)


def check_front(given: bytes, octets: bytes, held_back: int) -> None:
    """What is given of chunks so far is the front of what they hold, and nearly all of it."""
    text = of_chunks(octets + b"x").text
    assert text.startswith(given)
    assert len(text) - len(given) <= held_back + HELD_BACK, "too much is held back"


def check_unfinished(reading: Reading, content: bytes, given: bytes) -> None:
    """Of content that has not ended, what came is given, as far as it can be understood."""
    rest = reading.octets[reading.at :]
    if reading.closed:
        return
    if reading.content:
        found = after_data(rest + b"x\r\n.\r\n", lenient=reading.rules.lenient)
        assert found is not None
        text = found[0].text
        assert text.startswith(content)
        assert len(text) - len(content) <= HELD_BACK, "too much is held back"
    elif reading.chunk is not None and not reading.refuses_chunk:
        check_front(given + content, reading.gathered + rest, GATHERED)
    else:
        assert content == b"", "content where there is none"


def check_work(data: bytes) -> None:
    """No octet costs more than so many steps, whatever came before it."""
    case = Case(data)
    text = ((case.octets[:UNIT] + b"\r\n") * UNITS).decode("latin-1")

    def hear(text: str) -> None:
        octets = text.encode("latin-1")
        run(case, [octets[at : at + 100] for at in range(0, len(octets), 100)])

    limit = STEPS_IN_ALL + STEPS_OF_LINE * text.count("\n") + STEPS_OF_OCTET * len(text)
    assert steps(hear, text) <= limit, f"more than {limit} steps"
