"""The client session: what it sends, and that each recipient gets exactly one result whatever the server says."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.protocol.smtp.client import (
    ClientEvent,
    ClientSession,
    ClientSettings,
    Closed,
    Failed,
    Greeting,
    HelloDone,
    Idle,
    RecipientDone,
    Refused,
    SendContent,
    Stage,
    TlsReady,
)
from posthouse.protocol.smtp.client_replies import ServerReply
from posthouse.protocol.smtp.envelope import Envelope, Recipient

SMTP = ClientSettings("client.example")
LMTP = ClientSettings("client.example", lmtp=True)
TWO = Envelope("s@client.example", (Recipient("a@x.example"), Recipient("b@x.example")))
PIPELINING = b"250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-DSN\r\n250 SMTPUTF8\r\n"
PLAIN = b"250-mx.example\r\n250 HELP\r\n"


def events(session: ClientSession, data: bytes = b"") -> list[ClientEvent]:
    """Feed bytes and take all events."""
    if data:
        session.receive(data)
    out = []
    while (event := session.next_event()) is not None:
        out.append(event)
    return out


def ready(ehlo: bytes = PIPELINING, config: ClientSettings = SMTP) -> ClientSession:
    """Bring a session to the point where a transaction may start."""
    session = ClientSession(config)
    (greeting,) = events(session, b"220 mx.example ESMTP\r\n")
    assert isinstance(greeting, Greeting)
    session.hello()
    assert session.bytes_to_send() == (b"LHLO" if config.lmtp else b"EHLO") + b" client.example\r\n"
    (done,) = events(session, ehlo)
    assert isinstance(done, HelloDone)
    return session


def results(found: list[ClientEvent]) -> list[tuple[int, Stage, int]]:
    """Reduce the results of recipients to index, stage and code (0: none)."""
    return [(e.index, e.stage, e.reply.code if e.reply else 0) for e in found if isinstance(e, RecipientDone)]


def test_features_are_read() -> None:
    """Keywords in any case, the size limit, and the server's name."""
    features = ready().features
    assert features.pipelining
    assert features.eight_bit_mime
    assert features.dsn
    assert features.smtputf8
    assert features.size
    assert features.size_limit == 1000
    assert features.hostname == "mx.example"
    assert not features.starttls
    assert "SIZE" in features


@pytest.mark.parametrize("value", ["-1", "abc", "", "1e9", "9" * 40, "٣"])
def test_bad_size_values_are_ignored(value: str) -> None:
    """SIZE=-1, SIZE=abc and their like set no limit."""
    assert ready(f"250-mx.example\r\n250 SIZE {value}\r\n".encode()).features.size_limit == 0


def test_pipelined_transaction() -> None:
    """MAIL, RCPT and DATA leave in one group; content only after 354; one result each."""
    session = ready()
    session.send_envelope(TWO)
    assert session.bytes_to_send() == (
        b"MAIL FROM:<s@client.example>\r\nRCPT TO:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n"
    )
    refused = ServerReply(550, "5.1.1", ("No such user",))
    assert events(session, b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n550 5.1.1 No such user\r\n") == [
        RecipientDone(1, Stage.RCPT, refused)
    ]
    assert events(session, b"354 Go\r\n") == [SendContent()]
    session.send_content(b"x\r\n")
    assert session.bytes_to_send() == b"x\r\n.\r\n"
    assert session.stage is Stage.END
    found = events(session, b"250 2.0.0 Ok: queued\r\n")
    assert results(found) == [(0, Stage.END, 250)]
    assert isinstance(found[0], RecipientDone)
    assert found[0].sent
    assert found[-1] == Idle()
    assert session.usable
    session.quit()
    assert session.bytes_to_send() == b"QUIT\r\n"
    assert events(session, b"221 Bye\r\n") == [Closed()]


def test_transaction_without_pipelining_waits_for_each_reply() -> None:
    """One command at a time where the server offers no PIPELINING."""
    session = ready(PLAIN)
    session.send_envelope(TWO)
    assert session.bytes_to_send() == b"MAIL FROM:<s@client.example>\r\n"
    assert events(session, b"250 Ok\r\n") == []
    assert session.bytes_to_send() == b"RCPT TO:<a@x.example>\r\n"
    assert results(events(session, b"450 4.2.1 Later\r\n")) == [(0, Stage.RCPT, 450)]
    assert session.bytes_to_send() == b"RCPT TO:<b@x.example>\r\n"
    assert events(session, b"250 Ok\r\n") == []
    assert session.bytes_to_send() == b"DATA\r\n"
    assert events(session, b"354 Go\r\n") == [SendContent()]
    session.send_content(b"a\r\n", last=False)
    session.send_content(b"b\r\n")
    assert session.bytes_to_send() == b"a\r\nb\r\n.\r\n"
    assert results(events(session, b"554 5.7.1 Spam\r\n")) == [(1, Stage.END, 554)]


def test_refused_sender_ends_a_plain_transaction() -> None:
    """Without pipelining nothing more is sent, and the next transaction starts clean."""
    session = ready(PLAIN)
    session.send_envelope(TWO)
    session.bytes_to_send()
    found = events(session, b"550 5.7.1 No\r\n")
    assert results(found) == [(0, Stage.MAIL, 550), (1, Stage.MAIL, 550)]
    assert found[-1] == Idle()
    session.send_envelope(TWO)
    assert session.bytes_to_send() == b"MAIL FROM:<s@client.example>\r\n"


def test_refused_recipients_end_a_plain_transaction_and_rset_comes_first_next_time() -> None:
    """No DATA without a recipient; the server's half-open transaction is reset before the next."""
    session = ready(PLAIN)
    session.send_envelope(TWO)
    assert results(events(session, b"250 Ok\r\n")) == []
    found = events(session, b"550 No\r\n") + events(session, b"550 No\r\n")
    assert results(found) == [(0, Stage.RCPT, 550), (1, Stage.RCPT, 550)]
    session.bytes_to_send()
    session.send_envelope(TWO)
    assert session.bytes_to_send() == b"RSET\r\n"
    assert events(session, b"250 Ok\r\n") == []
    assert session.bytes_to_send() == b"MAIL FROM:<s@client.example>\r\n"


def test_354_without_recipients_is_ended_with_a_lone_dot() -> None:
    """A pipelined DATA that should have been refused: an empty message for nobody, its reply is not believed."""
    session = ready()
    session.send_envelope(TWO)
    session.bytes_to_send()
    found = events(session, b"250 Ok\r\n550 No\r\n550 No\r\n354 Go\r\n")
    assert results(found) == [(0, Stage.RCPT, 550), (1, Stage.RCPT, 550)]
    assert session.bytes_to_send() == b".\r\n"
    assert events(session, b"250 Ok: queued\r\n") == [Idle()]


def test_354_without_recipients_leaves_no_trace_in_lmtp() -> None:
    """Nobody answers the dot there; the next transaction of the session gets all of its replies."""
    session = ready(PIPELINING, LMTP)
    session.send_envelope(TWO)
    found = events(session, b"250 Ok\r\n550 No\r\n550 No\r\n354 Go\r\n")
    assert results(found) == [(0, Stage.RCPT, 550), (1, Stage.RCPT, 550)]
    assert found[-1] == Idle()
    assert session.bytes_to_send().endswith(b"DATA\r\n.\r\n")
    session.send_envelope(TWO)
    assert events(session, b"250 Ok\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n") == [SendContent()]
    session.send_content(b"x\r\n")
    found = events(session, b"250 2.0.0 Ok\r\n")
    assert results(found) == [(0, Stage.END, 250)]
    found += events(session, b"250 2.0.0 Ok\r\n")
    assert results(found) == [(0, Stage.END, 250), (1, Stage.END, 250)]
    assert found[-1] == Idle()


def test_letters_beyond_ascii_offer_nothing() -> None:
    """The upper case of a long s is S: SIZE is not what such a server offers."""
    features = ready("250-mx.example\r\n250-\u017fIZE 5\r\n250 P\u0131PELINING\r\n".encode()).features
    assert features.keywords == {}


def test_content_is_never_sent_unless_354_came() -> None:
    """250 to DATA is no leave to send (CL-14), nor is 354 to MAIL a yes."""
    session = ready()
    session.send_envelope(TWO)
    found = events(session, b"250 Ok\r\n250 Ok\r\n250 Ok\r\n250 Ok\r\n")
    assert results(found) == [(0, Stage.DATA, 250), (1, Stage.DATA, 250)]
    assert not any(isinstance(event, RecipientDone) and event.sent for event in found)
    session = ready(PLAIN)
    session.send_envelope(TWO)
    assert results(events(session, b"354 Go\r\n")) == [(0, Stage.MAIL, 354), (1, Stage.MAIL, 354)]


def test_lmtp_gives_each_recipient_its_own_reply() -> None:
    """RFC 2033: after the dot one reply for each accepted recipient, in order."""
    session = ready(PIPELINING, LMTP)
    session.send_envelope(Envelope("", (Recipient("a"), Recipient("b"), Recipient("c"))))
    assert session.bytes_to_send().startswith(b"MAIL FROM:<>\r\n")
    found = events(session, b"250 Ok\r\n250 Ok\r\n550 5.1.1 No\r\n250 Ok\r\n354 Go\r\n")
    session.send_content(b"x\r\n")
    found += events(session, b"250 2.0.0 Ok\r\n452 4.2.2 Full\r\n")
    assert results(found) == [(1, Stage.RCPT, 550), (0, Stage.END, 250), (2, Stage.END, 452)]
    assert found[-1] == Idle()


def test_lmtp_with_too_few_replies_defers_the_rest() -> None:
    """CL-21: who got no reply is not delivered."""
    session = ready(PIPELINING, LMTP)
    session.send_envelope(TWO)
    found = events(session, b"250 Ok\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n")
    session.send_content(b"x\r\n")
    found += events(session, b"250 Ok\r\n")
    session.lost("lost connection")
    found += events(session)
    assert results(found) == [(0, Stage.END, 250), (1, Stage.END, 0)]
    assert found[-1] == Failed(Stage.END, "lost connection")


def test_parameters_go_only_to_servers_that_offer_them() -> None:
    """SIZE, BODY, SMTPUTF8 and DSN, or nothing."""
    envelope = Envelope(
        "s@c.example",
        (Recipient("a@x", frozenset({"FAILURE", "SUCCESS"}), "rfc822;a+b@x"),),
        size_bytes=10,
        body="8BITMIME",
        smtputf8=True,
        ret="HDRS",
        envid="e=1",
    )
    session = ready()
    session.send_envelope(envelope)
    assert session.bytes_to_send() == (
        b"MAIL FROM:<s@c.example> SIZE=10 BODY=8BITMIME ENVID=e+3D1 RET=HDRS SMTPUTF8\r\n"
        b"RCPT TO:<a@x> ORCPT=rfc822;a+2Bb@x NOTIFY=SUCCESS,FAILURE\r\nDATA\r\n"
    )
    session = ready(PLAIN)
    session.send_envelope(envelope)
    assert session.bytes_to_send() == b"MAIL FROM:<s@c.example>\r\n"


@pytest.mark.parametrize(
    ("orcpt", "wire"),
    [
        ("utf-8;jürgen+x@bücher.test", rb"utf-8;j\x{FC}rgen\x{2B}x@b\x{FC}cher.test"),
        ("utf-8;\udcff@x", b"rfc822;+FF@x"),
        ("rfc822;jürgen@x", b"rfc822;j+C3+BCrgen@x"),
    ],
)
def test_original_recipients_beyond_ascii(orcpt: str, wire: bytes) -> None:
    """Each type in its own escapes (RFC 6533 3)."""
    session = ready()
    session.send_envelope(Envelope("s@c", (Recipient("b@x", orcpt=orcpt),)))
    assert b" ORCPT=" + wire + b"\r\n" in session.bytes_to_send()


def test_addresses_cannot_carry_commands() -> None:
    """A control character in an address never reaches the wire."""
    session = ready()
    session.send_envelope(Envelope("s@c", (Recipient("a@x>\r\nRCPT TO:<evil@x"), Recipient("b@x"))))
    assert session.bytes_to_send() == b"MAIL FROM:<s@c>\r\nRCPT TO:<b@x>\r\nDATA\r\n"
    assert results(events(session)) == [(0, Stage.RCPT, 0)]
    session = ready()
    session.send_envelope(Envelope("s\r\nQUIT@c", TWO.recipients))
    assert session.bytes_to_send() == b""
    assert results(events(session)) == [(0, Stage.MAIL, 0), (1, Stage.MAIL, 0)]


def test_helo_follows_a_refused_ehlo() -> None:
    """4xx or 5xx to EHLO: try HELO; 421 to EHLO or a refused HELO: the server does not want us."""
    session = ClientSession(SMTP)
    events(session, b"220 old.example\r\n")
    session.hello()
    session.bytes_to_send()
    assert events(session, b"500 What?\r\n") == []
    assert session.bytes_to_send() == b"HELO client.example\r\n"
    (done,) = events(session, b"250 old.example\r\n")
    assert isinstance(done, HelloDone)
    assert done.features.keywords == {}
    session = ClientSession(SMTP)
    events(session, b"220 old.example\r\n")
    session.hello()
    refused, _ = events(session, b"421 4.7.1 Later\r\n")
    assert isinstance(refused, Refused)
    assert refused.stage is Stage.EHLO
    session = ClientSession(SMTP)
    events(session, b"220 old.example\r\n")
    session.hello()
    assert events(session, b"450 4.7.1 Later\r\n") == []
    (refused,) = events(session, b"450 4.7.1 Later\r\n")
    assert isinstance(refused, Refused)
    assert refused.stage is Stage.HELO


def test_refused_greeting() -> None:
    """554 instead of 220."""
    (refused,) = events(ClientSession(SMTP), b"554-no\r\n554 5.7.1 mail here\r\n")
    assert isinstance(refused, Refused)
    assert (refused.stage, refused.reply.status, refused.reply.text) == (Stage.GREETING, "5.7.1", "no mail here")


def test_starttls() -> None:
    """220 means go; anything injected behind it ends the session (CL-08)."""
    session = ready(b"250-mx\r\n250 STARTTLS\r\n")
    session.start_tls()
    assert session.bytes_to_send() == b"STARTTLS\r\n"
    assert events(session, b"220 Go\r\n") == [TlsReady()]
    session = ready(b"250-mx\r\n250 STARTTLS\r\n")
    session.start_tls()
    (failed,) = events(session, b"220 Go\r\n250 injected\r\n")
    assert isinstance(failed, Failed)
    assert ClientSession(SMTP, greeted=True).stage is Stage.IDLE


def test_reset_probes_a_kept_connection() -> None:
    """RSET is answered before the connection is trusted again."""
    session = ready()
    session.reset()
    assert session.bytes_to_send() == b"RSET\r\n"
    assert not session.usable
    assert events(session, b"250 Ok\r\n") == [Idle()]
    session.reset()
    assert isinstance(events(session, b"500 What\r\n")[-1], Failed)


REPLY_LINES = st.lists(
    st.sampled_from(
        [b"250 Ok", b"250-x", b"354 Go", b"550 5.1.1 No", b"450 Later", b"421 Bye", b"220 Hi", b"", b"xyz", b"251 \xff"]
    ),
    max_size=14,
).map(lambda lines: b"".join(line + b"\r\n" for line in lines))


@settings(deadline=None)
@given(REPLY_LINES, st.booleans(), st.booleans(), st.lists(st.integers(0, 100), max_size=5))
def test_each_recipient_gets_one_result(data: bytes, pipelining: bool, lmtp: bool, cuts: list[int]) -> None:
    """Whatever comes, cut anywhere: one result per recipient, "sent" only after content and a 2xx."""
    session = ready(PIPELINING if pipelining else PLAIN, LMTP if lmtp else SMTP)
    session.send_envelope(TWO)
    found: list[ClientEvent] = []
    content_sent = False
    at = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    for start, end in itertools.pairwise(at):
        session.receive(data[start:end])
        while (event := session.next_event()) is not None:
            found.append(event)
            if isinstance(event, SendContent):
                session.send_content(b"x\r\n")
                content_sent = True
    session.lost("end of test")
    found += events(session)
    assert sorted(index for index, _, _ in results(found)) == [0, 1]
    assert content_sent or not any(isinstance(event, RecipientDone) and event.sent for event in found)


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    """Garbage from a server is an event, not an exception."""
    session = ClientSession(SMTP)
    events(session, data)
    session.lost("end")
    events(session)


def test_helo_only_servers() -> None:
    """smtp_never_send_ehlo: HELO, and no extensions."""
    session = ClientSession(ClientSettings("client.example", send_ehlo=False))
    events(session, b"220 old\r\n")
    session.hello()
    assert session.bytes_to_send() == b"HELO client.example\r\n"
    assert isinstance(events(session, b"250 old\r\n")[0], HelloDone)


def test_all_recipients_with_control_characters() -> None:
    """Nobody can be sent to: no DATA, and the server's transaction is given up."""
    session = ready(PLAIN)
    session.send_envelope(Envelope("s@c", (Recipient("a\n@x"), Recipient("b\n@x"))))
    found = events(session, b"250 Ok\r\n")
    assert results(found) == [(0, Stage.RCPT, 0), (1, Stage.RCPT, 0)]
    assert found[-1] == Idle()


def test_lmtp_354_for_nobody_is_ended_without_a_reply() -> None:
    """RFC 2033 4.2: no accepted recipient, no reply after the dot."""
    session = ready(PIPELINING, LMTP)
    session.send_envelope(TWO)
    session.bytes_to_send()
    found = events(session, b"250 Ok\r\n550 No\r\n550 No\r\n354 Go\r\n")
    assert session.bytes_to_send() == b".\r\n"
    assert found[-1] == Idle()


def test_data_refused_by_policy_is_reset_next_time() -> None:
    """554 to a pipelined DATA leaves the server in a transaction: RSET goes ahead of the next, in the same group."""
    session = ready()
    session.send_envelope(TWO)
    session.bytes_to_send()
    assert results(events(session, b"250 Ok\r\n250 Ok\r\n250 Ok\r\n451 4.7.1 Later\r\n")) == [
        (0, Stage.DATA, 451),
        (1, Stage.DATA, 451),
    ]
    session.send_envelope(TWO)
    assert session.bytes_to_send().startswith(b"RSET\r\nMAIL FROM:<s@client.example>\r\n")
    assert results(events(session, b"250 Ok\r\n550 5.7.1 No\r\n")) == [(0, Stage.MAIL, 550), (1, Stage.MAIL, 550)]


def test_loss_after_the_end_is_nothing_new() -> None:
    """A second loss tells nothing; a loss while idle concerns no recipient."""
    session = ready()
    session.lost("gone")
    session.lost("gone again")
    assert events(session) == [Failed(Stage.IDLE, "gone")]
    session.hello()
    assert session.bytes_to_send() == b""


def test_blank_keywords_are_no_features() -> None:
    """Empty lines in the reply to EHLO mean nothing."""
    assert ready(b"250-mx.example\r\n250-\r\n250  DSN \r\n").features.keywords == {"DSN": ""}


def test_owed_replies_are_counted() -> None:
    """It falls with each whole reply, not with each octet."""
    session = ready()
    session.send_envelope(TWO)
    assert session.owed == 4
    events(session, b"250 Ok\r\n25")
    assert session.owed == 3
