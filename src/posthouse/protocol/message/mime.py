"""MimeParser: the structure of a message, found while its octets come in.

Octets in (`feed`, chunks of any size; `close`), events out (mime_events.py). No I/O, no recursion. Kept between chunks:
an unfinished line (or piece), one unfinished header, the boundaries of the open multiparts; each has a limit. Chunk
borders do not show in the events, but for where a BodyChunk is cut.

Two speeds. Headers, and the first `body_lines` octets of each segment of a body, are taken line by line: for whom it
concerns. The rest of a body is only searched for boundaries, and passes in whole chunks.

Rules of Postfix that are not in the RFCs: a boundary is known by its first octets, whatever follows them; a line that
is no header ends a header block, and in the message's own header an empty line is put before it; headers within base64
or quoted-printable are not seen, but a boundary outside of it is. Offsets count the octets of a block's lines with
their line ends; in a header block only first lines count, and those of all headers but the first, up to this one.
Events put together are the message, except for: blanks before a colon, what is cut off a header (HEADER_TOO_LONG), the
empty line (NON_EMPTY_END), and converted parts (`downgrade`).

Sources: RFC 2045, 2046, 5322 2.2; facts B07.13-B07.16, B07.18, B10.10; Debian's `postmap -q - -hm` and `-bm`.
"""

import re
import sys
from bisect import bisect_right
from typing import Final, NamedTuple

from posthouse.protocol.message.mime_events import (
    DEFAULT_LIMITS,
    BodyChunk,
    BodyLine,
    Event,
    Found,
    HeaderField,
    HeadersEnd,
    Limits,
    MessageEnd,
    Part,
    Problem,
)
from posthouse.protocol.message.mime_header import (
    EIGHT_BIT,
    ENCODED,
    QUOTED_PRINTABLE,
    SEVEN_BIT,
    Kind,
    parse_content_type,
    parse_encoding,
)
from posthouse.protocol.message.quoted_printable import LineEncoder, encode_lines

SHOWN: Final = 100  # octets of text with a problem
ALL_LINES: Final = sys.maxsize  # for body_lines

_NAME: Final = re.compile(rb"([!-9;-~]++)[ \t]*+:")
_FIELD: Final = re.compile(rb"([!-9;-~]++)(:[^\n]*+)(?:\n[ \t][^\n]*+)*+\n(?=[^ \t])")
_EIGHT_BIT: Final = re.compile(rb"[\x80-\xff]")
_LF: Final = 10
_SHORTEST: Final = 2  # octets; a line "--" is no boundary, though one may be empty
_SEVEN_BIT_DOMAIN: Final = frozenset({SEVEN_BIT, *ENCODED})
_CONTENT_TYPE: Final = b"content-type"
_ENCODING: Final = b"content-transfer-encoding"


class _Multipart(NamedTuple):
    """A multipart that is open. mark: what its boundary lines begin with."""

    mark: bytes
    parts: Kind


class MimeParser:
    """See the module's docstring. One message."""

    __slots__ = (
        "_body_lines",
        "_continues",
        "_convert",
        "_encoder",
        "_encoding",
        "_events",
        "_field",
        "_header_offset",
        "_kind",
        "_last_line",
        "_limits",
        "_longest",
        "_marks",
        "_name",
        "_needle",
        "_offset",
        "_open",
        "_part",
        "_rest",
        "_short",
        "_shown",
        "_structured",
        "problems",
    )

    def __init__(
        self,
        limits: Limits = DEFAULT_LIMITS,
        *,
        body_lines: int = 0,
        downgrade: bool = False,
        structured: bool = True,
    ) -> None:
        """Begin.

        body_lines: octets of each segment that come as lines; downgrade: 8-bit parts to quoted-printable; structured:
        False takes all that follows the message's own header for one body, whatever that says.
        """
        self.problems: set[Problem] = set()
        self._limits = limits
        self._short = min(limits.line_length, limits.header_size)  # a header of this size meets no limit
        self._body_lines = body_lines
        self._convert = downgrade
        self._structured = structured
        self._encoder = LineEncoder()
        self._events: list[Event] = []
        self._rest = b""  # not yet looked at: part of a line
        self._continues = False  # the last piece was not the end of its line
        self._field = bytearray()  # the header that is open, as far as it is kept
        self._name = b""
        self._open: list[_Multipart] = []
        self._marks: list[bytes] = []  # what boundary lines begin with, sorted; none begins with another
        self._longest = 0
        self._needle = b""  # how all of them begin, behind a LF
        self._offset = self._header_offset = 0  # in the block that is read
        self._last_line = 0  # where in the data the last line begins
        self._shown = False  # the last header has become an event
        self._part: Part | None = Part.MAIN  # None: in a body
        self._kind = Kind.LEAF
        self._encoding = SEVEN_BIT

    def feed(self, data: bytes) -> list[Event]:
        """Take the next octets; give what they say."""
        if self._rest:
            data = self._rest + data
        self._last_line = data.rfind(b"\n") + 1
        position = 0
        while True:
            part, start = self._part, position
            position = self._read_headers(data, start) if part else self._read_body(data, start)
            if position == start and part is self._part:
                break
        self._rest = data[position:]
        return self._taken()

    def close(self) -> list[Event]:
        """Take the end of the message; give the last events."""
        rest, self._rest = self._rest, b""
        if rest and not (self._part and self._read_header_piece(rest, complete=False)):
            self._read_body_piece(rest, complete=False)
        if self._part:
            self._end_field()
            self._end_headers(None)
        elif left := self._encoder.flush():
            self._put(left, complete=False)
        self._events.append(MessageEnd())
        return self._taken()

    def _taken(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    # --- lines ---------------------------------------------------------------------------------------------------

    def _piece_end(self, data: bytes, position: int) -> int:
        """Find the end of the line or piece at `position`; -1: it is not all there. At a LF it is a line's end."""
        limit = position + self._limits.line_length
        end = data.find(b"\n", position, limit)
        if end >= 0:
            return end
        return limit if len(data) >= limit else -1

    # --- headers -------------------------------------------------------------------------------------------------

    def _read_headers(self, data: bytes, position: int) -> int:
        """Read headers up to the end of the block or the data; give the position."""
        while self._part:
            match = None if self._field else _FIELD.match(data, position)
            if match is not None and match.end() - position <= self._short:
                self._count_first_line(match.end(2) - position)
                self._take_field(match[1].lower(), match[0][:-1])
                self._continues = False
                position = match.end()
                continue
            end = self._piece_end(data, position)
            if end < 0:
                return position
            complete = end - position < self._limits.line_length
            if not self._read_header_piece(data[position:end], complete=complete):
                return position
            position = end + complete
        return position

    def _read_header_piece(self, piece: bytes, *, complete: bool) -> bool:
        """Read a line or piece; False: it is the first of a body, and still to be read."""
        if self._field and (self._continues or piece[:1] in (b" ", b"\t")):
            self._extend_field(piece if self._continues else b"\n" + piece)
            self._continues = not complete
            return True
        if self._field:
            self._end_field()
        match = _NAME.match(piece)
        if match is not None:
            self._count_first_line(len(piece))
            self._name = match[1].lower()
            self._field += match[1] + b":" + piece[match.end() :]
            self._continues = not complete
            return True
        self._continues = False
        self._end_headers(piece)
        return not piece

    def _count_first_line(self, length: int) -> None:
        if self._shown:
            self._header_offset += length + 1

    def _extend_field(self, text: bytes) -> None:
        """Add to the open header, if it is not too long already: whole pieces, so it can end behind its limit."""
        if len(self._field) < self._limits.header_size:
            self._field += text
        else:
            self._found(Problem.HEADER_TOO_LONG, self._field[:SHOWN])

    def _end_field(self) -> None:
        if self._field:
            data, self._field = bytes(self._field), bytearray()
            self._take_field(self._name, data)

    def _take_field(self, name: bytes, data: bytes) -> None:
        """Understand a whole header, and give it."""
        assert self._part is not None, "headers are read in header blocks"
        if not self._structured:
            pass
        elif name == _CONTENT_TYPE:
            self._note_content_type(data)
        elif name == _ENCODING:
            self._encoding = parse_encoding(data[len(_ENCODING) + 1 :]) or self._encoding
        if not data.isascii():
            self._found(Problem.EIGHT_BIT_HEADER, data)
        self._shown = not (self._convert and name == _ENCODING and self._encoding in EIGHT_BIT)
        if self._shown:
            self._events.append(HeaderField(self._part, name, data, self._header_offset))

    def _note_content_type(self, data: bytes) -> None:
        room = max(self._limits.nesting + 2 - len(self._open), 0)
        content_type = parse_content_type(data[len(_CONTENT_TYPE) + 1 :], room)
        self._kind = content_type.kind
        for boundary in content_type.boundaries[:room]:
            self._open.append(_Multipart(b"--" + boundary[: self._limits.boundary], content_type.parts))
        if len(content_type.boundaries) > room:
            self._found(Problem.NESTING, data)
        if room and content_type.boundaries:
            self._note_marks()

    def _end_headers(self, piece: bytes | None) -> None:
        """End the block: by an empty line, by a piece that is no header, or with the message (None)."""
        part = self._part
        assert part is not None, "headers are read in header blocks"
        if self._convert and self._encoding in EIGHT_BIT:
            if self._kind is Kind.GLOBAL_MESSAGE:  # with its headers, which may be 8-bit text, it is encoded as a whole
                self._kind = Kind.LEAF
            self._put_encoding(part, len(piece or b""))
        if part is Part.MAIN:
            if piece:
                self._found(Problem.NON_EMPTY_END, piece)
            self._events.append(HeadersEnd())
        self._check_encoding()
        self._part, self._offset = None, 0
        if piece == b"":
            self._enter_body()
            self._put(b"", complete=True)
        elif piece and part is Part.MAIN:
            self._put(b"", complete=True)
            self._offset = 0

    def _put_encoding(self, part: Part, last_line: int) -> None:
        """Say how the part is encoded after its conversion."""
        if self._shown:
            self._header_offset += last_line + 1
        data = b"Content-Transfer-Encoding: " + (QUOTED_PRINTABLE if self._kind is Kind.LEAF else SEVEN_BIT)
        self._events.append(HeaderField(part, _ENCODING, data, self._header_offset))

    def _check_encoding(self) -> None:
        """Look whether what has parts or headers of its own is encoded as a whole. Source: RFC 2045 6.4."""
        kind, encoding = self._kind, self._encoding
        wrong = EIGHT_BIT if kind is Kind.FRAGMENT else ENCODED
        if kind in (Kind.MULTIPART, Kind.MESSAGE, Kind.FRAGMENT) and encoding in wrong:
            self._found(Problem.ENCODING_DOMAIN, encoding)

    def _enter_body(self) -> None:
        """Begin what comes behind the empty line."""
        if self._kind in (Kind.MESSAGE, Kind.GLOBAL_MESSAGE):
            self._begin_block(Part.NESTED, Kind.LEAF)
        elif self._kind is Kind.MULTIPART:
            self._begin_block(None, Kind.LEAF)

    def _begin_block(self, part: Part | None, kind: Kind) -> None:
        self._part, self._kind, self._encoding, self._shown = part, kind, SEVEN_BIT, False
        self._header_offset = 0

    # --- bodies --------------------------------------------------------------------------------------------------

    def _read_body(self, data: bytes, position: int) -> int:
        """Read a body up to the next header block or the end of the data; give the position."""
        usable = self._usable(data, position)
        while position < usable and self._part is None:
            if self._offset < self._body_lines:
                end = self._piece_end(data, position)
            else:
                mark = self._find_mark(data, position, usable)
                if position < mark:
                    (self._put_converted if self._converts else self._put_chunk)(data[position:mark])
                position = mark
                if position == usable:
                    break
                end = self._piece_end(data, position)
            complete = end - position < self._limits.line_length
            self._read_body_piece(data[position:end], complete=complete)
            position = end + complete
        return position

    def _usable(self, data: bytes, position: int) -> int:
        """Find where the whole lines and pieces of the data end."""
        end = max(self._last_line, position)
        return end + (len(data) - end) // self._limits.line_length * self._limits.line_length

    @property
    def _converts(self) -> bool:
        return self._convert and self._encoding in EIGHT_BIT

    def _read_body_piece(self, piece: bytes, *, complete: bool) -> None:
        if self._marks and piece[:2] == b"--" and not self._continues:
            self._look_for_boundary(piece)
        self._continues = not complete
        if self._encoding in _SEVEN_BIT_DOMAIN and not piece.isascii():
            self._found(Problem.EIGHT_BIT_BODY, piece)
        if not self._converts:
            self._put(piece, complete=complete)
            return
        for line in self._encoder.encode(piece, complete=complete):
            self._put(line, complete=True)

    def _put(self, piece: bytes, *, complete: bool) -> None:
        """Give a line or piece as it is to go out."""
        if self._offset < self._body_lines:
            self._events.append(BodyLine(piece, self._offset, complete))
        else:
            self._events.append(BodyChunk(piece + b"\n" if complete else piece))
        self._offset += len(piece) + 1

    def _put_converted(self, chunk: bytes) -> None:
        """Give whole lines and pieces, converted."""
        start = chunk.find(b"\n") + 1 if self._continues else 0
        end = chunk.rfind(b"\n") + 1
        out: list[bytes] = []
        if start:
            out += [line + b"\n" for line in self._encoder.encode(chunk[: start - 1], complete=True)]
        if start < end:
            out.append(encode_lines(chunk[start:end]))
        if end < len(chunk):
            out += [line + b"\n" for line in self._encoder.encode(chunk[end:], complete=False)]
        self._continues = end < len(chunk)
        self._offset += len(chunk)
        if out:
            self._events.append(BodyChunk(b"".join(out)))

    def _put_chunk(self, chunk: bytes) -> None:
        """Give whole lines and pieces as they are."""
        size = len(chunk)
        if self._encoding in _SEVEN_BIT_DOMAIN and not chunk.isascii() and Problem.EIGHT_BIT_BODY not in self.problems:
            at, length = self._eight_bit_piece(chunk)
            if at:
                self._events.append(BodyChunk(chunk[:at]))
            self._found(Problem.EIGHT_BIT_BODY, chunk[at : at + length])
            chunk = chunk[at:]
        self._continues = chunk[-1] != _LF
        self._offset += size
        self._events.append(BodyChunk(chunk))

    def _eight_bit_piece(self, chunk: bytes) -> tuple[int, int]:
        """Find the first line or piece with 8-bit text: where it begins, and its length without line end."""
        match = _EIGHT_BIT.search(chunk)
        assert match is not None, "it is not ASCII"
        limit = self._limits.line_length
        line = chunk.rfind(b"\n", 0, match.start()) + 1
        start = line + (match.start() - line) // limit * limit
        end = chunk.find(b"\n", start, start + limit)
        return start, (end if end >= 0 else start + limit) - start

    # --- boundaries ----------------------------------------------------------------------------------------------

    def _find_mark(self, data: bytes, position: int, usable: int) -> int:
        """Find the next line that begins as a boundary does; `usable` when there is none."""
        if not self._marks:
            return usable
        if not self._continues and self._is_mark(data[position : position + self._longest]):
            return position
        while (found := data.find(self._needle, position, usable)) >= 0:
            position = found + 1
            if self._is_mark(data[position : position + self._longest]):
                return position
        return usable

    def _is_mark(self, line: bytes) -> bool:
        """Tell whether a line begins with any of the boundaries. The time hardly depends on their number."""
        index = bisect_right(self._marks, line)
        return index > 0 and line.startswith(self._marks[index - 1])

    def _look_for_boundary(self, piece: bytes) -> None:
        """Look whether a line is the boundary of an open multipart, the innermost first; leave those within it."""
        if len(piece) <= _SHORTEST or not self._is_mark(piece):
            return
        depth = len(self._open)
        while not piece.startswith(self._open[-1].mark):
            self._open.pop()
        inner = self._open[-1]
        if piece.startswith(b"--", len(inner.mark)):
            self._open.pop()
            self._begin_block(None, Kind.LEAF)
            self._offset = 0
        else:
            self._begin_block(Part.MULTIPART, inner.parts)
        if len(self._open) < depth:
            self._note_marks()

    def _note_marks(self) -> None:
        marks: list[bytes] = []
        for mark in sorted({multipart.mark for multipart in self._open}):
            if not marks or not mark.startswith(marks[-1]):
                marks.append(mark)
        self._marks = marks
        self._longest = max(map(len, marks), default=0)
        self._needle = b"\n" + _common_start(marks[0], marks[-1]) if marks else b""

    # --- problems ------------------------------------------------------------------------------------------------

    def _found(self, problem: Problem, text: bytes | bytearray) -> None:
        if problem not in self.problems:
            self.problems.add(problem)
            self._events.append(Found(problem, bytes(text[:SHOWN])))


def _common_start(one: bytes, other: bytes) -> bytes:
    """Give the octets with which both begin."""
    if one == other:
        return one
    length = next((index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    return one[:length]
