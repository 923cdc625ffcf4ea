"""What cleanup does to envelopes, and how it takes and passes on messages."""

import asyncio
import contextlib
import re
import socket

from posthouse.daemons.cleanup.leases import BLOCK, MAX_LENT, LentNumbers
from posthouse.ipc.cleanup import CLIENT, CleanupClient, Lease
from posthouse.ipc.message import NOTIFY_NEVER, Envelope, Recipient
from posthouse.ipc.stream import encode_frame
from posthouse.protocol.queue_id import format_long_id, format_short_id, number_text
from tests.support.inprocess import Client
from tests.support.lookups import logged
from tests.support.receiver import MakeReceiver, Receiver, talk

START = ("EHLO c.test", "MAIL FROM:<s@b.test>")
ALIASES = {
    "virtual_alias_maps": "inline:{ {group@example.test = alice@example.test, bob@example.test}"
    " {solo@example.test = alice} {loop@example.test = loop@example.test, bob@example.test}"
    " {big@example.test = a@x.test, b@x.test, c@x.test} }",
    "recipient_delimiter": "+",
}


def queued(system: Receiver, *recipients: str) -> list[Recipient]:
    """Send to these and return the recipients that were queued."""
    commands = [f"RCPT TO:<{recipient}>" for recipient in recipients]
    said = talk(system, *START, *commands, "DATA", "a: b\r\n\r\n.")
    assert said[-1].startswith("250 "), said
    return system.queue.messages[-1][1]


def test_virtual_aliases_expand_and_doubles_go(receiver: MakeReceiver) -> None:
    """One address becomes several; the original is kept; equal pairs are delivered once."""
    system = receiver(ALIASES)
    got = [(one.address, one.original) for one in queued(system, "group@example.test", "alice@example.test")]
    group = "group@example.test"
    assert got == [("alice@example.test", group), ("bob@example.test", group), ("alice@example.test", "")]
    assert [one.address for one in queued(system, "solo+x@example.test")] == ["alice+x@example.test"]
    assert [one.address for one in queued(system, "loop@example.test")] == ["loop@example.test", "bob@example.test"]


def test_doubles_by_address_alone(receiver: MakeReceiver) -> None:
    """enable_original_recipient = no: the first of them stays, whoever was meant and whatever DSN asked for."""
    system = receiver({**ALIASES, "enable_original_recipient": "no", "always_bcc": "Alice@example.test"})
    got = queued(system, "group@example.test", "solo@example.test", "bob@example.test")
    assert [(one.address, one.original, one.notify) for one in got] == [
        ("alice@example.test", "group@example.test", 0),
        ("bob@example.test", "group@example.test", 0),
    ]


def test_expansion_limit_refuses_for_now(receiver: MakeReceiver) -> None:
    """Never part of a list; the log says which message it was."""
    system = receiver({**ALIASES, "virtual_alias_expansion_limit": "2"})
    with logged() as lines:
        said = talk(system, *START, "RCPT TO:<big@example.test>", "DATA", "a: b\r\n\r\n.")
    assert said[-1] == "451 4.6.0 Error: alias expansion error"
    assert system.queue.messages == []
    what = "unreasonable virtual_alias_maps map expansion size for big@example.test"
    assert re.search(rf"^warning: [0-9A-Za-z]{{10,}}: {what} -- message not accepted", "\n".join(lines), re.MULTILINE)


def test_failing_alias_table_refuses_for_now(receiver: MakeReceiver) -> None:
    """A table error in cleanup is 4xx (smtpd's own check is switched off here)."""
    system = receiver({"virtual_alias_maps": "fail:x", "smtpd_reject_unlisted_recipient": "no"})
    with logged() as lines:
        said = talk(system, *START, "RCPT TO:<alice@example.test>", "DATA", "a: b\r\n\r\n.")
    assert said[-1] == "451 4.3.0 Error: queue file write error"
    what = "virtual_alias_maps map lookup problem for alice@example.test"
    assert re.search(rf"^warning: [0-9A-Za-z]{{10,}}: {what} -- message not accepted", "\n".join(lines), re.MULTILINE)


def test_a_table_makes_nobody_the_null_sender(receiver: MakeReceiver) -> None:
    """Only who is our MAILER-DAEMON before tables are asked."""
    system = receiver({"sender_canonical_maps": "inline:{s@b.test=MAILER-DAEMON@example.test}"})
    queued(system, "alice@example.test")
    assert system.queue.messages[-1][0].sender == "MAILER-DAEMON@example.test"


def test_canonical_and_completion(receiver: MakeReceiver) -> None:
    """Sender and recipient are completed and mapped; our own MAILER-DAEMON is the null sender."""
    system = receiver(
        {
            "sender_canonical_maps": "inline:{s@b.test=t@c.test}",
            "recipient_canonical_maps": "inline:{bob@example.test=alice@example.test}",
        }
    )
    assert [(one.address, one.original) for one in queued(system, "bob")] == [("alice@example.test", "bob")]
    assert system.queue.messages[0][0].sender == "t@c.test"
    for number, daemon in enumerate(("mailer-daemon", "EXAMPLE.TEST!Mailer-Daemon"), 1):
        talk(system, START[0], f"MAIL FROM:<{daemon}>", "RCPT TO:<alice>", "DATA", ".")
        assert system.queue.messages[number][0].sender == ""


def test_blind_copies(receiver: MakeReceiver) -> None:
    """always_bcc, sender_bcc_maps, recipient_bcc_maps: nobody is told of them."""
    system = receiver(
        {
            "always_bcc": "all@x.test",
            "sender_bcc_maps": "inline:{s@b.test=out@x.test}",
            "recipient_bcc_maps": "inline:{alice@example.test=in@x.test}",
        }
    )
    got = [(one.address, one.notify) for one in queued(system, "alice@example.test")]
    copies = [(f"{name}@x.test", NOTIFY_NEVER) for name in ("in", "out", "all")]
    assert got == [("alice@example.test", 0), *copies]


def test_large_message_goes_through_a_spool_file(receiver: MakeReceiver) -> None:
    """Content above 64 kB: the header is edited all the same, and every byte arrives."""
    system = receiver()
    lines = "".join(f"line {number:06d}\r\n" for number in range(40_000))
    said = talk(system, *START, "RCPT TO:<alice@example.test>", "DATA", f"Bcc: x\r\nTo: joe\r\n\r\n{lines}.")
    assert said[-1].startswith("250 "), said
    envelope, _, content = system.queue.messages[0]
    assert envelope.size == len(content)
    head, _, body = content.partition(b"\n\n")
    assert body.decode() == lines.replace("\r\n", "\n")
    assert b"\nTo: joe@example.test\nMessage-Id: <" in head
    assert b"Bcc" not in head


def test_too_large_for_the_header_alone(receiver: MakeReceiver) -> None:
    """A header section larger than memory's share for content is still edited as one."""
    system = receiver({"header_size_limit": "1000"})
    fields = "".join(f"X-{number}: {'y' * 990}\r\n" for number in range(150))
    message = f"{fields}X-L: {'z' * 2000}\r\nBcc: x\r\n\r\nb\r\n."
    said = talk(system, *START, "RCPT TO:<alice@example.test>", "DATA", message)
    assert said[-1].startswith("250 "), said
    content = system.queue.messages[0][2]
    assert b"\nBcc:" not in content
    assert len(max(content.split(b"\n"), key=len)) == 1000


def test_queue_id_of_somebody_else_is_refused(receiver: MakeReceiver) -> None:
    """A client can only use numbers that were leased to it, each once."""
    system = receiver()
    loop = system.system.loop
    path = f"{system.system.directory}/public/cleanup"
    one, other = CleanupClient(loop, path), CleanupClient(loop, path)

    async def try_ids() -> list[int]:
        queue_id = await one.new_queue_id()
        await other.new_queue_id()
        codes = []
        for client in (other, one, one):
            transaction = client.begin(Envelope(queue_id, "", 0.0), [Recipient("alice@example.test")])
            transaction.content(b"a: b\n\nc")
            codes.append((await transaction.end()).code)
        one.close()
        other.close()
        return codes

    assert system.system.run(try_ids()) == [451, 250, 451]
    assert system.queue.messages[0][2].endswith(b"\n\nc\n")


def test_numbers_are_lent_to_who_uses_them(receiver: MakeReceiver) -> None:
    """A client that asks for ever is cut off; one number is good for one message, of the form that was agreed on."""
    lent = LentNumbers(short=False)
    for first in range(0, MAX_LENT, BLOCK):
        lent.lend(first)
    before = lent.is_full
    assert lent.use(format_long_id(1, 2, MAX_LENT - 1))
    assert not lent.use(format_long_id(3, 4, MAX_LENT - 1))
    assert not lent.use(format_short_id(1, 1))
    lent.lend(MAX_LENT)
    assert (before, lent.is_full) == (False, True)
    system = receiver()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"{system.system.directory}/public/cleanup")
        sock.setblocking(False)
        sock.send(encode_frame(CLIENT.hello) + encode_frame(Lease(0, 64)) * (MAX_LENT // BLOCK + 2))
        system.system.run(_read_all(system.system.loop, sock))
    assert "a client leases queue IDs and uses none" in system.system.log.lines[-1]


async def _read_all(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    with contextlib.suppress(ConnectionResetError):
        while await loop.sock_recv(sock, 65536):
            pass


def test_short_queue_ids_where_main_cf_says_so(receiver: MakeReceiver) -> None:
    """enable_long_queue_ids = no, said outright: hexadecimal; the check of numbers knows both forms."""
    system = receiver({"enable_long_queue_ids": "no"})
    said = talk(system, *START, "RCPT TO:<alice@example.test>", "DATA", "a: b\r\n\r\nc\r\n.")
    found = re.fullmatch(r"250 2\.0\.0 Ok: queued as ([0-9A-F]{6,})", said[-1])
    assert found is not None, said
    assert number_text(found[1], short=True) is not None


def test_message_is_answered_250_when_qmgr_died_after_the_commit(receiver: MakeReceiver) -> None:
    """The commit is sent again on the next connection, and a known queue ID is a success."""
    system = receiver()
    system.queue.silent = True
    arrived = asyncio.Event()
    system.queue.fail = lambda _commit: arrived.set()

    async def send() -> str:
        client = await Client.connect(system.port)
        await client.reply()
        await client.dialog(*START, "RCPT TO:<alice@example.test>", "DATA")
        client.send("a: b\r\n\r\n.\r\n")
        await arrived.wait()
        system.queue.silent = False
        for channel in list(system.queue.channels):
            channel.abort()
        return await client.reply()

    assert system.system.run(send()).startswith("250 2.0.0 Ok: queued as ")
    assert len(system.queue.messages) == 1
