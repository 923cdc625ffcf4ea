"""ContentReader: the message content after DATA, in whole chunks: the end found, dots removed, lines ended by LF.

The content that leaves here has LF line ends, as in a queue file; no line of it is looked at by itself. Invariant
(tests): the joined output, the size and the findings do not depend on where the network cut the bytes.

The end is CRLF "." CRLF and nothing else: that is what stops SMTP smuggling. Only with BareNewline.NO or NOTE (old
clients on a network of one's own) does a bare LF count there, too. A bare CR is never a line end; it stays in the
content, where cleanup_replace_stray_cr_lf deals with it. Sources: RFC 5321 4.5.2, facts B04.10, postconf(5).
"""

import re
from enum import Enum
from typing import Final


class BareNewline(Enum):
    """smtpd_forbid_bare_newline: what a LF without CR means. REJECT reads like NORMALIZE; the caller refuses."""

    NO = "no"
    NOTE = "note"
    NORMALIZE = "normalize"
    REJECT = "reject"

    @property
    def ends_content(self) -> bool:
        """Whether a dot beside a bare LF may end the content."""
        return self in {BareNewline.NO, BareNewline.NOTE}


_END: Final = b"\r\n.\r\n"
_DOT_LINE: Final = b"\r\n."
_LENIENT_END: Final = re.compile(rb"\n\.\r?\n")
# What may be the beginning of an end, of a stuffed dot or of CRLF, and so waits for the next chunk.
_UNDECIDED: Final = re.compile(rb"(?:\r?\n(?:\.\r?)?|\r)\Z")
_LONE_DOTS: Final = re.compile(rb"\n(?:\.\n)+")


class ContentReader:
    """Reads one message. After `done`, `rest` holds the bytes behind the final dot."""

    __slots__ = ("_carry", "_lenient", "_started", "_virtual", "bare_cr", "bare_lf", "done", "rest", "size_bytes")

    def __init__(self, mode: BareNewline = BareNewline.NORMALIZE) -> None:
        self._lenient = mode.ends_content
        self._carry = b""
        self._started = False
        self._virtual = False  # the line end of the DATA command stands before the first line
        self.done = False
        self.rest = b""
        self.size_bytes = 0  # with CRLF line ends and without stuffed dots, as message_size_limit counts
        self.bare_lf = False
        self.bare_cr = False

    @property
    def taken_bytes(self) -> int:
        """The size of the content so far, with what is still undecided."""
        return self.size_bytes + len(self._carry)

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes (not none) and return the content they complete, maybe none."""
        if self._carry:
            data = self._carry + data
        elif not self._started:
            self._started = True
            if data[0] == 46:  # "." is seen as a dot at the start of a line only behind a line end
                self._virtual = True
                data = _END[:2] + data
        # One search tells nearly always both where the end is and that no dot was stuffed.
        first_dot = data.find(_DOT_LINE)
        if self._lenient:
            end, after = self._find_lenient_end(data)
        else:
            end = first_dot if data.startswith(_END, first_dot) else data.find(_END, first_dot)
            end, after = (-1, 0) if first_dot < 0 or end < 0 else (end + 2, end + 5)
        if end >= 0:
            self.done = True
            self.rest = data[after:]
            self._carry = b""
            return self._clean(data[:end], dots=first_dot + 2 != end)
        if data[-1] in b"\r\n." and (tail := _UNDECIDED.search(data, max(len(data) - 4, 0))):
            self._carry = tail[0]
            return self._clean_head(data, tail, dots=first_dot >= 0) if tail.start() else b""
        self._carry = b""
        return self._clean(data, dots=first_dot >= 0)

    def _clean_head(self, data: bytes, tail: re.Match[bytes], *, dots: bool) -> bytes:
        """Clean what stands before an undecided tail.

        A line end at the front of the tail is certain; the last line of the head needs it to be seen as a line (a lone
        dot), and gives it back, since the next chunk begins with it.
        """
        if tail[0] == b"\r":
            return self._clean(data[: tail.start()], dots=dots)
        text = self._clean(data[: data.index(b"\n", tail.start()) + 1], dots=dots)
        if not text:  # a lone dot came first: all that is left is the line end before the first line, still virtual
            self._virtual = True
            return b""
        self.size_bytes -= 2
        return text[:-1]

    def _clean(self, data: bytes, *, dots: bool) -> bytes:
        """Turn whole lines, or the inside of lines, from their wire form into LF form."""
        text = data.replace(b"\r", b"")
        # Single octets are replaced several times as fast as pairs, so this is the cheapest proof that each CR and
        # each LF stands in a CRLF.
        if text.replace(b"\n", b"\r\n") != data:
            text = self._clean_bare(data)
        elif dots and b"\n." in text:
            text = text.replace(b"\n.", b"\n")
            self.size_bytes += len(text) + text.count(b"\n")
        else:
            self.size_bytes += len(data)
        if self._virtual:
            self._virtual = False
            self.size_bytes -= 2
            return text[1:]
        return text

    def _clean_bare(self, data: bytes) -> bytes:
        """Do the same where CR or LF stands alone: LF is a line end, CR is not."""
        text = data.replace(b"\r\n", b"\n")
        self.bare_cr |= b"\r" in text
        if len(data) - len(text) != text.count(b"\n"):
            self.bare_lf = True
            # CRLF.CRLF would have been the end, so each lone dot stands beside a bare LF: not content, not an end.
            text = _LONE_DOTS.sub(b"\n", text)
        text = text.replace(b"\n.", b"\n")
        self.size_bytes += len(text) + text.count(b"\n")
        return text

    @staticmethod
    def _find_lenient_end(data: bytes) -> tuple[int, int]:
        match = _LENIENT_END.search(data)
        return (-1, 0) if match is None else (match.start() + 1, match.end())
