"""HeaderBlock: the headers of one message, to be edited one by one. What is not edited stays octet for octet.

Headers are counted from 1, as mail filters do. The first Received header is the server's own; filters never saw it, so
it cannot be changed or deleted, and does not count among headers of that name; where a header is put it does count.
Sources: RFC 5322 2.2; the milter protocol (smfi_insheader, smfi_chgheader); API "Messages".
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

_NAME: Final = re.compile(rb"([!-9;-~]++)[ \t]*+:")
_FIELD_NAME: Final = re.compile(rb"[!-9;-~]+")
_CRS: Final = re.compile(rb"\r+(?=\n|\Z)")
_UNFOLDED: Final = re.compile(rb"\n(?![ \t])")
_RECEIVED: Final = b"received"


def header_name(field: bytes) -> bytes:
    """Give the name of a header in lower case; empty when it is none."""
    match = _NAME.match(field)
    return match[1].lower() if match is not None else b""


def make_field(name: bytes, value: bytes) -> bytes:
    """Write a header without its last line end; further lines of the value become continuation lines.

    Raises ValueError: a name that is none. Nothing in a value can end the header or begin another.
    """
    if _FIELD_NAME.fullmatch(name) is None:
        raise ValueError(f"no header name: {name!r}")
    lines = _CRS.sub(b"", value).rstrip(b"\n")
    return name + b": " + _UNFOLDED.sub(b"\n\t", lines)


def split_lines(lines: Sequence[bytes]) -> tuple[list[bytes], int]:
    """Cut headers off the front of a message's lines; also give the number of lines they take."""
    fields: list[list[bytes]] = []
    for number, line in enumerate(lines):
        if fields and line[:1] in (b" ", b"\t"):
            fields[-1].append(line)
        elif _NAME.match(line) is not None:
            fields.append([line])
        else:
            return [b"\n".join(field) for field in fields], number
    return [b"\n".join(field) for field in fields], len(lines)


class _Field:
    """One header; an object, so that the server's own one is known wherever it stands."""

    __slots__ = ("data", "name")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.name = header_name(data)


class HeaderBlock:
    """See the module's docstring. Headers are octets without their last line end, folds joined by LF."""

    def __init__(self, fields: Iterable[bytes]) -> None:
        self._fields = [_Field(data) for data in fields]
        self._own = next((field for field in self._fields if field.name == _RECEIVED), None)

    @property
    def fields(self) -> list[bytes]:
        """The headers as they are now."""
        return [field.data for field in self._fields]

    def append(self, data: bytes) -> None:
        """Put a header behind all others."""
        self._fields.append(_Field(data))

    def insert(self, index: int, data: bytes) -> None:
        """Make it header number `index`; the last one where there are fewer. Raises ValueError: below 1."""
        self._fields.insert(_checked(index) - 1, _Field(data))

    def change(self, index: int, name: bytes, data: bytes) -> None:
        """Put it in the place of header number `index` of that name; behind all others where there is none.

        Raises ValueError: an index below 1.
        """
        at = self._find(index, name)
        if at is None:
            self.append(data)
        else:
            self._fields[at] = _Field(data)

    def delete(self, index: int, name: bytes) -> None:
        """Take out header number `index` of that name, if it is there. Raises ValueError: an index below 1."""
        at = self._find(index, name)
        if at is not None:
            del self._fields[at]

    def _find(self, index: int, name: bytes) -> int | None:
        wanted, left = name.lower(), _checked(index)
        for at, field in enumerate(self._fields):
            if field.name == wanted and field is not self._own:
                left -= 1
                if not left:
                    return at
        return None


def _checked(index: int) -> int:
    if index < 1:
        raise ValueError(f"headers are counted from 1: {index}")
    return index
