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
    return re.sub(rb"[^\n]{%d,}" % (limit + 1), lambda match: _cut(match[0], limit), content)


def _cut(line: bytes, limit: int) -> bytes:
    """Cut one line that is too long; the blank counts."""
    return line[:limit] + _cut_rest(line[limit:], limit)


def _cut_rest(rest: bytes, limit: int) -> bytes:
    """Cut what is left of a line behind its first piece, a blank in front of each further one."""
    step = max(limit - 1, 1)
    return b"".join([b"\n " + rest[at : at + step] for at in range(0, len(rest), step)])


class LineSplitter:
    """Does the same for content that comes in pieces. has_split: whether there was anything to cut."""

    def __init__(self, limit: int) -> None:
        self.has_split = False
        self._limit = limit
        self._carry = b""  # of a line that has not ended
        self._is_rest = False  # the first piece of that line is gone

    def feed(self, data: bytes) -> bytes:
        """Return what is decided of the content so far."""
        if not self._limit:
            return data
        data = self._carry + data
        end = data.rfind(b"\n") + 1
        if not end:
            return self._start_of_line(b"", data)
        first = b""
        start = 0
        if self._is_rest:
            start = data.find(b"\n")
            first, self._is_rest = _cut_rest(data[:start], self._limit), False
        lines = split_long_lines(data[start:end], self._limit)
        self.has_split = self.has_split or len(lines) != end - start
        return self._start_of_line(first + lines, data[end:])

    def finish(self) -> bytes:
        """Return the rest."""
        rest, self._carry = self._carry, b""
        if self._is_rest:
            return _cut_rest(rest, self._limit)
        out = split_long_lines(rest, self._limit)
        self.has_split = self.has_split or len(out) != len(rest)
        return out

    def _start_of_line(self, before: bytes, rest: bytes) -> bytes:
        """Keep what there is of a line that has not ended, but for pieces that are full and not the last ones."""
        pieces = [before]
        if not self._is_rest and len(rest) > self._limit:
            pieces.append(rest[: self._limit])
            rest = rest[self._limit :]
            self._is_rest = self.has_split = True
        if self._is_rest:
            step = max(self._limit - 1, 1)
            full = (len(rest) - 1) // step * step
            pieces.append(_cut_rest(rest[:full], self._limit))
            rest = rest[full:]
        self._carry = rest
        return b"".join(pieces)
