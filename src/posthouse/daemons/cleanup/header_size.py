"""header_size_limit: what is read of a header with addresses, and what is left of any header in the end."""

from typing import Final

FAR: Final = 0.9  # of the limit: a line that begins before that is cut in its middle


def cut_header(header: bytes, limit: int) -> bytes:
    """Cut a header with its continuation lines, without its last line end, to `limit` octets. Postfix's rule."""
    if len(header) <= limit:
        return header
    line = header.rfind(b"\n", 0, limit + 1) + 1
    return header[: line - 1] if line > FAR * limit else header[:limit]


def let_in(header: bytes, limit: int, line_length: int) -> bytes:
    """Give the lines of a header that are read: up to the one that goes over the limit. Of a line, pieces are read.

    header: with its last line end, as the result. line_length: line_length_limit, the size of the pieces.
    """
    end = header.find(b"\n", limit)
    if end < 0:
        return header
    start = header.rfind(b"\n", 0, limit) + 1
    pieces = -((start - limit) // line_length)
    return header[: min(end, start + pieces * line_length)] + b"\n"
