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
    return re.sub(rb"[^\n]{%d}[^\n]+" % limit, lambda found: b"\n".join(_pieces(found[0], limit)), content)


def _pieces(line: bytes, limit: int) -> list[bytes]:
    """Cut a line without its end; the blanks that are put in count, too."""
    step = max(limit - 1, 1)
    return [line[:limit], *(b" " + line[at : at + step] for at in range(limit, len(line), step))]


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
        *pieces, self._carry = _pieces(data[end:], self._limit)  # the last one may go on, or end here
        return split_long_lines(data[:end], self._limit) + b"".join([piece + b"\n" for piece in pieces])

    def finish(self) -> bytes:
        """Return the rest."""
        rest, self._carry = self._carry, b""
        return rest
