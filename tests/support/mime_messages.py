"""Messages for the MIME parser, made by chance: lines that mean something to it, in any order; and whole trees."""

import random
from collections.abc import Iterator
from typing import Final

TYPES: Final = (
    *(b"multipart/mixed", b"multipart/digest", b"Multipart/ x", b"multipart", b"multipart/alternative"),
    *(b"message/rfc822", b"message/global", b"message/partial", b"message/delivery-status", b"text/plain"),
)
BOUNDARIES: Final = (b"aa", b"aab", b"b", b"--", b"a a", b"bb--", b"Aa", b"q.=z")
ENCODINGS: Final = (b"7bit", b"8bit", b"base64", b"quoted-printable", b"x-none", b"BINARY", b" (c) 8bit")
FIELDS: Final = (b"subject: x", b"x-a :b", b"From: a", b"To:", b"c:\td", b" folded", b"\t", b"  --aa", b"\tx: y")
TEXTS: Final = (
    *(b"", b"", b"text", b"From x", b"-", b"--", b": x", b"a b: c", b"x" * 30, b"-- ", b"--aa: x", b"\xc3\xa4: x"),
    *(b"\xff", b"=\t", b"y" * 300, b"\0\r", b"."),
)


def content_type(source: random.Random) -> bytes:
    """Give a Content-Type header, maybe folded, maybe wrong."""
    boundary = source.choice(BOUNDARIES)
    quoted = (
        b'"%s"' % boundary,
        b'"%s"' % boundary,
        boundary,
        b'"' + boundary,
        b'"%s\n %s"' % (boundary[:1], boundary[1:]),
    )
    name = source.choice((b"content-type:", b"Content-Type: ", b"CONTENT-TYPE :", b"Content-Type:\n "))
    between = source.choice((b"; ", b";\n\t", b"; charset=x; ", b"; (b\\)c)", b';x="boundary=a";', b" "))
    equals = source.choice((b"boundary=", b"Boundary = ", b"boundary(x)="))
    return (
        name + source.choice(TYPES) + between + equals + source.choice(quoted) + source.choice((b"", b"; x=y", b" z"))
    )


def line(source: random.Random) -> bytes:
    """Give a line, or a few that belong together; without the last line end."""
    kind = source.random()
    if kind < 0.25:
        return b"--" + source.choice(BOUNDARIES) + source.choice((b"", b"", b"--", b" ", b"x"))
    if kind < 0.45:
        return content_type(source)
    if kind < 0.52:
        return b"Content-Transfer-Encoding: " + source.choice(ENCODINGS)
    return source.choice(FIELDS if kind < 0.7 else TEXTS)


def lines(source: random.Random) -> bytes:
    """Give a message of lines in any order."""
    return b"\n".join([line(source) for _ in range(source.randrange(40))]) + source.choice((b"\n", b"\n", b""))


class Tree:
    """A well-formed message, and what a parser must find in it."""

    def __init__(self, source: random.Random) -> None:
        self.headers: list[bytes] = []
        self._number = 0
        self._source = source
        self.text = b"".join(self._entity(0))

    def _entity(self, depth: int) -> Iterator[bytes]:
        """Give header and body of one part. Recursion ends at four levels."""
        kind = self._source.choice(("text", "multipart", "message")) if depth < 4 else "text"
        if kind == "multipart":
            yield from self._multipart(depth)
        elif kind == "message":
            yield self._header(b"Content-Type: message/rfc822") + b"\n"
            yield from self._entity(depth + 1)
        else:
            yield self._header(b"Content-Type: text/plain; charset=utf-8") + b"\n"
            yield b"text\n" * self._source.randrange(4)

    def _multipart(self, depth: int) -> Iterator[bytes]:
        self._number += 1
        boundary = b"=_%d_%d=" % (self._number, depth)
        yield self._header(b'Content-Type: multipart/mixed;\n boundary="%s"' % boundary) + b"\n"
        yield b"prologue\n" * self._source.randrange(2)
        for _ in range(self._source.randrange(1, 4)):
            yield b"--" + boundary + b"\n"
            yield from self._entity(depth + 1)
        yield b"--" + boundary + b"--\nepilogue\n"

    def _header(self, field: bytes) -> bytes:
        fields = [b"X-Number: %d" % len(self.headers), field, b"X-Folded: a\n\tb"]
        self.headers += fields
        return b"\n".join(fields) + b"\n"
