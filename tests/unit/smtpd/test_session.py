"""Whole sessions with smtpd: what the client is told, what is logged, what reaches the queue."""

import asyncio
import re
import socket
import struct

import pytest

from posthouse.ipc.queue import CommitResult
from posthouse.util.errors import ConfigError
from tests.support.inprocess import Client
from tests.support.receiver import MakeReceiver, Receiver, talk

ENVELOPE = ("EHLO c.test", "MAIL FROM:<a@b.test>", "RCPT TO:<alice@example.test>")


def test_message_reaches_the_queue_with_trace_and_missing_headers(receiver: MakeReceiver) -> None:
    """The usual session: replies, queue ID, headers, log lines."""
    system = receiver()
    said = talk(system, *ENVELOPE, "DATA", "Subject: x\r\n\r\n..x\r\n.", "QUIT")
    assert said[0] == "220 mx.example.test ESMTP Postfix"
    assert said[2:5] == ["250 2.1.0 Ok", "250 2.1.5 Ok", "354 End data with <CR><LF>.<CR><LF>"]
    assert said[6] == "221 2.0.0 Bye"
    [(envelope, recipients, content)] = system.queue.messages
    queue_id = envelope.queue_id
    assert said[5] == f"250 2.0.0 Ok: queued as {queue_id}"
    assert (envelope.sender, [recipient.address for recipient in recipients]) == ("a@b.test", ["alice@example.test"])
    assert envelope.size == len(content)
    head = (
        rb"Received: from c\.test \(unknown \[127\.0\.0\.1\]\)\n"
        rb"\tby mx\.example\.test \(Postfix\) with ESMTP id %s\n\tfor <alice@example\.test>; [^\n]+\n"
        rb"Subject: x\nMessage-Id: <%s@mx\.example\.test>\nDate: [^\n]+\nFrom: a@b\.test\n\n\.x\n"
    ) % (queue_id.encode(), queue_id.encode())
    assert re.fullmatch(head, content), content
    assert system.system.log.lines == [
        "connect from unknown[127.0.0.1]",
        f"{queue_id}: client=unknown[127.0.0.1]",
        f"{queue_id}: message-id=<{queue_id}@mx.example.test>",
        "disconnect from unknown[127.0.0.1] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5",
    ]


def test_unknown_recipient_and_relaying_are_refused_and_logged(receiver: MakeReceiver) -> None:
    """The two refusals that every server needs, in Postfix's words."""
    system = receiver()
    said = talk(system, "EHLO c.test", "MAIL FROM:<>", "RCPT TO:<nobody@example.test>", "RCPT TO:<x@y.test>", "QUIT")
    unknown = "550 5.1.1 <nobody@example.test>: Recipient address rejected: User unknown in local recipient table"
    relay = "554 5.7.1 <x@y.test>: Relay access denied"
    assert said[3:5] == [unknown, relay]
    end = "proto=ESMTP helo=<c.test>"
    assert system.system.log.lines[1:3] == [
        f"NOQUEUE: reject: RCPT from unknown[127.0.0.1]: {unknown}; from=<> to=<nobody@example.test> {end}",
        f"NOQUEUE: reject: RCPT from unknown[127.0.0.1]: {relay}; from=<> to=<x@y.test> {end}",
    ]


def test_postmaster_is_always_there(receiver: MakeReceiver) -> None:
    """Without domain whatever the tables say; mailer-daemon and double-bounce of our own domain, too."""
    system = receiver({"local_recipient_maps": "inline:{alice=x}"})
    names = ("postmaster", "PostMaster@example.test", "mailer-daemon@example.test", "double-bounce@example.test")
    said = talk(system, "EHLO c.test", "MAIL FROM:<>", *(f"RCPT TO:<{name}>" for name in names))
    assert said[3:] == ["250 2.1.5 Ok"] * 4


def test_clients_of_mynetworks_may_relay(receiver: MakeReceiver) -> None:
    """127.0.0.2 is in mynetworks of these tests."""
    said = talk(receiver(), "EHLO c.test", "MAIL FROM:<a@b.test>", "RCPT TO:<x@y.test>", source="127.0.0.2")
    assert said[3] == "250 2.1.5 Ok"


def test_missing_relay_guard_stops_the_start(receiver: MakeReceiver) -> None:
    """No restriction that keeps strangers from relaying: the process does not serve at all."""
    with pytest.raises(ConfigError, match="specify at least one working instance of: reject_unauth_destination"):
        receiver({"smtpd_relay_restrictions": "permit_mynetworks", "smtpd_recipient_restrictions": ""})


def test_relay_guard_in_a_restriction_class_counts(receiver: MakeReceiver) -> None:
    """The guard may stand in a list of one's own."""
    settings = {
        "smtpd_restriction_classes": "ours",
        "ours": "reject_unauth_destination",
        "smtpd_relay_restrictions": "ours",
    }
    assert talk(receiver(settings), *ENVELOPE[:2], "RCPT TO:<x@y.test>")[3].startswith("554 5.7.1")


@pytest.mark.parametrize("word", ["reject_nonsense", "reject_rbl_client zen.example", "check_policy_service inet:x:1"])
def test_unknown_or_unbuilt_restriction_refuses(receiver: MakeReceiver, word: str) -> None:
    """A list never becomes laxer than it was written."""
    system = receiver({"smtpd_recipient_restrictions": f"{word}, permit"})
    assert talk(system, *ENVELOPE)[3] == "451 4.3.5 Server configuration error"


def test_failing_table_refuses_for_now(receiver: MakeReceiver) -> None:
    """A lookup that fails is never "not found"."""
    system = receiver({"smtpd_sender_restrictions": "check_sender_access fail:broken"})
    assert talk(system, *ENVELOPE)[3] == "451 4.3.5 <a@b.test>: Sender address rejected: Server configuration error"


def test_queue_failure_is_4xx_and_the_message_is_not_there(receiver: MakeReceiver) -> None:
    """No 250 before the commit; a full disk has a reply of its own."""
    system = receiver()
    answers = iter([CommitResult(0, "disk gone"), CommitResult(0, "no space", full=True)])
    system.queue.fail = lambda _commit: next(answers)
    said = talk(system, *ENVELOPE, "DATA", "x: y\r\n\r\n.", *ENVELOPE[1:], "DATA", "x: y\r\n\r\n.")
    assert said[5] == "451 4.3.0 Error: queue file write error"
    assert said[9] == "452 4.3.1 Error: insufficient system storage"
    assert system.queue.messages == []


def test_size_limits(receiver: MakeReceiver) -> None:
    """Announced at MAIL, and counted while the content comes; the session goes on."""
    system = receiver({"message_size_limit": "1000"})
    body = "x" * 1100
    said = talk(system, "EHLO c.test", "MAIL FROM:<a@b.test> SIZE=1001", *ENVELOPE[1:], "DATA", f"{body}\r\n.", "NOOP")
    assert said[2] == "552 5.3.4 Message size exceeds fixed limit"
    assert said[6:] == ["552 5.3.4 Error: message file too big", "250 2.0.0 Ok"]


def test_too_many_recipients_and_errors(receiver: MakeReceiver) -> None:
    """The recipient limit is no error at once; the hard error limit ends the session."""
    system = receiver({"smtpd_recipient_limit": "1", "smtpd_hard_error_limit": "2", "smtpd_error_sleep_time": "0"})
    said = talk(system, *ENVELOPE, "RCPT TO:<bob@example.test>", "FOO")
    assert said[4:] == ["452 4.5.3 Error: too many recipients", "500 5.5.2 Error: command not recognized"]

    async def rude() -> list[str]:
        client = await Client.connect(system.port)
        await client.reply()
        await client.say("EHLO c.test")
        client.send("FOO\r\nFOO\r\nRSET\r\n")
        replies = [await client.reply() for _ in range(3)]
        assert await client.is_closed()
        return replies

    assert system.system.run(rude())[-1] == "421 4.7.0 mx.example.test Error: too many errors"
    assert "too many errors after UNKNOWN from unknown[127.0.0.1]" in system.system.log.lines


def test_soft_error_limit_slows_down(receiver: MakeReceiver) -> None:
    """Beyond the limit each reply waits, also the good ones."""
    system = receiver({"smtpd_soft_error_limit": "1", "smtpd_error_sleep_time": "1"})

    async def timed() -> float:
        client = await Client.connect(system.port)
        await client.reply()
        await client.say("FOO")
        before = system.system.loop.time()
        assert await client.say("EHLO c.test")
        return system.system.loop.time() - before

    assert system.system.run(timed()) >= 0.9


def test_timeout_says_so(receiver: MakeReceiver) -> None:
    """A silent client is told and logged."""
    system = receiver({"smtpd_timeout": "1"})

    async def wait() -> str:
        client = await Client.connect(system.port)
        await client.reply()
        reply = await client.reply()
        assert await client.is_closed()
        return reply

    assert system.system.run(wait()) == "421 4.4.2 mx.example.test Error: timeout exceeded"
    assert "timeout after CONNECT from unknown[127.0.0.1]" in system.system.log.lines


def test_whole_request_deadline_is_not_moved_by_single_bytes(receiver: MakeReceiver) -> None:
    """With smtpd_per_request_deadline a dripping client is dropped all the same."""
    system = receiver({"smtpd_timeout": "1", "smtpd_per_request_deadline": "yes"})

    async def drip() -> str:
        client = await Client.connect(system.port)
        await client.reply()
        loop = system.system.loop
        for step in range(12):
            loop.call_later(step * 0.2, client.send, "x")
        return await client.reply()

    assert system.system.run(drip()).startswith("421 4.4.2")


def test_lost_connection_drops_the_message(receiver: MakeReceiver) -> None:
    """A client that goes away within the content leaves nothing but log lines."""
    system = receiver()

    async def leave() -> None:
        client = await Client.connect(system.port)
        await client.reply()
        await client.dialog(*ENVELOPE, "DATA")
        client.send("Subject: x\r\n\r\n")
        client.close()
        while not any("disconnect" in line for line in system.system.log.lines):
            client = await Client.connect(system.port)
            await client.reply()

    system.system.run(leave())
    assert "lost connection after DATA (14 bytes) from unknown[127.0.0.1]" in system.system.log.lines
    assert any(line.endswith("ehlo=1 mail=1 rcpt=1 data=0/1 commands=3/4") for line in system.system.log.lines)
    assert system.queue.messages == []


def test_pipelined_group_gets_its_replies_at_once(receiver: MakeReceiver) -> None:
    """MAIL, RCPT and DATA together (RFC 2920), also when the first recipient waits for a queue ID."""
    system = receiver()

    async def group() -> list[str]:
        client = await Client.connect(system.port)
        await client.reply()
        await client.say("EHLO c.test")
        client.send("MAIL FROM:<a@b.test>\r\nRCPT TO:<alice@example.test>\r\nRCPT TO:<no@example.test>\r\nDATA\r\n")
        replies = [(await client.reply())[:3] for _ in range(4)]
        client.send("a: b\r\n\r\nx\r\n.\r\nQUIT\r\n")
        return [*replies, (await client.reply())[:3], (await client.reply())[:3]]

    assert system.system.run(group()) == ["250", "250", "550", "354", "250", "221"]


def test_mailbox_line_and_leading_blank_are_no_part_of_our_header(receiver: MakeReceiver) -> None:
    """A mailbox separator becomes a header of its own; a fold at the start cannot continue our Received:."""
    system = receiver()
    talk(system, *ENVELOPE, "DATA", "From x Mon\r\n>From y\r\nTo: z@z.test\r\n\r\nb\r\n.")
    talk(system, *ENVELOPE, "DATA", " for <forged>; now\r\n\r\nb\r\n.")
    first, second = (content for _, _, content in system.queue.messages)
    assert b"\nX-Mailbox-Line: From x Mon\nX-Mailbox-Line: >From y\nTo: z@z.test\n" in first
    assert b"\n\n for <forged>; now\n" in second


def test_helo_name_cannot_forge_a_header(receiver: MakeReceiver) -> None:
    """Specials of the Received: grammar are replaced."""
    system = receiver()
    talk(system, "EHLO x(y[1.2.3.4];@<z>", *ENVELOPE[1:], "DATA", "a: b\r\n\r\n.")
    assert b"Received: from x?y[1.2.3.4]???z? (unknown" in system.queue.messages[0][2]


def test_vrfy_noop_rset_help(receiver: MakeReceiver) -> None:
    """The commands that bring no mail."""
    said = talk(receiver(), "VRFY alice@example.test", "VRFY no@example.test", "NOOP x", "HELP", "RSET", "RSET x")
    assert said[1] == "252 2.0.0 alice@example.test"
    assert said[2].startswith("550 5.1.1 <no@example.test>")
    assert said[3] == "250 2.0.0 Ok"
    assert said[4].startswith("214 2.0.0")
    assert said[5:] == ["250 2.0.0 Ok", "501 5.5.4 Syntax: RSET"]


def test_bare_newline_reject(receiver: MakeReceiver) -> None:
    """smtpd_forbid_bare_newline = reject refuses the message and hangs up."""
    system = receiver({"smtpd_forbid_bare_newline": "reject"})

    async def smuggle() -> list[str]:
        client = await Client.connect(system.port)
        await client.reply()
        await client.dialog(*ENVELOPE, "DATA")
        client.send("a: b\r\n\r\nx\n.\nMAIL FROM:<f@example.test>\r\n.\r\n")
        return [await client.reply(), str(await client.is_closed())]

    assert system.system.run(smuggle()) == ["550 5.5.2 mx.example.test Error: bare <LF> received", "True"]
    assert system.queue.messages == []


def test_client_killed_in_the_middle_of_a_command_is_gone_at_once(receiver: MakeReceiver) -> None:
    """Its session ends with it, and not with smtpd_timeout."""
    system = receiver()
    lines = system.system.log.lines
    with socket.create_connection(("127.0.0.1", system.port)) as sock:
        wait_for_line(system, "connect from")
        sock.sendall(b"MAIL FR")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST
    wait_for_line(system, "disconnect from")
    assert lines[1] == "lost connection after CONNECT from unknown[127.0.0.1]"


def wait_for_line(system: Receiver, text: str) -> None:
    """Turn the loop until the log has a line with a text."""
    turns = 0
    while not any(text in line for line in system.system.log.lines):
        system.system.run(asyncio.sleep(0.01))
        turns += 1
        assert turns < 1000, system.system.log.lines


def test_client_that_talks_first_is_refused(receiver: MakeReceiver) -> None:
    """Commands before the greeting, as far as they are there when it is sent."""
    system = receiver({"smtpd_client_restrictions": "sleep 1", "smtpd_delay_reject": "no"})

    async def early() -> str:
        client = await Client.connect(system.port)
        client.send("EHLO c.test\r\n")
        return await client.reply()

    assert system.system.run(early()) == "554 5.5.0 Error: SMTP protocol synchronization"
    assert (
        r"improper command pipelining after CONNECT from unknown[127.0.0.1]: EHLO c.test\r\n" in system.system.log.lines
    )
