"""cut_header: what header_size_limit leaves of a header; at a line's end, if that is not far from the limit."""

from typing import Final

FAR: Final = 0.9  # of the limit: a line that begins before that is cut in its middle


def cut_header(header: bytes, limit: int) -> bytes:
    """Cut a header with its continuation lines, without its last line end, to `limit` octets. Postfix's rule."""
    if len(header) <= limit:
        return header
    line = header.rfind(b"\n", 0, limit + 1) + 1
    return header[: line - 1] if line > FAR * limit else header[:limit]
