"""The header of a message: found in the whole buffer, cut into fields; the body is not touched.

Content is in LF form (see smtp/content.py). Every content has a header, maybe an empty one; nothing raises, and the
time is linear. What the fields mean is not known here. Sources: RFC 5322 2.2; facts B03.22 (first line), HM cases of
hostile input; postconf(5): header_size_limit.
"""

import re
from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

HEADER_SIZE_LIMIT: Final = 102_400  # octets of one field; postconf(5): header_size_limit

# field = field-name ":" unstructured, folded lines included; blanks before the colon as in RFC 822 (obs syntax)
_FIELD: Final = re.compile(rb"([!-9;-~]++)[ \t]*+:[^\n]*+(?:\n[ \t][^\n]*+)*+(?:\n|\Z)")
_FOLD: Final = re.compile(rb"\n(?=[ \t])")
_MAILBOX_LINE: Final = re.compile(rb">?From ")


class Field(NamedTuple):
    """One header field: its name in lower case, and all of its lines, joined by LF, without the last LF."""

    name: bytes
    raw: bytes

    @property
    def value(self) -> bytes:
        """The text behind the colon, unfolded, without white space at the ends."""
        return unfold(self.raw.partition(b":")[2]).strip(b" \t\n\r")


class End(Enum):
    """What ended the header."""

    EMPTY_LINE = "an empty line, as it should be"
    TEXT = "a line that is neither a field nor empty: the body begins with it"
    END = "the end of the message: no body"


class Header(NamedTuple):
    """The fields, and where the body begins in the buffer."""

    fields: list[Field]
    body_start: int
    end: End
    truncated: bool  # a field was longer than the limit; its end is dropped

    def get(self, name: bytes) -> Field | None:
        """Return the first field of that name (lower case)."""
        for field in self.fields:
            if field.name == name:
                return field
        return None


def split_header(content: bytes, size_limit: int = HEADER_SIZE_LIMIT) -> Header:
    """Cut the header off the front of a message."""
    fields: list[Field] = []
    position, truncated, match = 0, False, _FIELD.match
    while (found := match(content, position)) is not None:
        position = found.end()
        raw = found[0].removesuffix(b"\n")
        if len(raw) > size_limit:
            raw, truncated = raw[:size_limit].rstrip(b"\n"), True
        fields.append(Field(found[1].lower(), raw))
    if position >= len(content):
        return Header(fields, len(content), End.END, truncated)
    if content[position] == 10:
        return Header(fields, position + 1, End.EMPTY_LINE, truncated)
    return Header(fields, position, End.TEXT, truncated)


def join_header(fields: Iterable[Field]) -> bytes:
    """Write fields as the header of a message, each with its line end, without the empty line."""
    return b"".join([field.raw + b"\n" for field in fields])


def make_field(name: bytes, value: bytes) -> Field:
    """Make a field; a LF inside of the value must be a fold (blank or tab behind it)."""
    return Field(name.lower(), name + b": " + value)


def unfold(value: bytes) -> bytes:
    """Take the line ends out of a folded value."""
    return _FOLD.sub(b"", value) if b"\n" in value else value


def fix_first_line(content: bytes) -> bytes:
    """Prepare content that comes from a client: what looks like a mailbox separator or a fold in front is no header.

    "From ..." becomes X-Mailbox-Line:; content that begins with white space gets an empty header.
    """
    first = content[:1]
    if first in {b"F", b">"} and _MAILBOX_LINE.match(content) is not None:
        return b"X-Mailbox-Line: " + content
    if first in {b" ", b"\t"}:
        return b"\n" + content
    return content
