"""What the headers say about a body: Content-Type with its boundaries, and Content-Transfer-Encoding.

The grammar is lenient, as Postfix's: three words of each piece between semicolons count, what follows them is skipped;
a subtype may be missing; parameters may be repeated, and each boundary counts. Nothing raises and nothing recurses:
nested comments are counted, and what cannot be a boundary is stepped over without being taken apart. Parameters in
parts (RFC 2231) are no boundaries. Sources: RFC 2045 5.1 and 6.1, RFC 2046 5.1 and
5.2, RFC 5322 3.2.
"""

import re
from enum import Enum, auto
from typing import Final, NamedTuple

# Octets, without nested comments: those that are nested are left to _skip_comment. No loop goes back: single octets are
# repeated possessively, and so are groups within a loop. The outermost loop cannot fail behind itself; it is not
# possessive, because re of Python 3.11.2 (Debian 12) does not go back where a possessive group within another fails.
_QUOTED: Final = rb'"(?:[^"\\]++|\\.)*+"'
_COMMENT: Final = rb"\((?:[^()\\]++|\\.)*+\)"
_BLANKS: Final = rb"[ \t\r\n]++"
_ATOM_END: Final = rb'\x00-\x20\x7f()<>@,;:\\"\[\]'
_GAP: Final = re.compile(rb"(?:" + _BLANKS + rb"|" + _COMMENT + rb")*", re.DOTALL)
_REST: Final = re.compile(rb'(?:[^;"(]++|' + _QUOTED + rb"|" + _COMMENT + rb")*", re.DOTALL)
_WORD: Final = re.compile(
    rb"(?P<atom>[^" + _ATOM_END + rb'/?=]++)|"(?P<quoted>(?:[^"\\]++|\\.)*+)(?:"|\\?\Z)|(?P<special>.)', re.DOTALL
)
# whole parameters that are no boundary
_OTHERS: Final = re.compile(
    rb"(?:(?:" + _BLANKS + rb"|" + _COMMENT + rb")*+(?!(?i:boundary)[ \t\r\n(=]|\()"
    rb'(?:[^;"(]++|' + _QUOTED + rb"|" + _COMMENT + rb")*+;)*",
    re.DOTALL,
)
_SIMPLE_LEAF: Final = re.compile(rb"[ \t]*+(?!(?i:m(?:essage|ultipart)))[a-zA-Z]++/")  # only to save time
_ENCODING: Final = re.compile(rb"[^" + _ATOM_END + rb".]++")
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_IN_COMMENT: Final = re.compile(rb"(?:[^()\\]++|\\.?)*+(?:(?P<open>\(++)|(?P<close>\)++))?", re.DOTALL)

SEVEN_BIT: Final = b"7bit"
QUOTED_PRINTABLE: Final = b"quoted-printable"
ENCODED: Final = frozenset({QUOTED_PRINTABLE, b"base64"})
EIGHT_BIT: Final = frozenset({b"8bit", b"binary"})
_ENCODINGS: Final = {SEVEN_BIT, *ENCODED, *EIGHT_BIT}
MOST: Final = 100_000  # boundaries in one header
_WORDS: Final = 3  # of each piece: type "/" subtype, name "=" value


class Kind(Enum):
    """What a body is, as far as it matters to its structure and its encoding."""

    LEAF = auto()
    MULTIPART = auto()
    MESSAGE = auto()  # message/rfc822: headers and body of its own
    GLOBAL_MESSAGE = auto()  # message/global: such, and may be encoded (RFC 6532 3.7)
    FRAGMENT = auto()  # message/partial and message/external-body: 7bit only (RFC 2046 5.2.2, 5.2.3)
    REPORT = auto()  # other message/*


_MESSAGES: Final = {
    b"rfc822": Kind.MESSAGE,
    b"global": Kind.GLOBAL_MESSAGE,
    b"partial": Kind.FRAGMENT,
    b"external-body": Kind.FRAGMENT,
}


class ContentType(NamedTuple):
    """What a Content-Type says; parts: what the parts of a multipart are unless they say otherwise."""

    kind: Kind
    parts: Kind = Kind.LEAF
    boundaries: tuple[bytes, ...] = ()


LEAF: Final = ContentType(Kind.LEAF)


class _Word(NamedTuple):
    text: bytes
    kind: str  # atom, quoted or special

    @property
    def is_atom(self) -> bool:
        return self.kind == "atom"


_EQUALS: Final = _Word(b"=", "special")


def parse_content_type(value: bytes, most: int = MOST) -> ContentType:
    """Read what stands behind the colon of a Content-Type header, folded or not. Source: RFC 2045 5.1.

    most: of boundaries that anybody wants; when there are more, one more is given.
    """
    if _SIMPLE_LEAF.match(value) is not None:
        return LEAF
    words, position = _words(value, 0)
    if not words or not words[0].is_atom:
        return LEAF
    major = words[0].text.lower()
    minor = words[2].text.lower() if len(words) == _WORDS and words[2].is_atom else b""
    if major == b"message":
        return ContentType(_MESSAGES.get(minor, Kind.REPORT))
    if major == b"multipart":
        parts = Kind.MESSAGE if minor == b"digest" else Kind.LEAF
        return ContentType(Kind.MULTIPART, parts, tuple(_boundaries(value, position, most)))
    return LEAF


def parse_encoding(value: bytes) -> bytes | None:
    """Read the value of a Content-Transfer-Encoding header; None: an encoding that nobody knows. RFC 2045 6.1."""
    match = _ENCODING.match(value, _skip_gap(value, 0))
    name = match[0].lower() if match is not None else b""
    return name if name in _ENCODINGS else None


def _boundaries(value: bytes, position: int, most: int) -> list[bytes]:
    found: list[bytes] = []
    while position < len(value) and len(found) <= most:
        others = _OTHERS.match(value, position)
        assert others is not None, "it matches nothing, too"
        words, position = _words(value, others.end())
        if len(words) == _WORDS and _is_boundary(words):
            found.append(words[2].text)
    return found


def _is_boundary(words: list[_Word]) -> bool:
    name, equals, value = words
    is_pair = name.is_atom and equals == _EQUALS and value.kind != "special"
    return is_pair and name.text.lower() == b"boundary"


def _words(value: bytes, position: int) -> tuple[list[_Word], int]:
    """Read up to three words, and go behind the next semicolon."""
    words: list[_Word] = []
    while len(words) < _WORDS:
        position = _skip_gap(value, position)
        match = _WORD.match(value, position)
        if match is None or match[0] == b";":
            return words, position + 1
        position = match.end()
        words.append(_word(match))
    return words, _skip_rest(value, position)


def _word(match: re.Match[bytes]) -> _Word:
    kind = match.lastgroup
    assert kind is not None, "one of the three has matched"
    text = match[kind]
    if kind == "quoted" and b"\n" in text:
        *folded, last = text.split(b"\n")  # no expression: runs of blanks that end in no LF would make it quadratic
        text = b"".join([line.rstrip(b" \t\r") for line in folded]) + last
    if kind == "quoted" and b"\\" in text:
        text = _ESCAPE.sub(rb"\1", text)
    return _Word(text, kind)


def _skip_gap(value: bytes, position: int) -> int:
    """Go over blanks and comments, nested ones too."""
    while True:
        gap = _GAP.match(value, position)
        assert gap is not None, "it matches nothing, too"
        position = gap.end()
        if value[position : position + 1] != b"(":
            return position
        position = _skip_comment(value, position)


def _skip_rest(value: bytes, position: int) -> int:
    """Go behind the next semicolon that is in no quotes and no comment."""
    while True:
        rest = _REST.match(value, position)
        assert rest is not None, "it matches nothing, too"
        position = rest.end()
        stop = value[position : position + 1]
        if stop != b"(":
            return position + 1 if stop == b";" else len(value)
        position = _skip_comment(value, position)


def _skip_comment(value: bytes, position: int) -> int:
    """Go behind a comment; one that is not closed is all the rest. Runs of parentheses are one step."""
    depth = 0
    while position < len(value):
        match = _IN_COMMENT.match(value, position)
        assert match is not None, "it matches nothing, too"
        position = match.end()
        if match["open"]:
            depth += len(match["open"])
        elif match["close"]:
            closed = len(match["close"])
            if closed >= depth:
                return position - closed + depth
            depth -= closed
    return len(value)
