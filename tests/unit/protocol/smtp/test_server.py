"""The server session: nothing makes it raise, cuts do not matter, and the table says what may follow what."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.content import BareNewline
from posthouse.protocol.smtp.events import (
    Bdat,
    Content,
    Data,
    EndOfContent,
    Event,
    Helo,
    Mail,
    Noop,
    Notice,
    Quit,
    Rcpt,
    Reason,
    Refused,
    Rset,
)
from posthouse.protocol.smtp.replies import Reply
from posthouse.protocol.smtp.server import ServerSession, ServerSettings
from posthouse.protocol.smtp.states import SEQUENCE_REPLIES, TRANSITIONS, VERBS, State

SETTINGS = ServerSettings(hostname="mx.example", forbid_pipelining=False)
GREETING = Reply(220, "", "mx.example ESMTP")
NO = Reply(450, "4.7.1", "No")
LINES = {
    "EHLO": b"EHLO c.example\r\n",
    "HELO": b"HELO c.example\r\n",
    "MAIL": b"MAIL FROM:<s@c.example>\r\n",
    "RCPT": b"RCPT TO:<r@h.example>\r\n",
    "DATA": b"DATA\r\n",
    "RSET": b"RSET\r\n",
    "NOOP": b"NOOP\r\n",
    "HELP": b"HELP\r\n",
    "VRFY": b"VRFY a@b.example\r\n",
    "QUIT": b"QUIT\r\n",
    "BDAT": b"BDAT 1\r\nx",
    "BDAT 0": b"BDAT 0\r\n",
}
WAY: dict[State, list[str]] = {
    State.NEW: [],
    State.GREETED: ["EHLO"],
    State.MAIL: ["EHLO", "MAIL"],
    State.RCPT: ["EHLO", "MAIL", "RCPT"],
    State.CHUNKS: ["EHLO", "MAIL", "RCPT", "BDAT"],
    State.FAILED: ["EHLO", "MAIL", "RCPT", "BDAT 0"],
    State.STRAY: ["EHLO", "BDAT"],
}
ANYWHERE = sorted(VERBS - {"BDAT"})  # which is looked at in test_chunking.py


def answer(event: Event) -> Reply:
    """Say yes, or what the protocol says."""
    if isinstance(event, Refused):
        return event.reply
    if isinstance(event, Bdat):
        return replies.START_CHUNK
    return replies.START_CONTENT if isinstance(event, Data) else replies.OK


def talk(session: ServerSession, data: bytes) -> list[Event]:
    """Feed bytes, answer everything, and return the events; content is joined."""
    events: list[Event] = []
    session.receive(data)
    while (event := session.next_event()) is not None:
        if isinstance(event, Content) and events and isinstance(events[-1], Content):
            events[-1] = Content(events[-1].data + event.data)
        else:
            events.append(event)
        if not isinstance(event, Content | Notice):
            session.reply(answer(event))
    return events


def session_in(state: State, config: ServerSettings = SETTINGS) -> ServerSession:
    """Bring a session into a state."""
    session = ServerSession(config)
    assert session.greet(GREETING) is None
    for verb in WAY[state]:
        talk(session, LINES[verb])
    assert session.state is state
    session.bytes_to_send()
    return session


@pytest.mark.parametrize("state", WAY)
@pytest.mark.parametrize("verb", ANYWHERE)
def test_every_verb_in_every_state(state: State, verb: str) -> None:
    """A verb in the row moves as the table says; one that is not is refused and moves nothing."""
    session = session_in(state)
    (event,) = talk(session, LINES[verb])
    if verb in TRANSITIONS[state]:
        assert not isinstance(event, Refused)
        assert session.state is TRANSITIONS[state][verb]
    else:
        assert isinstance(event, Refused)
        assert event.reason is Reason.SEQUENCE
        assert event.reply is SEQUENCE_REPLIES[state, verb]
        assert session.state is state


@pytest.mark.parametrize("state", WAY)
@pytest.mark.parametrize("verb", ANYWHERE)
def test_a_refusal_by_policy_moves_nothing(state: State, verb: str) -> None:
    """4xx and 5xx leave the state as it is."""
    session = session_in(state)
    session.receive(LINES[verb])
    event = session.next_event()
    assert event is not None
    session.reply(NO)
    assert session.state is state
    assert session.bytes_to_send() == b"450 4.7.1 No\r\n"


@pytest.mark.parametrize(
    "closing", [Reply(421, "4.3.2", "Bye"), Reply(521, "", "Bye"), Reply(550, "5.7.1", "No", closes=True)]
)
def test_closing_replies_end_the_session(closing: Reply) -> None:
    """421, 521, and replies that say so."""
    session = session_in(State.RCPT)
    session.receive(LINES["NOOP"] + LINES["QUIT"])
    event = session.next_event()
    assert isinstance(event, Notice)
    assert isinstance(session.next_event(), Noop)
    session.reply(closing)
    assert session.state is State.CLOSED
    assert session.next_event() is None
    session.receive(LINES["NOOP"])
    assert session.next_event() is None
    assert session.bytes_to_send() == closing.wire


def test_the_dot_ends_the_transaction_whatever_the_reply() -> None:
    """RFC 5321 4.1.1.4: after a refused message MAIL comes next, not RCPT."""
    session = session_in(State.RCPT)
    talk(session, LINES["DATA"])
    session.receive(b"x\r\n.\r\n")
    assert session.next_event() == Content(b"x\n")
    assert session.next_event() == EndOfContent(3, False, False)
    session.reply(NO)
    assert session.state is State.GREETED
    assert not session.in_transaction


def test_a_session_without_helo_returns_to_its_own_beginning() -> None:
    """MAIL without HELO: after the message, helo is still missing."""
    session = session_in(State.NEW)
    talk(session, LINES["MAIL"] + LINES["RCPT"] + LINES["DATA"])
    talk(session, b".\r\n")
    assert session.state is State.NEW
    assert session.protocol == "SMTP"


def test_the_protocol_follows_the_greeting() -> None:
    """EHLO makes it ESMTP, and so it stays: who has read that commands may come in groups still knows it after HELO."""
    session = session_in(State.NEW)
    talk(session, LINES["HELO"])
    assert session.protocol == "SMTP"
    talk(session, LINES["EHLO"])
    assert session.protocol == "ESMTP"
    assert session.helo == Helo("EHLO", "c.example")
    talk(session, LINES["HELO"])
    assert session.protocol == "ESMTP"
    assert session.helo == Helo("HELO", "c.example")


def test_a_greeting_may_refuse() -> None:
    """554 instead of 220 lets the client say QUIT, and refuses all else it says; 421 and 521 do not."""
    session = ServerSession(SETTINGS)
    assert session.greet(Reply(554, "5.7.1", "No")) is None
    assert session.bytes_to_send() == b"554 5.7.1 No\r\n"
    for line in LINES.values():
        if line not in (LINES["QUIT"], LINES["BDAT"]):
            (event,) = talk(session, line)
            assert isinstance(event, Refused)
            assert event.reason is Reason.DENIED
    assert {event.reason for event in talk(session, b"DATA\r\nMAIL\r\nNONE\r\n") if isinstance(event, Refused)} == {
        Reason.DENIED
    }
    talk(session, LINES["QUIT"])
    assert session.state is State.CLOSED, "it has left"
    session = ServerSession(SETTINGS)
    assert session.greet(Reply(421, "4.7.0", "No")) is None
    assert session.state is State.CLOSED


def test_talking_before_the_greeting() -> None:
    """It is refused, or noted where that is the setting."""
    session = ServerSession(ServerSettings())
    session.receive(LINES["EHLO"])
    assert session.next_event() is None
    refused = session.greet(GREETING)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.verb) == (Reason.PIPELINING, "CONNECT")
    session.reply(refused.reply)
    assert session.state is State.CLOSED
    session = ServerSession(SETTINGS)
    session.receive(LINES["EHLO"])
    assert isinstance(session.greet(GREETING), Notice)
    assert isinstance(session.next_event(), Helo)


def test_nothing_comes_before_the_reply() -> None:
    """Commands wait until the one before is answered."""
    session = session_in(State.GREETED)
    session.receive(LINES["MAIL"] + LINES["RCPT"])
    assert isinstance(session.next_event(), Mail)
    assert session.next_event() is None
    assert session.buffered_bytes == len(LINES["RCPT"])
    session.receive(LINES["RCPT"])
    session.reply(replies.SENDER_OK)
    assert isinstance(session.next_event(), Rcpt)


def test_closing_from_our_side() -> None:
    """A timeout sends its reply and ends everything, even inside of the content."""
    session = session_in(State.RCPT)
    talk(session, LINES["DATA"])
    session.receive(b"half")
    assert session.next_event() == Content(b"half")
    session.bytes_to_send()
    session.close(Reply(421, "4.4.2", "mx.example Error: timeout exceeded"))
    assert session.bytes_to_send() == b"421 4.4.2 mx.example Error: timeout exceeded\r\n"
    session.receive(b"\r\n.\r\n")
    assert session.next_event() is None
    session.close(Reply(421, "", "again"))
    assert session.bytes_to_send() == b""


def test_replies_cannot_be_split_by_what_clients_say() -> None:
    """Control characters in reply text become harmless; several lines are marked as such."""
    assert Reply(550, "5.1.1", "a\r\n250 b\x1b\udc80").wire == b"550 5.1.1 a??250 b??\r\n"
    assert Reply.of_lines(250, ("a", "b\nc", "d")).wire == b"250-a\r\n250-b?c\r\n250 d\r\n"
    assert Reply.of_lines(214, ("a", "b"), status="2.0.0").wire == b"214-2.0.0 a\r\n214 2.0.0 b\r\n"
    assert str(Reply(250, "", "x")) == "250 x"
    assert str(replies.OK) == "250 2.0.0 Ok"
    assert repr(replies.OK) == "Reply(250, '2.0.0', 'Ok', closes=False)"
    assert {replies.OK: 1}[Reply(250, "2.0.0", "Ok")] == 1


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("550 5.7.1 No", Reply(550, "5.7.1", "No")),
        ("450 Later", Reply(450, "", "Later")),
        ("554", Reply(554, "", "")),
        ("554 5.7.1", Reply(554, "5.7.1", "")),
        ("421 4.7.0 x", Reply(421, "4.7.0", "x")),
        ("550 5.7.1x", Reply(550, "", "5.7.1x")),
        ("REJECT", None),
        ("999 x", None),
        ("\u0665\u0665\u0660 x", None),
    ],
)
def test_reply_texts_are_read(text: str, reply: Reply | None) -> None:
    """As tables and policy servers write them."""
    assert Reply.parse(text) == reply


COMMANDS = st.lists(
    st.sampled_from(
        [
            *LINES.values(),
            b"x\r\n.\r\n",
            b".\r\n",
            b"\n",
            b"MAIL FROM:<s@c.example> SIZE=1 RET=HDRS\r\n",
            b'rcpt to:<"a b"@c.example> NOTIFY=NEVER\n',
            b"  noop \t x\r\n",
            b"\xff\r\n",
            b"a" * 2100,
            b"Subject: x\r\n",
            b"body\r\n..\r\n",
            b"BDAT 9 LAST\r\n.\r\nQUIT\r\n",
            b"bdat 1 last\r\n\r",
            b"BDAT 17\r\n" + b"x\ny\r\n" * 4,
            b"BDAT 20000\r\n" + b"a\r\n" * 6667,
            b"BDAT x\r\n",
        ]
    ),
    max_size=12,
).map(b"".join)


@settings(deadline=None)
@given(COMMANDS, st.lists(st.integers(0, 300), max_size=8), st.sampled_from(BareNewline))
def test_events_do_not_depend_on_cuts(data: bytes, cuts: list[int], mode: BareNewline) -> None:
    """Whole, cut anywhere, and octet by octet: the same events, the same replies."""
    config = ServerSettings(hostname="mx.example", bare_newline=mode, forbid_pipelining=False)

    def run(chunks: list[bytes]) -> tuple[list[Event], bytes]:
        session = ServerSession(config)
        session.greet(GREETING)
        events: list[Event] = []
        for chunk in chunks:
            for event in talk(session, chunk):
                if isinstance(event, Notice):
                    continue  # only seen when commands arrive together
                if isinstance(event, Content) and events and isinstance(events[-1], Content):
                    events[-1] = Content(events[-1].data + event.data)
                else:
                    events.append(event)
        return events, session.bytes_to_send()

    at = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    whole = run([data])
    assert run([data[a:b] for a, b in itertools.pairwise(at)]) == whole
    assert run([data[i : i + 1] for i in range(len(data))]) == whole


@settings(deadline=None)
@given(st.binary(max_size=400), st.booleans(), st.booleans(), st.sampled_from([*WAY, None]))
def test_no_bytes_make_it_raise(data: bytes, forbid: bool, check_utf8: bool, state: State | None) -> None:
    """Garbage in every state is an event, and every event has its reply."""
    config = ServerSettings(forbid_pipelining=forbid, check_utf8=check_utf8)
    session = ServerSession(config)
    session.greet(GREETING)
    for verb in WAY[state or State.RCPT]:
        talk(session, LINES[verb])
    if state is None:
        talk(session, LINES["DATA"])
    talk(session, data)
    talk(session, b"\r\n.\r\n" + data + b"\r\n")
    assert session.bytes_to_send().endswith(b"\r\n")


@pytest.mark.parametrize("verb", ["MAIL FROM:", "RCPT TO:", "VRFY ", "EHLO ", "NOOP "])
@given(data=st.data())
def test_no_argument_makes_it_raise(verb: str, data: st.DataObject) -> None:
    """What stands behind a verb may be anything."""
    argument = data.draw(st.text(st.sampled_from('<>@:,;."\\()[] aé=+;\t\x00SIZENOTFYRC0'), max_size=40))
    session = session_in(State.MAIL if verb[0] == "R" else State.GREETED)
    (event,) = talk(session, f"{verb}{argument}\r\n".encode())
    if isinstance(event, Rcpt):
        assert event.recipient
    if isinstance(event, Mail | Rcpt):
        address = event.sender if isinstance(event, Mail) else event.recipient
        assert address.isprintable() or not address.isascii()


@pytest.mark.parametrize(
    "line", ["R\u017fET", "QU\u0131T", "VRFY\u212a", "MA\u0131L FROM:<a@b>", "\tR\u017fET", "\u0131 x"]
)
def test_letters_beyond_ascii_make_no_command(line: str) -> None:
    """The upper case of a long s is S, and of a dotless i it is I: such words are no commands."""
    (event,) = talk(session_in(State.GREETED), f"{line}\r\n".encode())
    assert isinstance(event, Refused)
    assert event.reason in {Reason.UNKNOWN, Reason.FORBIDDEN}


@pytest.mark.parametrize("start", [b"RCPT TO:", b"RCPT\tTO:", b" RCPT TO:", b"\t\vrcpt\f \tto: "])
def test_quoted_blanks_stay_however_the_command_is_written(start: bytes) -> None:
    """A tab behind the verb, or blanks before it, change nothing in the address."""
    (event,) = talk(session_in(State.MAIL), start + b'<"a  b"@h.example>\r\n')
    assert event == Rcpt('"a  b"@h.example', '<"a  b"@h.example>')
    (event,) = talk(session_in(State.MAIL), start + b'<"a\tb"@h.example>\r\n')
    assert isinstance(event, Refused)


@pytest.mark.parametrize("line", ["RSET \f", "RSET\v\t", "\tRSET \r", "RSET"])
def test_blanks_behind_a_command_are_nothing(line: str) -> None:
    """Of all kinds, however many."""
    assert [type(event) for event in talk(session_in(State.MAIL), f"{line}\r\n".encode())] == [Rset]


def test_nothing_is_kept_at_the_end() -> None:
    """However the session ends, no octet waits any more."""
    session = session_in(State.GREETED)
    talk(session, b"QUIT\r\n")
    assert session.buffered_bytes == 0
    session = session_in(State.GREETED)
    session.receive(b"NOOP\r\nNOOP\r\n")
    session.next_event()
    session.close()
    assert session.buffered_bytes == 0


def test_quit_is_answered_and_closes() -> None:
    """221, and no more."""
    session = session_in(State.GREETED)
    (event,) = talk(session, LINES["QUIT"])
    assert isinstance(event, Quit)
    assert session.state is State.CLOSED
