"""The little of HTTP/1.1 that a scraper and a probe speak: one GET or HEAD without a body, one answer, end. No I/O.

A RequestReader takes octets as they come and says at the first octet that decides it what they are. Strict where HTTP
lets a server choose: CRLF alone ends a line, no folded fields, no body, origin-form only, fixed limits; nothing is
guessed, so two readers of the same octets cannot differ. Invariant (tests/unit/protocol/test_http.py): no octets make
it raise, and the outcome does not depend on where they were cut. Not here: which paths there are, time limits, who may
ask. Sources: RFC 9110, RFC 9112.
"""

import re
from typing import Final, NamedTuple

from posthouse.protocol.message.date import format_date

MAX_LINE: Final = 2048  # octets of the request line or of one field, line end included
MAX_HEAD: Final = 8192  # octets of all of them
MAX_FIELDS: Final = 64
METHODS: Final = ("GET", "HEAD")
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 5.6.2
_REQUEST_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([!-~]+) HTTP/1\.([01])")
_FIELD: Final = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\t -~\x80-\xff]*)")
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


class Request(NamedTuple):
    """A request that is one. path: as sent, without the query; accept: every Accept field, as sent."""

    method: str
    path: str
    accept: str


class Refusal(NamedTuple):
    """What came is no request that is answered here. why: for the body of the answer."""

    status: int
    why: str


class RequestReader:
    """See the module's docstring. After its first outcome it gives the same one for ever."""

    def __init__(self) -> None:
        self._partial = b""
        self._size = 0  # octets of whole lines
        self._line: tuple[str, str, bool] | None = None  # method, target, whether it is HTTP/1.1
        self._fields: list[tuple[bytes, bytes]] = []
        self._outcome: Request | Refusal | None = None

    def receive(self, data: bytes) -> Request | Refusal | None:
        """Take octets; None: more are needed. What follows a request is not looked at."""
        rest = self._partial + data[: MAX_HEAD + 1]
        while self._outcome is None:
            line, newline, after = rest.partition(b"\n")
            if len(line) + 1 > MAX_LINE or self._size + len(line) + 1 > MAX_HEAD:
                self._outcome = Refusal(400, "too long")
            elif not newline:
                self._partial = line
                break
            else:
                self._size += len(line) + 1
                self._outcome = self._take(line)
                rest = after
        return self._outcome

    def _take(self, line: bytes) -> Request | Refusal | None:
        """Take a line without its LF."""
        if not line.endswith(b"\r"):
            return Refusal(400, "a line that does not end in CR LF")
        line = line[:-1]
        if self._line is None:
            found = _REQUEST_LINE.fullmatch(line)
            if found is None:
                return Refusal(400, "no request line of HTTP/1.1")
            method, target, minor = (part.decode("ascii") for part in found.groups())
            self._line = (method, target, minor == "1")
        elif line:
            field = _FIELD.fullmatch(line)
            if field is None or len(self._fields) == MAX_FIELDS:
                return Refusal(400, "too many fields" if field is not None else "no header field")
            self._fields.append((field[1].lower(), field[2].rstrip(b" \t")))
        else:
            return self._whole(*self._line)
        return None

    def _whole(self, method: str, target: str, is_newer: bool) -> Request | Refusal:
        if is_newer and len(self._values(b"host")) != 1:
            return Refusal(400, "one Host field is wanted")
        if method not in METHODS:
            return Refusal(405, "only GET and HEAD are answered")
        if self._values(b"transfer-encoding") or any(value != b"0" for value in self._values(b"content-length")):
            return Refusal(400, "a body is not wanted")
        if not target.startswith("/"):
            return Refusal(400, "the target of a request begins with a slash")
        accept = b", ".join(self._values(b"accept")).decode("latin-1")
        return Request(method, target.partition("?")[0], accept)

    def _values(self, name: bytes) -> list[bytes]:
        return [value for each, value in self._fields if each == name]


def accepts(field: str, media_type: str) -> bool:
    """Tell whether an Accept field names a media type (not by a wildcard, whatever its weight but none at all)."""
    for item in field.split(","):
        name, *parameters = (word.strip(" \t").lower() for word in item.split(";"))
        if name == media_type and not any(re.fullmatch(r"q=0(?:\.0{0,3})?", word) for word in parameters):
            return True
    return False


def format_response(status: int, content_type: str, body: bytes, *, now: int, with_body: bool = True) -> bytes:
    """Write an answer after which the connection ends. now: seconds since the epoch; with_body: not for HEAD."""
    head = [
        f"HTTP/1.1 {status} {_REASONS[status]}",
        f"Date: {_date(now)}",
        "Server: posthouse",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *([f"Allow: {', '.join(METHODS)}"] if status == 405 else []),
    ]
    return ("\r\n".join(head) + "\r\n\r\n").encode("ascii") + (body if with_body else b"")


def _date(now: int) -> str:
    """Write IMF-fixdate (RFC 9110 5.6.7): as mail does, but two digits for the day and GMT for the zone."""
    return format_date(now).removesuffix("+0000").replace(",  ", ", 0") + "GMT"
