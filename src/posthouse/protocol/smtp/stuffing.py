"""Dot-stuffing: content in LF form to what goes over the wire, in whole buffers.

Whatever the content holds, the wire gets CRLF line ends, no bare CR or LF, and no line of a lone dot: nothing that a
careless server could take for the end (SMTP smuggling). The inverse of content.py. Source: RFC 5321 4.5.2, 2.3.8.
"""

import re
from typing import Final

END_OF_CONTENT: Final = b".\r\n"
_CR_AT_END: Final = re.compile(rb"(?<!\r)\r++(?=\n)")


def stuff_content(data: bytes) -> bytes:
    """Return whole content as it goes over the wire, without the final dot. The last line gets its line end."""
    if b"\r" in data:
        data = _CR_AT_END.sub(b"", data).replace(b"\r", b" ")
    if data[:1] == b".":
        data = b"." + data
    if b"\n." in data:
        data = data.replace(b"\n.", b"\n..")
    if data and data[-1] != 10:
        data += b"\n"
    return data.replace(b"\n", b"\r\n")


class Stuffer:
    """Does the same for content that comes in chunks (large messages read from a file)."""

    __slots__ = ("_at_line_start", "_cr_count")

    def __init__(self) -> None:
        self._at_line_start = True
        self._cr_count = 0  # at the end of the last chunk; LF may follow in the next

    def feed(self, data: bytes) -> bytes:
        """Return what goes over the wire of the next chunk."""
        if self._cr_count:
            data = b"\r" * self._cr_count + data
            self._cr_count = 0
        if b"\r" in data:
            size = len(data)
            data = data.rstrip(b"\r")
            self._cr_count = size - len(data)
            data = _CR_AT_END.sub(b"", data).replace(b"\r", b" ")
        return self._convert(data) if data else b""

    def finish(self) -> bytes:
        """Return what remains, with the line end that the last line may lack."""
        out = b" " * self._cr_count
        return out + b"\r\n" if out or not self._at_line_start else b""

    def _convert(self, data: bytes) -> bytes:
        if self._at_line_start and data[0] == 46:
            data = b"." + data
        self._at_line_start = data[-1] == 10
        if b"\n." in data:
            data = data.replace(b"\n.", b"\n..")
        return data.replace(b"\n", b"\r\n")
