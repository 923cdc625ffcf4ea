"""ReplyReader: a server's replies, read strictly and within limits.

What breaks the protocol (a code that is none, lines with different codes, lines or replies too long) is an error once
and for all: the reader gives no further reply. Text is cleaned of control characters before anybody sees it.
Sources: RFC 5321 4.2.1, 4.5.3.1.5; RFC 2034.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

MAX_LINE: Final = 2048  # octets, the rest is lost; RFC 5321 4.5.3.1.5 asks for 512, Postfix takes line_length_limit
MAX_REPLY: Final = 65_536  # octets of one reply
MAX_LINES: Final = 1000  # of one reply
MAX_CACHED_LINE: Final = 100  # octets of a line whose meaning is remembered

# Reply-line = 3 digits, "-" or SP, textstring (RFC 5321 4.2); codes run from 200 to 559
_LINE: Final = re.compile(rb"([2-5][0-5][0-9])(?:([ -])(.*))?", re.DOTALL)
_STATUS: Final = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: +|$)", re.ASCII)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class ServerReply:
    """What the server said: code, status ("" without one), and its lines, each without code and status."""

    code: int
    status: str
    lines: tuple[str, ...]
    shown: str = ""  # of several lines: each with its code and status, as it came

    @property
    def text(self) -> str:
        """The lines as one text."""
        return self.lines[0] if len(self.lines) == 1 else " ".join(self.lines)

    def __str__(self) -> str:
        """Give the reply as Postfix writes it into the log: "250 2.1.0 Ok", "550-5.1.1 No 550 5.1.1 such user"."""
        if self.shown:
            return self.shown
        shown = f"{self.code} {self.status} {self.text}" if self.status else f"{self.code} {self.text}"
        return shown if self.text else shown.rstrip(" ")


class ReplyReader:
    """Reads replies out of a stream of bytes; `error` says what was wrong with the first bad one."""

    __slots__ = ("_buffer", "_code", "_lines", "_position", "_shown", "_size", "_status", "error")

    def __init__(self) -> None:
        self._buffer = b""
        self._position = 0
        self._lines: list[str] = []  # of the reply that is being read
        self._shown: list[str] = []
        self._code = 0
        self._status = ""
        self._size = 0
        self.error = ""

    def feed(self, data: bytes | memoryview) -> None:
        """Take bytes from the server."""
        if self._position < len(self._buffer):
            self._buffer = b"".join((self._buffer[self._position :], data))
        else:
            self._buffer = bytes(data)
        self._position = 0

    @property
    def pending(self) -> bool:
        """Whether bytes wait that are no whole reply (or were not taken)."""
        return self._position < len(self._buffer) or bool(self._lines)

    def take(self) -> ServerReply | None:
        """Return the next whole reply; None: more bytes are needed, or `error` is set."""
        while not self.error:
            buffer, start = self._buffer, self._position
            end = buffer.find(b"\n", start, start + MAX_LINE + 2)
            if end < 0 and (len(buffer) - start < MAX_LINE + 2 or (end := self._end_of_long_line()) < 0):
                return None
            self._position = end + 1
            line = buffer[start : end - 1 if end > start and buffer[end - 1] == 13 else end]
            if (reply := self._add(line if len(line) <= MAX_LINE else line[:MAX_LINE])) is not None:
                return reply
        return None

    def _end_of_long_line(self) -> int:
        """Find the end of a line of more than MAX_LINE octets; -1: it has not come, or is too far."""
        start = self._position
        end = self._buffer.find(b"\n", start)
        if (end if end >= 0 else len(self._buffer)) - start > MAX_REPLY:
            self.error = "reply line too long"
            return -1
        return end

    def _add(self, line: bytes) -> ServerReply | None:
        """Take one line; return the reply that it completes."""
        parsed = _parse_short_line(line) if len(line) < MAX_CACHED_LINE else _parse_line(line)
        if parsed is None:
            self.error = "reply without a reply code"
            return None
        if parsed.last and not self._lines:
            return parsed.reply
        return self._add_to_many(parsed.reply, last=parsed.last, size=len(line) + 2)

    def _add_to_many(self, line: ServerReply, *, last: bool, size: int) -> ServerReply | None:
        if not self._lines:
            self._code, self._size, self._status = line.code, 0, ""
        elif line.code != self._code:
            self.error = "reply lines with different reply codes"
            return None
        self._status = self._status or line.status
        if self._size - len(self._lines) < MAX_LINE:  # in the log, Postfix's limit for all lines
            shown = str(line)
            self._shown.append(shown if last else f"{shown[:3]}-{shown[4:]}")
        self._lines.append(line.text)
        self._size += size
        if self._size > MAX_REPLY or len(self._lines) > MAX_LINES:
            self.error = "reply too long"
            return None
        if not last:
            return None
        reply = ServerReply(line.code, self._status, tuple(self._lines), " ".join(self._shown))
        self._lines, self._shown = [], []
        return reply


class _Line(NamedTuple):
    """One line: the reply it is when it stands alone, and whether it ends a reply."""

    reply: ServerReply
    last: bool


def _parse_line(line: bytes) -> _Line | None:
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    digits, mark, rest = match.groups()
    text = "" if rest is None else _text(rest)
    status = ""
    if (found := _STATUS.match(text)) is not None and found[1][0] == digits.decode("ascii")[0]:
        status, text = found[1], text[found.end() :]
    return _Line(ServerReply(int(digits), status, (text,)), mark != b"-")


# Most lines of all sessions are the same few.
_parse_short_line: Final = lru_cache(maxsize=256)(_parse_line)


def _text(octets: bytes) -> str:
    """Decode reply text; what could harm a log or a report becomes "?"."""
    text = octets.decode("utf-8", "replace").rstrip(" ")
    if not text.isascii():
        text = text.replace("\ufffd", "?")
    return text if text.isprintable() else _UNPRINTABLE.sub("?", text)
