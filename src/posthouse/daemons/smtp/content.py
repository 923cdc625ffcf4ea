"""Long lines: content as RFC 5321 4.5.3.1.6 allows it, lines of at most smtp_line_length_limit octets.

A longer line is cut, and what follows the cut begins with a blank, so that a header stays one (facts B10.11).
"""

import re


def has_long_line(content: bytes, limit: int) -> bool:
    """Whether a line has more than `limit` octets; looks at a few places of the content only."""
    # A line longer than the limit covers some multiple of it: only lines at those places are measured.
    for place in range(limit, len(content), limit):
        start = content.rfind(b"\n", 0, place) + 1
        end = content.find(b"\n", place)
        if (end if end >= 0 else len(content)) - start > limit:
            return True
    return False


def split_long_lines(content: bytes, limit: int) -> bytes:
    """Cut the lines of whole content; `limit` 0: never."""
    if not limit or not has_long_line(content, limit):
        return content
    return re.sub(rb"[^\n]{%d}(?=[^\n])" % limit, rb"\g<0>\n ", content)


class LineSplitter:
    """Does the same for content that comes in pieces."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._carry = b""

    def feed(self, data: bytes) -> bytes:
        """Return what is decided of the content so far."""
        if not self._limit:
            return data
        data = self._carry + data
        end = data.rfind(b"\n") + 1
        rest = data[end:]
        cut = len(rest) - len(rest) % self._limit
        if cut == len(rest):  # the next octet tells whether the line ends here
            cut -= min(self._limit, cut)
        self._carry = rest[cut:]
        pieces = [rest[at : at + self._limit] + b"\n " for at in range(0, cut, self._limit)]
        return split_long_lines(data[:end], self._limit) + b"".join(pieces)

    def finish(self) -> bytes:
        """Return the rest."""
        rest, self._carry = self._carry, b""
        return split_long_lines(rest, self._limit)
