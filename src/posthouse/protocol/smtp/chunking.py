"""Chunks: the content of a message that comes by BDAT (RFC 3030), in LF form, gathered from chunks of any size.

A chunk is so many octets, whatever they are: no dot ends it, and none is taken away. A line may begin in one chunk and
end in another, between its CR and its LF as well; the last one gets the line end that it may lack. Bare LF and bare CR
mean what they mean behind DATA (content.py): LF ends a line, CR does not.

Small chunks are put together before anything is done with them, so that a client who sends octets one by one costs a
command for each, but neither memory nor a record to cleanup(8). Invariant (tests): the joined output, the size and the
findings depend neither on where the network cut the octets nor on where the chunks did; the network does not decide
either at the end of which chunks content is given back.
"""

from typing import Final

GATHERED: Final = 16 * 1024  # octets that are put together before they are looked at


class Chunks:
    """Of one message. `left`: octets of the chunk under way that are to come; `size` and `last` are its command's."""

    __slots__ = ("_carry", "_gathered", "_held_since", "_inside_line", "bare_cr", "bare_lf", "eager", "last", "left",
                 "octets", "size", "size_bytes")  # fmt: skip

    def __init__(self, *, eager: bool = False) -> None:
        """Begin a message. eager: what a chunk holds must be known at its end, not only at that of the last."""
        self.eager = eager
        self._gathered = bytearray()
        self._held_since = 0  # octets taken at the last end of a chunk where nothing was held
        self._carry = b""  # a CR that may belong to a LF
        self._inside_line = False
        self.octets = 0  # taken so far
        self.size_bytes = 0  # of the content given back so far, with CRLF line ends, as message_size_limit counts
        self.bare_lf = False
        self.bare_cr = False
        self.size = self.left = 0
        self.last = False

    def begin(self, size: int, *, last: bool) -> None:
        """Begin a chunk."""
        self.size = self.left = size
        self.last = last

    def take(self, data: bytes) -> bytes:
        """Take octets of the chunk, not more than are left; return the content that is ready, maybe none."""
        self.left -= len(data)
        self.octets += len(data)
        if not self._gathered and len(data) >= GATHERED:
            return self._clean(data)
        self._gathered += data
        return self._all_gathered() if len(self._gathered) >= GATHERED else b""

    def finish(self) -> bytes:
        """Return what content there is still, when `left` has come to nothing: nothing at the second call."""
        if not self.last:
            if self.octets - self._held_since < GATHERED and not self.eager:
                return b""
            self._held_since = self.octets
            return self._all_gathered() if self._gathered else b""
        text = self._all_gathered() if self._gathered else b""
        if self._carry:
            text += self._carry
            self.bare_cr = self._inside_line = True
            self.size_bytes += 1
            self._carry = b""
        if self._inside_line:
            text += b"\n"
            self._inside_line = False
            self.size_bytes += 2
        return text

    def _all_gathered(self) -> bytes:
        data = bytes(self._gathered)
        self._gathered.clear()
        return self._clean(data)

    def _clean(self, data: bytes) -> bytes:
        """Turn octets (not none) into LF form."""
        if self._carry:
            data = self._carry + data
        self._carry = b""
        if data[-1] == 13:
            self._carry = b"\r"
            data = data[:-1]
            if not data:
                return b""
        text = data.replace(b"\r", b"")
        if text.replace(b"\n", b"\r\n") != data:  # the cheapest proof, as in content.py
            text = data.replace(b"\r\n", b"\n")
            self.bare_cr |= b"\r" in text
            self.bare_lf |= len(data) - len(text) != text.count(b"\n")
            self.size_bytes += len(text) + text.count(b"\n")
        else:
            self.size_bytes += len(data)
        self._inside_line = text[-1] != 10
        return text
