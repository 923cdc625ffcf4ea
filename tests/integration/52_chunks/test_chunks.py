"""Messages by BDAT through a whole server, into a Maildir: byte for byte, large ones too; and clients that die."""

import re
import smtplib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support import bombs, net
from tests.support.instance import Instance, Options
from tests.support.mailboxes import Boxes, box, give_away
from tests.support.maildir import assert_same_content, wait_messages
from tests.support.servers import Posthouse

BOXES = Boxes(("one", "many", "tiny", "octets", "dead", "next"))
HEAD = (
    b"From: a@client.test\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-Id: <1@client.test>\r\nSubject: x\r\n\r\n"
)
LARGE = 10 * 1024 * 1024
HALF = """
import socket, sys, time
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sock.recv(1000)
for line in ("EHLO c.test", "MAIL FROM:<a@client.test>", "RCPT TO:<dead@box.test>"):
    sock.sendall(line.encode() + b"\\r\\n")
    sock.recv(1000)
sock.sendall(b"BDAT 300000\\r\\n" + b"x" * 300000 + b"BDAT 300000 LAST\\r\\n" + b"y" * 200000)
print("half", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Instance]:
    """One for all tests."""
    options = BOXES.options(message_size_limit=str(2 * LARGE), virtual_mailbox_limit="0")
    instance = Posthouse(Options(main=options["main"], files=options["files"]))
    give_away(instance)
    try:
        instance.start_and_greet()
        yield instance
    finally:
        instance.destroy()


def large() -> bytes:
    """Make ten megabytes of lines: dots, octets of all kinds, long ones."""
    odd = bytes(range(128, 256)) + b" .\x00\t"
    lines = [b".", b"..", b".x", b"", odd, b"y" * 1000, b"QUIT", b"BDAT 5 LAST"]
    block = b"\r\n".join(lines) + b"\r\n"
    return HEAD + block * (LARGE // len(block)) + b"end\r\n"


def open_message(client: smtplib.SMTP, recipient: str) -> None:
    """Say what comes before chunks."""
    client.ehlo("client.test")
    assert client.has_extn("chunking")
    client.mail("a@client.test")
    client.rcpt(recipient)


def say_chunk(client: smtplib.SMTP, data: bytes, last: str = "") -> tuple[int, bytes]:
    """Send one chunk and read its reply."""
    client.send(b"BDAT %d%s\r\n" % (len(data), last.encode()) + data)
    return client.getreply()


def test_large_messages(server: Instance) -> None:
    """Ten megabytes in one chunk, in many, and in thousands that are not waited for: nothing is changed."""
    content = large()
    with smtplib.SMTP(net.LOOPBACK, server.port, timeout=60) as client:
        open_message(client, "one@box.test")
        code, text = say_chunk(client, content, " LAST")
        assert (code, text.split(b" queued")[0]) == (250, b"2.0.0 Ok: %d bytes" % len(content))
        open_message(client, "many@box.test")
        for start in range(0, len(content), 65536):
            piece = content[start : start + 65536]
            assert say_chunk(client, piece) == (250, b"2.0.0 Ok: %d bytes" % len(piece))
        assert say_chunk(client, b"", " LAST")[0] == 250
    reply = bombs.send_chunks(server.port, content.replace(b"\r\n", b"\n"), "tiny@box.test", octets=2500)
    assert reply.startswith(b"250 2.0.0 Ok: %d bytes queued as " % len(content))
    for name in ("one", "many", "tiny"):
        (delivered,) = wait_messages(box(server, name), 1)
        assert_same_content(delivered, content)


def test_chunks_of_one_octet(server: Instance) -> None:
    """Lines cut everywhere; the last one has no end, and gets it."""
    content = HEAD + b".\r\n..\r\n\r\nend"
    with smtplib.SMTP(net.LOOPBACK, server.port, timeout=60) as client:
        open_message(client, "octets@box.test")
        for start in range(len(content) - 1):
            assert say_chunk(client, content[start : start + 1]) == (250, b"2.0.0 Ok: 1 bytes")
        assert say_chunk(client, content[-1:], " LAST")[0] == 250
    (delivered,) = wait_messages(box(server, "octets"), 1)
    assert_same_content(delivered, content + b"\r\n")


def test_a_client_killed_inside_a_chunk_leaves_nothing(server: Instance) -> None:
    """No message, nothing in the queue; who comes next is served."""
    dying = subprocess.Popen([sys.executable, "-c", HALF, str(server.port)], stdout=subprocess.PIPE)
    assert dying.stdout is not None
    assert dying.stdout.readline() == b"half\n"
    dying.kill()
    dying.wait()
    dying.stdout.close()
    lost = server.wait_log(r"lost connection after BDAT \((\d+) bytes\) from")
    assert 0 < int(lost[1]) <= 500_000
    assert server.wait_log(r"disconnect from \S+ ehlo=1 mail=1 rcpt=1 bdat=\d/\d commands=\d/\d")
    with smtplib.SMTP(net.LOOPBACK, server.port, timeout=60) as client:
        open_message(client, "next@box.test")
        assert say_chunk(client, HEAD, " LAST")[0] == 250
    wait_messages(box(server, "next"), 1)
    server.wait_queue_empty(30)
    assert not list(box(server, "dead").rglob("new/*"))
    assert not re.search(r"to=<dead@box\.test>.*status=", server.log())
    assert "Traceback" not in server.log()
