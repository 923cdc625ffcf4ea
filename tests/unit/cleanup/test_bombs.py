"""Bombs in cleanup: the event loop comes round between pieces, work grows with the message, memory does not.

Nothing is timed. Work is counted in calls of functions, and a turn of the event loop is what happens between two of
them when every piece of work that may rest does so.
"""

import asyncio
import tracemalloc
from itertools import pairwise
from typing import Final

import pytest

from posthouse.daemons.cleanup.header_scan import PIECE, HeaderEnd, HeaderScanner, HeaderSection
from posthouse.daemons.cleanup.outcome import RefusedError
from posthouse.daemons.cleanup.service import CleanupService
from posthouse.ipc.message import ClientInfo, Envelope
from posthouse.ipc.record import replace
from posthouse.util import turns
from tests.support import bombs
from tests.support.receiver import MakeReceiver
from tests.support.work import Counter, calls, counting, shallow

GROWTH: Final = 2.2  # of work, when the bomb doubles
SIZE: Final = 5_000
LARGEST_TURN: Final = (
    120_000  # calls: the 10,240 tokens that are read of one header; PIECE octets of headers are 33,000
)
ENVELOPE: Final = Envelope("4jY8xT4vSKz1X", "a@b.test", 0.0, client=ClientInfo(rewrite_context="local"))


class Editor:
    """cleanup's editor of headers, in a loop that counts its turns."""

    def __init__(self, receiver: MakeReceiver) -> None:
        self._system = receiver().system
        (service,) = (one for one in self._system.services if isinstance(one, CleanupService))
        self._edit = service.headers.edit

    def work(self, content: bytes) -> tuple[int, int]:
        """Edit a message; count calls, and those of its longest turn."""
        with shallow(), counting() as counter:
            return self._system.run(self._counted(content, counter))

    async def _counted(self, content: bytes, counter: Counter) -> tuple[int, int]:
        longest, begin = 0, counter.calls
        editing = asyncio.ensure_future(self._edit(content, ENVELOPE))
        while not editing.done():
            before = counter.calls
            await asyncio.sleep(0)
            longest = max(longest, counter.calls - before)
        if not isinstance(editing.exception(), RefusedError):
            editing.result()
        return counter.calls - begin, longest


@pytest.fixture
def editor(receiver: MakeReceiver, monkeypatch: pytest.MonkeyPatch) -> Editor:
    """An editor that rests whenever it may."""
    monkeypatch.setattr(turns, "TURN_S", -1.0)
    return Editor(receiver)


def test_work_grows_with_the_header_and_none_is_long_at_a_stretch(editor: Editor) -> None:
    """Each bomb from n to 2n to 4n; nothing recurses by what is in it."""
    editor.work(b"To: a\n\nwarm\n")
    for name, make in bombs.BOMBS.items():
        work = [editor.work(make(SIZE << step)) for step in range(3)]
        for (before, _), (after, _) in pairwise(work):
            assert after <= GROWTH * before + 100, name
        assert max(longest for _, longest in work) <= LARGEST_TURN, name


def test_the_scanner_stops_after_a_piece() -> None:
    """However many headers there are, and however long one is; all pieces together are the section."""
    content = b"a: b\n" * 20_000 + b"To: x\n" + b" y\n" * 20_000 + b"To: z\n" * 20_000 + b"\nbody\n"
    scanner, section, seen = HeaderScanner((), 102_400), HeaderSection(), 0
    more = True
    while more:
        before = section.end
        more = scanner.scan(content, section)
        assert section.end - before <= PIECE + 10 or b" y\n" in content[before : section.end]
        seen += len(section.addresses)
        section.next_piece()
    assert (seen, section.end) == (20_001, content.index(b"\n\n") + 1)


@pytest.mark.parametrize("unit", [b" z\n", b" \n", b"\t\n"])
def test_folded_lines_take_no_memory(unit: bytes) -> None:
    """An expression that repeats a group keeps something for each repetition: 30 MB for a megabyte of this."""
    content = b"X: y\n" + unit * 300_000 + b"\n"
    section = HeaderSection()
    tracemalloc.start()
    try:
        HeaderScanner((), 102_400).scan(content, section)
        assert HeaderEnd().is_in(content)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert section.end == len(content) - 1


@pytest.mark.parametrize("header", [b"a: b\n" * 8000, b"X: y\n" + b" z\n" * 12_000, b"To: a\n\tb\n" * 4000])
def test_what_has_come_of_a_header_is_not_gone_over_again(header: bytes) -> None:
    """Content that grows by pieces costs no more than twice what it costs at once."""
    grown, whole = HeaderEnd(), HeaderEnd()
    pieces = [header[: end + 1000] for end in range(0, len(header), 1000)]
    at_once = calls(lambda: whole.is_in(header))
    assert calls(lambda: [grown.is_in(piece) for piece in pieces]) <= 2 * at_once + 10 * len(pieces)
    assert (grown.position, whole.position) == (len(header), len(header))
    assert grown.is_in(header + b"\n")


@pytest.mark.parametrize(
    ("header", "ends"),
    [
        (b"To: a\n\nb", True),
        (b"To: a\n\tb\n\n", True),
        (b"To: a\n\tb\nbody\n", True),
        (b"To: a\n\tb\nTo", False),
        (b"To: a\n\tb", False),
        (b"To: a\n", False),
        (b" a\n", True),
        (b"To", False),
    ],
)
def test_the_end_of_a_header_is_found_however_it_comes(header: bytes, ends: bool) -> None:
    """Octet by octet as at once."""
    end = HeaderEnd()
    found = [end.is_in(header[:size]) for size in range(1, len(header) + 1)]
    assert found[-1] is ends
    assert HeaderEnd().is_in(header) is ends


def test_edits_of_many_pieces_come_together(receiver: MakeReceiver) -> None:
    """Addresses, inserts, dropped and cut headers on both sides of the borders of pieces; the rest stays as it was."""
    system = receiver({"header_size_limit": "1000"}).system
    (service,) = (one for one in system.services if isinstance(one, CleanupService))
    one = b"To: a\nX-Y: stays\nBcc: gone\nCc: b@c.test\nX-Z : blank\n" + b"X: " + b"x" * 2000 + b"\n"
    after = b"To: a@example.test\nX-Y: stays\nCc: b@c.test\nX-Z: blank\n" + b"X: " + b"x" * 997 + b"\n"
    content = one * 30 + b"From: a@b.c\nDate: x\nMessage-ID: <1@x>\n\nbody\n" * 2
    inserts = [(len(one) * number, b"I: %d\n" % number) for number in range(31)]
    edited = system.run(service.headers.edit(content, replace(ENVELOPE, queue_id="1"), inserts)).content
    expected = b"".join([b"I: %d\n" % number + after for number in range(30)]) + b"I: 30\n"
    assert edited == expected + content[30 * len(one) :]
