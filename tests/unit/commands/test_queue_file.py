"""postcat of queue files that Postfix wrote, beside Debian's postcat; damaged ones end in a reason."""

import json
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.commands import postcat
from posthouse.commands.queue_file import QueueFileError, Shown, records, show
from tests.support.peers import find_peer, peer_environment

ALL = frozenset({"-b", "-e", "-h"})
LINES = ["Received: by a.test", "\tid 1; now", "Subject: x", "", "body", "From me", "", "end"]


def record(kind: str, data: str = "") -> bytes:
    """Give a record: a letter, the length in groups of seven bits, the data."""
    octets, length, groups = data.encode(), len(data.encode()), b""
    while True:
        groups += bytes([length & 0x7F | (0x80 if length > 0x7F else 0)])
        length >>= 7
        if not length:
            return kind.encode() + groups + octets


def queue_file() -> bytes:
    """Give a file in which a header was put in later: a pointer leads to it, another one back."""
    more = record("T", "1169404379 306437") + record("A", "create_time=1169404388") + record("F", "Some Body")
    more += record("S", "me@a.test") + record("M")
    text = b"".join(record("N", line) for line in LINES[3:]) + record("L", "long " * 60) + record("N", "and its end")
    head = b"".join(record("N", line) for line in LINES[:3])
    start, size = 81 + len(more), len(head) + 17 + len(text)
    data = record("C", f"{size:>15} {start:>15} {1:>15} {0:>15} {size:>15}") + more + head
    assert len(record("C", " " * 79)) == 81
    pointer = len(data)
    data += record("p", f"{0:>15}")
    after = len(data)
    data += text + record("X") + record("A", "encoding=8bit")
    data += record("o", "rfc822;you@b.test") + record("O", "you@b.test") + record("R", "you@c.test") + record("E")
    target = len(data)
    data += record("N", "X-New: header") + record("p", f"{after:>15}")
    return data[:pointer] + record("p", f"{target:>15}") + data[after:]


@pytest.mark.parametrize(
    "options", ["", "-e", "-h", "-b", "-bh", "-eh", "-o", "-v", "-ov", "-od", "-r", "-rv", "-orv", "-s 81", "-bo"]
)
def test_debian_s_postcat_shows_the_same(
    options: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Sections, labels, offsets, pointers followed or not."""
    peer = find_peer("postcat")
    if not peer:
        pytest.skip("postcat is not here: make peers")
    path = tmp_path / "file"
    path.write_bytes(queue_file())
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    words = [*options.split(), str(path)]
    theirs = subprocess.run(
        [peer, "-c", str(tmp_path), *words], env=peer_environment(), capture_output=True, check=True
    ).stdout
    assert postcat.main(["postcat", *words]) == 0
    assert capfdbinary.readouterr().out.splitlines() == theirs.splitlines()


def test_a_file_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a program wants of it; the header that a pointer leads to is where it belongs."""
    path = tmp_path / "file"
    path.write_bytes(queue_file())
    assert postcat.main(["postcat", "--json", str(path)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown.pop("content") == "\n".join(
        [*LINES[:3], "X-New: header", *LINES[3:], "long " * 60 + "and its end", ""]
    )
    assert shown == {
        "file": str(path),
        "arrival_time": 1169404379,
        "message_size": shown["message_size"],
        "sender": "me@a.test",
        "recipients": [{"address": "you@c.test", "orig_address": "you@b.test"}],
        "done_recipients": [],
        "attributes": ["create_time=1169404388", "encoding=8bit"],
    }
    assert shown["message_size"] > 400


def test_a_damaged_file_ends_in_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cut off anywhere, or with any octet changed: the reason, and no other exception."""
    data, chance = queue_file(), random.Random(7)
    for end in range(0, len(data) - 40, 13):
        with pytest.raises(QueueFileError, match="offset"):
            list(records(data[:end]))
    for _ in range(300):
        torn = bytearray(data)
        torn[chance.randrange(len(torn))] = chance.randrange(256)
        try:
            list(show(bytes(torn), "file", Shown(ALL, verbose=True)))
        except QueueFileError:
            continue
    (tmp_path / "file").write_bytes(data[:50])
    assert postcat.main(["postcat", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err == f"postcat: fatal: {tmp_path}/file: offset 0: unexpected end of file\n"
    assert postcat.main(["postcat", str(tmp_path / "none")]) == 1
    assert "none: No such file or directory" in capsys.readouterr().err


def test_pointers_in_a_circle_end() -> None:
    """Two pointers to each other would otherwise be followed for ever."""
    first = record("p", f"{17:>15}")
    assert len(first) == 17
    with pytest.raises(QueueFileError, match="circle"):
        list(records(first + record("p", f"{0:>15}") + first + record("p", f"{17:>15}"), 17))


@given(st.lists(st.tuples(st.sampled_from("CTFSADRONLpwMX"), st.text(max_size=300))))
def test_records_come_back(made: list[tuple[str, str]]) -> None:
    """What is written is read, one after the other, wherever the reader begins with a record."""
    data = b"".join(record(kind, text) for kind, text in made) + record("E")
    found = [(each.kind.decode(), each.data.decode()) for each in records(data, follow=False)]
    assert found == [*made, ("E", "")]


@given(st.binary(max_size=200))
def test_no_octets_are_too_much(data: bytes) -> None:
    """Anything is either a chain of records or a QueueFileError."""
    try:
        list(show(data, "file", Shown(ALL)))
    except QueueFileError:
        return
