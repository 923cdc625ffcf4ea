"""The client session and servers that do what they should not: replies that are none, too early, shifted, the last."""

import pytest

from posthouse.protocol.smtp.client import (
    ClientSession,
    ClientSettings,
    Failed,
    Greeting,
    RecipientDone,
    Refused,
    Stage,
)
from tests.unit.protocol.smtp.test_client import LMTP, SMTP, TWO, events, ready, results


@pytest.mark.parametrize(
    "bad",
    [
        b"199 x\r\n",
        b"099 x\r\n",
        b"999 x\r\n",
        b"260 x\r\n",
        b"abc\r\n",
        b"\r\n",
        b"25\r\n",
        b"2500 x\r\n",
        b"250_x\r\n",
        b"250-a\r\n550 b\r\n",
        b"x" * 1_000_000,
        b"250-x\r\n" * 1001,
        (b"250-" + b"x" * 2000 + b"\r\n") * 40,
    ],
)
def test_broken_replies_end_the_session(bad: bytes) -> None:
    """CL-01, 02, 04, 05: no code, wrong codes, endless lines and replies are never a success."""
    session = ready()
    session.send_envelope(TWO)
    found = events(session, bad)
    assert results(found) == [(0, Stage.MAIL, 0), (1, Stage.MAIL, 0)]
    assert isinstance(found[-1], Failed)
    assert not session.usable
    session.send_envelope(TWO)
    assert results(events(session)) == [(0, Stage.MAIL, 0), (1, Stage.MAIL, 0)]


def test_replies_before_their_commands_are_not_believed() -> None:
    """CL-07: ten replies with the greeting answer nothing."""
    session = ClientSession(SMTP)
    session.receive(b"220 mx\r\n" + b"250 ok\r\n" * 10)
    assert isinstance(session.next_event(), Greeting)
    session.hello()
    (failed,) = events(session)
    assert isinstance(failed, Failed)
    assert session.bytes_to_send() == b""


def test_unasked_words_between_transactions_end_the_session() -> None:
    """A server that speaks when it was not asked is not used again."""
    session = ready()
    (failed,) = events(session, b"421 4.3.2 Going down\r\n")
    assert isinstance(failed, Failed)
    assert failed.stage is Stage.IDLE
    assert "421 4.3.2 Going down" in failed.error


def test_421_to_a_recipient_is_that_recipients_own() -> None:
    """CL-16: the one it answers has it; the server may go on with the others, and is not used again."""
    session = ready()
    session.send_envelope(TWO)
    assert results(events(session, b"250 Ok\r\n421 4.3.2 Not you\r\n")) == [(0, Stage.RCPT, 421)]
    events(session, b"250 Ok\r\n354 Go\r\n")
    session.send_content(b"x\r\n")
    found = events(session, b"250 Ok\r\n")
    assert results(found) == [(1, Stage.END, 250)]
    assert isinstance(found[-1], Failed)
    assert not session.usable


def test_421_to_a_recipient_and_the_end_leaves_the_others_without_a_reply() -> None:
    """CL-16: they are to be tried again."""
    session = ready()
    session.send_envelope(TWO)
    events(session, b"250 Ok\r\n421 4.3.2 Going down\r\n")
    session.lost("lost connection")
    found = events(session)
    assert results(found) == [(1, Stage.RCPT, 0)]
    assert isinstance(found[-1], Failed)


@pytest.mark.parametrize("replies", [b"421 Bye\r\n", b"250 Ok\r\n250 Ok\r\n250 Ok\r\n421 Bye\r\n"])
def test_421_to_everybody_is_the_end(replies: bytes) -> None:
    """To MAIL or DATA: nothing more can come of this session."""
    session = ready()
    session.send_envelope(TWO)
    found = events(session, replies)
    assert [code for _, _, code in results(found)] == [421, 421]
    assert isinstance(found[-1], Failed)


def test_lmtp_421_to_a_recipient_behind_the_content_is_that_recipients_own() -> None:
    """The other one has the message: its reply is waited for, or it would get the message twice."""
    session = ready(config=LMTP)
    session.send_envelope(TWO)
    events(session, b"250 Ok\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n")
    session.send_content(b"x\r\n")
    assert results(events(session, b"421 4.2.1 Busy\r\n")) == [(0, Stage.END, 421)]
    found = events(session, b"250 Taken\r\n")
    assert results(found) == [(1, Stage.END, 250)]
    assert isinstance(found[-1], Failed)


def test_refusal_while_content_is_sent() -> None:
    """A server may refuse before the dot; its reply counts, and the session is over."""
    session = ready()
    session.send_envelope(TWO)
    events(session, b"250 Ok\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n")
    session.send_content(b"x\r\n", last=False)
    assert session.stage is Stage.CONTENT
    found = events(session, b"552 5.3.4 Too big\r\n")
    assert results(found) == [(0, Stage.CONTENT, 552), (1, Stage.CONTENT, 552)]
    assert isinstance(found[-1], Failed)


def test_success_while_content_is_sent_is_none() -> None:
    """250 before the dot is not a delivery."""
    session = ready()
    session.send_envelope(TWO)
    events(session, b"250 Ok\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n")
    found = events(session, b"250 2.0.0 Ok\r\n")
    assert results(found) == [(0, Stage.CONTENT, 0), (1, Stage.CONTENT, 0)]


@pytest.mark.parametrize("config", [SMTP, LMTP])
def test_success_before_the_last_octet_is_sent_is_none(config: ClientSettings) -> None:
    """The dot still waits for the socket: nobody can have the message yet. A refusal is one."""
    for reply, code in ((b"250 2.0.0 Ok\r\n", 0), (b"552 5.3.4 Too big\r\n", 552)):
        session = ready(config=config)
        session.send_envelope(TWO)
        events(session, b"250 Ok\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n")
        session.send_content(b"x\r\n")
        session.is_sending = True
        found = events(session, reply + reply)
        assert results(found) == [(0, Stage.END, code), (1, Stage.END, code)]


def test_lmtp_354_behind_the_content_ends_the_session() -> None:
    """354 came twice: each reply that follows is the one before, and a refusal must not be another's success."""
    session = ready(config=LMTP)
    session.send_envelope(TWO)
    events(session, b"250 Ok\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n")
    session.send_content(b"x\r\n")
    found = events(session, b"354 Go\r\n250 Taken by a\r\n550 No b\r\n")
    assert results(found) == [(0, Stage.END, 354), (1, Stage.END, 0)]
    assert isinstance(found[-1], Failed)


@pytest.mark.parametrize("replies", [b"250 Ok\r\n" * 4, b"250 Ok\r\n250 Ok\r\n354 Go\r\n354 Go\r\n"])
def test_a_reply_that_does_not_belong_there_is_the_last_transactions(replies: bytes) -> None:
    """A session whose replies may be shifted is not used again."""
    session = ready()
    session.send_envelope(TWO)
    found = events(session, replies)
    if session.stage is Stage.CONTENT:
        session.send_content(b"x\r\n")
        found += events(session, b"250 Ok\r\n")
    assert len(results(found)) == 2
    assert isinstance(found[-1], Failed)


@pytest.mark.parametrize("size", [3000, 60_000])
@pytest.mark.parametrize("cut", [1, 2047, 2049, 2999])
def test_a_long_line_is_cut_and_its_reply_counts(size: int, cut: int) -> None:
    """What a server took is not sent again for want of brevity, nor is what it refused."""
    session = ready()
    session.send_envelope(TWO)
    line = b"550-" + b"x" * size + b"\r\n"
    assert events(session, line[:cut]) == []
    found = events(session, line[cut:] + b"550 5.1.1 end\r\n250 Ok\r\n")
    first = found[0]
    assert isinstance(first, RecipientDone)
    assert first.reply is not None
    assert (first.reply.code, len(first.reply.lines[0])) == (550, 2044)


def test_many_lines_are_shown_in_part() -> None:
    """Log and notice have what Postfix has: lines up to its line_length_limit."""
    session = ready()
    session.send_envelope(TWO)
    (first, *_) = events(session, b"550-5.7.1 " + b"x" * 500 + b"\r\n" + b"550-no\r\n" * 900 + b"550 no\r\n")
    assert isinstance(first, RecipientDone)
    assert 2048 <= len(str(first.reply)) < 2056


@pytest.mark.parametrize("reply", [b"554", b"554 ", b"554 5.7.1"])
def test_a_reply_without_text_is_shown_without_a_blank(reply: bytes) -> None:
    """As Postfix shows it."""
    (refused,) = events(ClientSession(SMTP), reply + b"\r\n")
    assert isinstance(refused, Refused)
    assert str(refused.reply) == reply.decode().strip()


def test_reply_text_is_cleaned() -> None:
    """CL-06: control characters and malformed UTF-8 never reach log or report."""
    session = ClientSession(SMTP)
    (refused,) = events(session, b"554 5.7.1 a\x00b\x1b[31m\rc\xff\xe2\x80\xa8d\x9f\n")
    assert isinstance(refused, Refused)
    assert refused.reply.text.isprintable()
    assert str(refused.reply) == "554 5.7.1 a?b?[31m?c??d?"


def test_an_incomplete_refusal_while_content_is_sent_waits() -> None:
    """Half a line is no reply yet."""
    session = ready()
    session.send_envelope(TWO)
    events(session, b"250 Ok\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n")
    assert events(session, b"552 5.3") == []
    assert results(events(session, b".4 Too big\r\n")) == [(0, Stage.CONTENT, 552), (1, Stage.CONTENT, 552)]
