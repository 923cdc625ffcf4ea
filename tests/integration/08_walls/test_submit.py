"""The submit socket: half messages, forged records, and more than there is room for."""

import select
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from posthouse.ipc import submit
from posthouse.ipc.submit import CONTENT, END, FORMAT, FULL_NAME, HEAD, RECIPIENT, SENDER, VERSION, format_record
from tests.support.attacker import KEPT, Acting, Walls, act, connect, talk

pytestmark = pytest.mark.root
Start = Callable[..., Walls]
BEGIN = format_record(VERSION, FORMAT)
LAST = format_record(END, b"")
GOOD = BEGIN + format_record(RECIPIENT, b"victim@example.test") + format_record(CONTENT, b"Subject: whole\n\nx\n")
BIG = 64 * 1024


def to(name: bytes) -> bytes:
    """A recipient's record."""
    return format_record(RECIPIENT, name)


BROKEN = {
    "no version": to(b"root") + LAST,
    "another version": format_record(VERSION, b"posthouse-submission-2") + LAST,
    "version twice": BEGIN + GOOD + LAST,
    "unknown record": BEGIN + format_record(b"P", b"/etc/shadow") + LAST,
    "record of type 0": BEGIN + format_record(b"\0", b"") + LAST,
    "oversized record": BEGIN + HEAD.pack(RECIPIENT, 0xFFFFFFFF),
    "oversized content": BEGIN + HEAD.pack(CONTENT, BIG + 1) + b"x" * (BIG + 1),
    "NUL in the sender": BEGIN + format_record(SENDER, b"a\0b") + to(b"root") + LAST,
    "line break in the name": BEGIN + format_record(FULL_NAME, b"a\nBcc: b") + to(b"root") + LAST,
    "no UTF-8": BEGIN + to(b"\xff\xfe") + LAST,
    "unknown flag": BEGIN + format_record(submit.FLAGS, b"Z") + to(b"root") + LAST,
    "unknown notify": BEGIN + format_record(submit.NOTIFY, b"always") + to(b"root") + LAST,
    "recipient after content": GOOD + to(b"root") + LAST,
    "end with data": GOOD + format_record(END, b"x"),
    "more after the end": GOOD + LAST + GOOD + LAST,
    "no recipient": BEGIN + format_record(CONTENT, b"x\n") + LAST,
    "garbage": bytes(range(256)) * 300,
}


def test_broken_submissions_are_refused(walls: Start) -> None:
    """Each gets a 5xx answer, and nothing of it is sent."""
    system = walls()
    path = system.server.queue_directory / "submit/submit"
    answers = act(system.mallory, lambda: {name: talk(path, said, ends=False) for name, said in BROKEN.items()})
    assert {name: answer for name, answer in answers.items() if not answer.startswith(b"55")} == {}
    system.unharmed()
    assert "whole" not in system.mailbox(system.alice)


def test_half_messages_are_none(walls: Start) -> None:
    """Closed in any record, or silent for ever: nothing is queued, and others are served meanwhile."""
    system = walls()
    path = system.server.queue_directory / "submit/submit"

    def halves() -> list[bytes]:
        heard = [talk(path, (GOOD + LAST)[:length]) for length in range(0, len(GOOD + LAST), 3)]
        for _ in range(200):
            sock = connect(path)
            sock.sendall(GOOD[:-4])
            KEPT.append(sock)
        return heard

    with Acting(system.mallory, halves) as acting:
        assert set(acting.result) == {b""}
        system.normal_mail()
    system.unharmed()
    assert "whole" not in system.mailbox(system.alice)
    assert system.server.queue() == []


def pour(path: Path, first: bytes, piece: bytes, limit: int) -> tuple[int, bytes]:
    """Write for ever; how much was taken before the answer, and the answer."""
    with connect(path) as sock:
        sock.sendall(first)
        sent, answer = len(first), b""
        while sent < limit and not answer:
            with suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(piece)
            sent += len(piece)
            if select.select([sock], [], [], 0)[0]:
                answer = sock.recv(1000)
        return sent, answer


def test_submissions_without_an_end(walls: Start) -> None:
    """Recipients, names and content for ever: refused when it is too much, not when memory is full."""
    system = walls(message_size_limit="5000000")
    path = system.server.queue_directory / "submit/submit"
    pieces = {
        b"too many recipients": to(b"a" * 4000) * 100,
        b"too many": to(b"") * 4000,
        b"exceeds the size limit": format_record(CONTENT, b"x" * 60_000),
    }
    for why, piece in pieces.items():
        sent, answer = act(system.mallory, pour, path, BEGIN + to(b"victim"), piece, 100_000_000)
        assert sent < 20_000_000
        assert why in answer
    system.unharmed()


def test_a_submission_for_very_many(walls: Start) -> None:
    """A few names of a long list are more than a record between daemons holds: refused whole, and nobody ends."""
    members = ",".join(f"{'u' * 600}{number}@{'.'.join(['d' * 60] * 4)}" for number in range(990))
    system = walls(virtual_alias_maps=f"inline:{{{{large@example.test={members}}}}}")
    path = system.server.queue_directory / "submit/submit"
    many = b"".join(to(b"large+%d@example.test" % number) for number in range(25))
    answer = act(system.mallory, talk, path, BEGIN + many + format_record(CONTENT, b"x\n") + LAST, ends=False)
    assert answer == b"552 5.5.3 Error: too many recipients\n"
    system.unharmed()


def test_nobody_submits_as_somebody_else(walls: Start) -> None:
    """The uid in log and Received: is the kernel's, whatever the records say."""
    system = walls()
    path = system.server.queue_directory / "submit/submit"
    said = BEGIN + format_record(SENDER, b"root") + format_record(FULL_NAME, b"uid=0") + GOOD[len(BEGIN) :] + LAST
    assert act(system.mallory, talk, path, said, ends=False).startswith(b"250 ")
    found = system.wait_mail(system.alice, "Subject: whole")
    assert f"(Postfix, from userid {system.mallory.uid})" in found
    assert "from userid 0)" not in found
    system.server.wait_log(rf"pickup\[\d+\]: \w+: uid={system.mallory.uid} from=<root>")
    system.unharmed()


def test_a_listener_that_is_not_the_system_gets_nothing(walls: Start) -> None:
    """A socket of the attacker's cannot stand in the place of ours, nor beside it."""
    system = walls()
    places = [system.server.queue_directory / name for name in ("submit", "public", "private", "pid", ".")]

    def squat() -> list[str]:
        errors = []
        for place in places:
            with socket.socket(socket.AF_UNIX) as sock:
                for name in ("submit", "showq", "other"):
                    try:
                        sock.bind(str(place / name))
                    except OSError as error:
                        errors.append(struct.pack("i", error.errno or 0).hex())
        return errors

    assert len(act(system.mallory, squat)) == 3 * len(places)
    system.unharmed()
