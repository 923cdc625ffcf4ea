"""qshape: domains by age, beside Debian's qshape on queue files of Postfix's that hold the same messages."""

import asyncio
import io
import json
import random
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from posthouse.commands import qshape
from posthouse.commands.qshape import Options, Shape
from posthouse.ipc.showq import Listed, ListedRecipient
from tests.support.peers import find_peer, peer_environment

NOW = 1795389150.0
DOMAINS = [
    "example.com", "mail.example.com", "a.b.example.com", "c.b.example.com", "x.net", "Example.NET",
    "very.long." * 9 + "org",
    *(f"host{number}.many.test" for number in range(12)), *(f"s{number}.few.test" for number in range(3)),
]  # fmt: skip


def make(recipients: Sequence[str], age_s: float, *, sender: str = "author@home.test", now: float = NOW) -> Listed:
    """Give a message of a listing."""
    return Listed(
        "deferred", "3F1C2", now - age_s, 1000, sender, [ListedRecipient(each, each, "") for each in recipients]
    )


def shown(options: Options, messages: Sequence[Listed], now: float = NOW) -> list[str]:
    """Give the table's lines."""
    shape = Shape(options, now)
    for message in messages:
        shape.add(message)
    return list(shape.table())


def test_one_row_a_domain_one_column_an_age() -> None:
    """The column before last ends at the number above it; the last has no end."""
    minute = 60
    messages = [
        make(["a@one.test", "b@one.test", "c@two.test"], 4.9 * minute),
        make(["a@one.test"], 5 * minute),
        make(["a@one.test"], 10 * minute, sender=""),
        make(["a@two.test"], 5000 * minute),
    ]
    assert shown(Options(), messages) == [
        "                                         T  5 10 20 40 80 160 320 640 1280 1280+\n",
        "                                  TOTAL  6  3  1  1  0  0   0   0   0    0     1\n",
        "                               one.test  4  2  1  1  0  0   0   0   0    0     0\n",
        "                               two.test  2  1  0  0  0  0   0   0   0    0     1\n",
    ]
    assert shown(Options(senders=True, buckets=3, minutes=1, linear=True), messages)[1:] == [
        "TOTAL  4  0  0  4\n".rjust(81),
        "home.test  3  0  0  3\n".rjust(81),
        "MAILER-DAEMON  1  0  0  1\n".rjust(81),
    ]


def test_an_empty_queue_has_a_total() -> None:
    """Nothing waits, which is an answer."""
    assert shown(Options(), [])[1].split() == ["TOTAL", *["0"] * 11]
    assert json.loads(Shape(Options(buckets=2), NOW).as_json()) == {
        "ages_minutes": [5, None],
        "rows": [{"domain": "TOTAL", "total": 0, "counts": [0, 0]}],
    }


def record(kind: str, text: str) -> bytes:
    """Give a record of Postfix's queue files: a letter, the length in groups of seven bits, the data."""
    data, length, groups = text.encode(), len(text.encode()), b""
    while True:
        groups += bytes([length & 0x7F | (0x80 if length > 0x7F else 0)])
        length >>= 7
        if not length:
            return kind.encode() + groups + data


def write_queue_file(path: Path, message: Listed) -> None:
    """Write a message the way Postfix keeps it."""
    content = record("N", "Subject: x")
    parts = [record("C", f"{len(content)} 0 {len(message.recipients)} 0 0"), record("T", f"{message.arrival:.0f} 0")]
    parts += [record("S", message.sender), *(record("R", each.address) for each in message.recipients)]
    path.write_bytes(b"".join([*parts, record("M", ""), content, record("X", ""), record("E", "")]))
    path.chmod(0o700)


def test_debian_s_qshape_shows_the_same(tmp_path: Path) -> None:
    """The same messages, the same options, the same rows; rows that tie have no order there."""
    peer = find_peer("qshape")
    if not peer:
        pytest.skip("qshape is not here: make peers")
    chance, now = random.Random(5), time.time()
    queue = tmp_path / "deferred"
    queue.mkdir()
    messages = []
    for number in range(120):
        to = [f"user{chance.randrange(3)}@{chance.choice(DOMAINS)}" for _ in range(chance.randint(1, 4))]
        # In the middle of a column: the other program looks at its own clock.
        age_s = 60 * 5 * 1.3 * 2 ** chance.randrange(-1, 12)
        messages.append(make(to, age_s, sender=chance.choice(["", "list@many.test", "joe@x.net"]), now=now))
        write_queue_file(queue / f"ABCDEF{number:04X}", messages[-1])
    for arguments in (
        [],
        ["-s"],
        ["-p"],
        ["-p", "-m", "3"],
        ["-l"],
        ["-b", "5", "-t", "30"],
        ["-w", "132", "-l", "-b", "12"],
    ):
        done = subprocess.run(
            ["perl", peer, *arguments, str(queue)], capture_output=True, text=True, check=True, env=peer_environment()
        )
        ours = shown(qshape._options([*arguments, "deferred"]), messages, now)
        theirs = done.stdout.splitlines(keepends=True)
        assert (ours[0], sorted(ours)) == (theirs[0], sorted(theirs)), arguments
        counts = [int(line.split()[1]) for line in ours[1:]]
        assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["-b", "none"], '-b: "none" is not a number'), (["attic"], "no such queue: attic"), (["-z"], "option -z not")],
)
def test_a_wrong_command_line_is_explained(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason, and how it is written right."""
    assert qshape.main(["qshape", *arguments]) == 1
    written = capsys.readouterr()
    assert written.out == ""
    assert says in written.err
    assert "usage: qshape" in written.err


def test_on_a_terminal_the_largest_rows_are_shown_while_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A view for every -N messages, of -n rows."""

    class Queue:
        def __init__(self, directory: str) -> None:
            assert directory == "/somewhere"

        async def listing(self, *, queue_name: str) -> object:
            for number in range(25 if queue_name == "active" else 0):
                yield make([f"u@d{number % 9}.test"], 0.0)

        async def close(self) -> None:
            return

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(qshape, "QueueClient", Queue)
    out = Terminal()
    asyncio.run(qshape._show(qshape._options(["-c", "/somewhere", "-N", "10", "-n", "3"]), out))
    views = out.getvalue().split(qshape.CLEAR)[1:]
    assert [len(view.splitlines()) for view in views] == [4, 4, 4]
    assert [view.splitlines()[1].split()[1] for view in views] == ["10", "20", "25"]
