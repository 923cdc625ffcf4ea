"""Content-Type and Content-Transfer-Encoding, against a reader that goes octet by octet."""

import itertools
import random
from collections.abc import Iterator

import pytest

from posthouse.protocol.message.mime_header import Kind, parse_content_type, parse_encoding

SPECIALS = b'()<>@,;:\\"/[]?='
ALPHABET = [b"(", b")", b'"', b"\\", b";", b"=", b"a", b" ", b"\n", b"boundary", b"boundary=x"]


def comment_end(value: bytes, at: int) -> int:
    """Go behind a comment, or to the end."""
    depth = 0
    while at < len(value):
        octet = value[at : at + 1]
        depth += (octet == b"(") - (octet == b")")
        at += 2 if octet == b"\\" else 1
        if depth == 0:
            return at
    return len(value)


def quotes_end(value: bytes, at: int) -> int:
    """Go behind a quoted string, or to the end."""
    at += 1
    while at < len(value):
        octet = value[at : at + 1]
        at += 2 if octet == b"\\" else 1
        if octet == b'"':
            return at
    return len(value)


def words(value: bytes) -> Iterator[tuple[str, bytes]]:
    """Give the words of a value, one octet at a time."""
    at = 0
    while at < len(value):
        octet, end = value[at : at + 1], at + 1
        if octet == b"(":
            at = comment_end(value, at)
            continue
        if octet in b" \t\r\n":
            at += 1
            continue
        kind = "atom"
        if octet == b'"':
            kind, end = "quoted", quotes_end(value, at)
        elif octet in SPECIALS or octet <= b" ":
            kind = "special"
        else:
            while end < len(value) and value[end : end + 1] not in SPECIALS and value[end] > 32:
                end += 1
        yield kind, value[at:end]
        at = end


def boundaries(value: bytes) -> list[tuple[str, bytes]]:
    """Give the boundaries as they are written: what stands first behind a semicolon and is boundary=value."""
    found, piece = [], [("", b"")] * 3  # the type itself is no parameter
    for word in [*words(value), ("special", b";")]:
        if word != ("special", b";"):
            piece.append(word)
            continue
        if len(piece) >= 3 and piece[0][0] == "atom" and piece[0][1] == b"boundary" and piece[1] == ("special", b"="):
            found += [piece[2]] if piece[2][0] != "special" else []
        piece = []
    return found


def check(parameters: bytes) -> None:
    """Compare both readers."""
    value = b"multipart/x" + parameters
    got, want = parse_content_type(value).boundaries, boundaries(value)
    assert len(got) == len(want), (value, got, want)
    for boundary, (kind, text) in zip(got, want, strict=True):
        assert kind == "quoted" or boundary == text, value


def test_short_values_are_read_as_octet_by_octet() -> None:
    """Every value of up to four pieces: quotes and comments open and closed, in each order."""
    for length in range(5):
        for pieces in itertools.product(ALPHABET, repeat=length):
            check(b";" + b"".join(pieces))


def test_long_values_are_read_as_octet_by_octet() -> None:
    """Ten thousand of up to forty pieces."""
    source = random.Random(2045)
    for _ in range(10_000):
        check(b";" + b"".join(source.choices(ALPHABET, k=source.randrange(40))))


@pytest.mark.parametrize(
    ("value", "kind", "found"),
    [
        (b"", Kind.LEAF, ()),
        (b" text/plain; boundary=x", Kind.LEAF, ()),
        (b" MultiPart/Mixed; BOUNDARY=x", Kind.MULTIPART, (b"x",)),
        (b" multipart; boundary=x", Kind.MULTIPART, (b"x",)),
        (b' "multipart"/mixed; boundary=x', Kind.LEAF, ()),
        (b" multipart/mixed boundary=x", Kind.MULTIPART, ()),
        (b' multipart/(a(b)\\))x; boundary(c)= (d) "a\\"b;"', Kind.MULTIPART, (b'a"b;',)),
        (b' multipart/x; boundary="ab \n\t cd"', Kind.MULTIPART, (b"ab\t cd",)),
        (b' multipart/x; boundary="ab', Kind.MULTIPART, (b"ab",)),
        (b' multipart/x; boundary=""', Kind.MULTIPART, (b"",)),
        (b' multipart/x; boundary="="', Kind.MULTIPART, (b"=",)),
        (b" multipart/x; boundary==", Kind.MULTIPART, ()),
        (b" multipart/x; boundary=a\x01b", Kind.MULTIPART, (b"a",)),
        (b" multipart/x; boundary*0=a; boundary*1=b", Kind.MULTIPART, ()),
        (b' multipart/x; boundary=a; x="boundary=q"; boundary=b', Kind.MULTIPART, (b"a", b"b")),
        (b" message/RFC822", Kind.MESSAGE, ()),
        (b" message/global", Kind.GLOBAL_MESSAGE, ()),
        (b" message/partial; id=x", Kind.FRAGMENT, ()),
        (b" message", Kind.REPORT, ()),
    ],
)
def test_content_types(value: bytes, kind: Kind, found: tuple[bytes, ...]) -> None:
    """Examples; the lenient ones are what Debian's postmap -hm does."""
    content_type = parse_content_type(value)
    assert (content_type.kind, content_type.boundaries) == (kind, found)


def test_no_more_boundaries_than_are_wanted() -> None:
    """And one, so that it can be told that there are too many."""
    assert parse_content_type(b"multipart/x; boundary=a; boundary=b; boundary=c", 1).boundaries == (b"a", b"b")


def test_a_digest_has_messages() -> None:
    """Its parts are messages; those of other multiparts are text."""
    assert parse_content_type(b"multipart/Digest").parts is Kind.MESSAGE
    assert parse_content_type(b"multipart/mixed").parts is Kind.LEAF


@pytest.mark.parametrize(
    ("value", "encoding"),
    [(b" 8BIT ", b"8bit"), (b"(x)(y(z))\n base64; x", b"base64"), (b"x-8bit", None), (b"", None), (b'"8bit"', None)],
)
def test_encodings(value: bytes, encoding: bytes | None) -> None:
    """The first word counts, in any case; others are unknown."""
    assert parse_encoding(value) == encoding
