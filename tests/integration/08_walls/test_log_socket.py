"""The log's socket, which any user can write to: whose lines are whose."""

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.attacker import Acting, Walls, act, connect

pytestmark = pytest.mark.root
Start = Callable[..., Walls]
STAMP = b"Jan  1 00:00:00 mail postfix/qmgr[1]: "
FORGED = (
    STAMP + b"panic: forged",
    STAMP + b"forged\n" + STAMP + b"fatal: forged",
    b"\n\n\n" + STAMP + b"forged",
    b"forged\r" + STAMP + b"forged\x1b[2J\x00\x07\x7f\x9b forged",
    "forged\x85\u2028forged\udcff".encode("utf-8", "surrogateescape"),
    b"\n".join([b"forged"] * 5000),
    b"forged " + b"x" * 100_000,
    b"",
    b"\n",
)


def write(path: Path, *datagrams: bytes) -> None:
    """Send datagrams."""
    with connect(path, socket.SOCK_DGRAM) as sock:
        for datagram in datagrams:
            sock.send(datagram)


def test_a_user_s_lines_are_his(walls: Start) -> None:
    """Each is one line of postlogd's with his uid; newlines and control characters make no others."""
    system = walls()
    path = system.server.queue_directory / "public/postlog"
    act(system.mallory, write, path, *FORGED)
    tag = {"MAIL_LOGTAG": f"x\n{STAMP.decode()}panic: forged"}
    done = system.run(system.mallory, "postlog", "-p", "panic", "forged", "by", "postlog", environment=tag)
    assert done.returncode == 0
    system.server.wait_log("forged by postlog")
    lines = [line for line in system.server.maillog.read_bytes().split(b"\n") if b"forged" in line]
    assert 10 < len(lines) < 40
    for line in lines:
        assert b": uid=%d: " % system.mallory.uid in line
        assert line.split(b"]: ")[0].rpartition(b" ")[2].startswith(b"postfix/postlogd[")
        assert not set(line) & set(range(32))
    system.unharmed()


def test_json_lines_cannot_be_forged(walls: Start) -> None:
    """With log_format = json as well: every line is one object, and says who wrote it."""
    system = walls(log_format="json")
    path = system.server.queue_directory / "public/postlog"
    act(system.mallory, write, path, b'{"program": "postfix/qmgr", "severity": "panic", "message": "forged"}', *FORGED)
    system.server.wait_log("forged")
    found = [json.loads(line) for line in system.server.log().split("\n") if "forged" in line]
    assert {(one["program"], one["uid"]) for one in found} == {("postfix/postlogd", system.mallory.uid)}
    system.unharmed()


def test_a_flood_of_lines(walls: Start) -> None:
    """It fills the disk, as with every log; the daemons' lines get through, and mail does not wait for them."""
    system = walls()

    def flood() -> None:
        with connect(system.server.queue_directory / "public/postlog", socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            for _ in range(20_000):
                with suppress(OSError):
                    sock.send(b"flood " * 300)

    flooding = Acting(system.mallory, flood)
    system.normal_mail()
    with flooding:
        system.normal_mail()
    system.server.wait_log(r"local\[\d+\]: .* status=sent")
    system.unharmed()
