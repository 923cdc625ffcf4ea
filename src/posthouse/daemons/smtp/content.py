"""Long lines: content as RFC 5321 4.5.3.1.6 allows it, lines of at most smtp_line_length_limit octets.

A longer line is cut, and what follows the cut begins with a blank, so that a header stays one (facts B10.11).
"""

import re


def split_long_lines(content: bytes, limit: int) -> bytes:
    """Cut the lines of whole content; `limit` 0: never."""
    # Measuring the pieces of one split is the cheapest way to see that nothing needs to be done.
    if not limit or len(content) <= limit or max(map(len, content.split(b"\n"))) <= limit:
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
