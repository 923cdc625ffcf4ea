"""192 MB for everything: 200 sessions of 900 kB, then another program that takes the rest."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest

from tests.conftest import Start
from tests.support.control_group import MemoryGroup, memory_group
from tests.support.instance import Instance
from tests.support.net import LOOPBACK, read_reply
from tests.support.processes import pss_bytes
from tests.support.scarcity import level, offer, send, status, wait

pytestmark = pytest.mark.root
LIMIT: Final = 192 << 20
SESSIONS: Final = 200
SIZE: Final = 900_000
PER_SESSION: Final = 256 << 10
LINE: Final = b"x" * 70 + b"\r\n"
# Takes memory bit by bit, as much as it is told on its standard input, and gives it back at its end.
HOG: Final = (
    "import sys\nheld = []\nfor line in sys.stdin:\n  held.append(b'x' * int(line))\n  print(len(held), flush=True)\n"
)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is to be undone at the end, after the servers have stopped."""
    with ExitStack() as undone:
        yield undone


def start(stack: ExitStack, posthouse: Start) -> tuple[Instance, MemoryGroup]:
    """Run a server in a group of its own, with room for all sessions."""
    group = stack.enter_context(memory_group(LIMIT))
    main = {"default_process_limit": "600", "local_recipient_maps": "", "local_transport": "discard:"}
    server = posthouse(started=False, main=main | {"resource_notice_recipient": ""})
    stack.callback(server.stop)
    with group.inside():
        server.start_and_greet()
    wait("the governor knows its group", lambda: level(server, "memory") == "normal")
    text = next(each["value"] for each in status(server)["conditions"] if each["condition"] == "memory")
    assert "192.0 MB" in text
    return server, group


def memory(server: Instance) -> int:
    """Return what the daemons of the way of a message take."""
    return pss_bytes(each.pid for each in server.processes() if each.name in ("smtpd", "cleanup", "qmgr"))


def begin(server: Instance) -> socket.socket:
    """Begin a session and its message; the content is to follow."""
    sock = socket.create_connection((LOOPBACK, server.port), timeout=60)
    commands = (b"", b"EHLO c.test\r\n", b"MAIL FROM:<a@c.test>\r\n", b"RCPT TO:<u@example.test>\r\n", b"DATA\r\n")
    for command in commands:
        sock.sendall(command)
        said = read_reply(sock)
        assert said[:1] in b"23", said
    sock.sendall(b"Subject: x\r\n\r\n")
    return sock


def test_two_hundred_large_messages_at_once(stack: ExitStack, posthouse: Start) -> None:
    """All in the middle of their content at the same time: nobody is killed, all are answered, little is taken."""
    server, group = start(stack, posthouse)
    assert send(server, "u@example.test", SIZE).startswith("250")
    idle = memory(server)
    sessions = [stack.enter_context(begin(server)) for _ in range(SESSIONS)]
    half = LINE * (SIZE // 2 // len(LINE))
    most = 0
    for number, sock in enumerate(sessions):
        sock.sendall(half)
        if number % 50 == 49:
            most = max(most, memory(server))
    time.sleep(1)
    most = max(most, memory(server))
    per_session = (most - idle) / SESSIONS
    print(f"idle {idle >> 10} kB, most {most >> 10} kB: {per_session / 1024:.1f} kB for each session")
    replies = []
    for sock in sessions:
        sock.sendall(half + b".\r\n")
        replies.append(read_reply(sock)[:9])
        sock.close()
    print(f"replies: {sorted(set(replies))}, level now {status(server)['level']}")
    assert group.kills == 0
    assert set(replies) == {b"250 2.0.0"}
    assert per_session <= PER_SESSION
    wait("memory is well", lambda: level(server, "memory") in ("normal", "busy"))


def test_another_program_takes_the_memory(stack: ExitStack, posthouse: Start) -> None:
    """421 4.3.2 to new sessions, those that are there end well, and all is back when the program ends."""
    server, group = start(stack, posthouse)
    there = stack.enter_context(begin(server))
    with group.inside():
        hog = subprocess.Popen([sys.executable, "-c", HOG], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.enter_context(hog)  # closes its pipes and waits for its end
    stack.callback(hog.kill)
    assert hog.stdin is not None
    assert hog.stdout is not None
    seen = []
    while (now := level(server, "memory")) != "critical":
        seen.append(now)
        assert len(seen) < 200
        hog.stdin.write(f"{1 << 20}\n")
        hog.stdin.flush()
        hog.stdout.readline()
    print(f"levels on the way: {sorted(set(seen))}, steps: {status(server)['steps']}")
    assert {"busy", "strained"} <= set(seen)
    wait("421 to new sessions", lambda: offer(server).startswith("421 4.3.2"))
    reply = offer(server)
    assert "out of memory" in reply
    there.sendall(LINE * 3000 + b".\r\n")
    assert read_reply(there).startswith(b"452 4.3.1") or group.kills == 0
    there.close()
    assert group.kills == 0
    server.wait_log(r"NOQUEUE: reject: CONNECT from \S+: 421 4\.3\.2 ")
    hog.kill()
    hog.wait()
    wait("sessions are taken again", lambda: offer(server).startswith("250"))
    wait("memory is well", lambda: level(server, "memory") == "normal")
    assert send(server, "u@example.test").startswith("250")
