"""Content on its way to the wire, a piece at a time: large content as it is, and content that is converted.

Last come lines of the right length, dots and CRLFs. A piece that is converted may have to wait, for a table or for its
turn: then there is none yet.
"""

import os
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from posthouse.daemons.smtp.content import LineSplitter
from posthouse.daemons.smtp.conversion import Conversion
from posthouse.protocol.smtp.stuffing import Stuffer
from posthouse.util import eager, log

CHUNK: Final = 256 * 1024  # bytes of content read and sent at once
CONVERTED_CHUNK: Final = 32 * 1024  # where a piece is work
LINES_CHUNK: Final = 4 * 1024  # where each line is

Read = Callable[[int, int], bytes]  # at most so many bytes of the content, from an offset on


class Piece(NamedTuple):
    """Octets for the wire; whether they are the last ones."""

    wire: bytes
    last: bool


class Outgoing(Protocol):
    """What gives pieces."""

    def next_piece(self) -> Piece | None:
        """Give the next piece, or None: not yet. Raises ConversionError, TableError."""

    def close(self) -> None:
        """Let go; nothing is read any more."""


def reader_of(descriptor: int, content: Callable[[], bytes]) -> Read:
    """Make what reads content: from its descriptor, or, without one (-1), from memory."""
    if descriptor >= 0:
        return lambda offset, size: os.pread(descriptor, size, offset)
    return lambda offset, size: content()[offset : offset + size]


class Shaper:
    """The last steps."""

    def __init__(self, queue_id: str, line_length_limit: int) -> None:
        self._queue_id = queue_id
        self._limit = line_length_limit
        self._splitter = LineSplitter(line_length_limit)
        self._stuffer = Stuffer()

    def feed(self, data: bytes) -> bytes:
        """Give what is decided of the next piece."""
        return self._stuffer.feed(self._splitter.feed(data))

    def finish(self) -> bytes:
        """Give the rest."""
        rest = self._stuffer.feed(self._splitter.finish()) + self._stuffer.finish()
        if self._splitter.has_split:
            report_split(self._queue_id, self._limit)
        return rest


def report_split(queue_id: str, limit: int) -> None:
    """Tell that lines were cut: a signature may be broken now."""
    log.info(f"{queue_id}: breaking line > {limit} bytes with <CR><LF>SPACE")


class AsItIs:
    """Content that goes as it is."""

    def __init__(self, read: Read, shaper: Shaper) -> None:
        self._read = read
        self._offset = 0
        self._shaper = shaper

    def next_piece(self) -> Piece:
        """Read the next piece."""
        data = self._read(self._offset, CHUNK)
        self._offset += len(data)
        return Piece(self._shaper.feed(data), last=False) if data else Piece(self._shaper.finish(), last=True)

    def close(self) -> None:
        """Nothing is in progress."""


class Converted:
    """Content that is converted. ready: called when there is a piece after there was none."""

    def __init__(self, read: Read, conversion: Conversion, shaper: Shaper, ready: Callable[[], None]) -> None:
        self._read = read
        self._offset = 0
        self._conversion = conversion
        self._size = LINES_CHUNK if conversion.by_lines else CONVERTED_CHUNK
        self._shaper = shaper
        self._ready = ready
        self._waiting: eager.Running[Piece] | None = None
        self._outcome: eager.Outcome[Piece] | None = None

    def next_piece(self) -> Piece | None:
        """Convert the next piece, as far as that goes without waiting."""
        if self._outcome is None and self._waiting is None:
            self._waiting = eager.start(self._make_piece(), self._made)
        outcome, self._outcome = self._outcome, None
        return None if outcome is None else outcome.result()

    def close(self) -> None:
        """Give up what waits."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _made(self, outcome: eager.Outcome[Piece]) -> None:
        self._outcome = outcome
        if self._waiting is not None:
            self._waiting = None
            self._ready()

    async def _make_piece(self) -> Piece:
        wire = b""
        while not wire:
            await self._conversion.turns.rest()
            data = self._read(self._offset, self._size)
            self._offset += len(data)
            if not data:
                return Piece(self._shaper.feed(await self._conversion.finish()) + self._shaper.finish(), last=True)
            wire = self._shaper.feed(await self._conversion.feed(data))
        return Piece(wire, last=False)
