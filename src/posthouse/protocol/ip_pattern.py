"""IPv4Pattern: an address whose fields may be sets, 127.0.[1;3;8..255].2, as filters of DNS list answers are written.

Source: postconf(5), reject_rbl_client, postscreen_dnsbl_sites.
"""

import re
from typing import Final

_NUMBER: Final = re.compile(r"[0-9]+", re.ASCII)
_ADDRESS: Final = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})", re.ASCII)
_FIELDS: Final = 4
_MAX: Final = 255

Ranges = tuple[tuple[int, int], ...]


class IPv4Pattern:
    """A pattern; brackets around all of it do not count."""

    def __init__(self, text: str) -> None:
        """Read a pattern. Raises ValueError: the reason, with the place between ">" and "<"."""
        self._fields, self._text = _Reader(_without_brackets(text)).read()

    def matches(self, address: str) -> bool:
        """Whether an IPv4 address fits; no other text does."""
        found = _ADDRESS.fullmatch(address)
        if found is None:
            return False
        octets = [int(octet) for octet in found.groups()]
        if max(octets) > _MAX:
            return False
        return all(
            any(first <= octet <= last for first, last in ranges)
            for octet, ranges in zip(octets, self._fields, strict=True)
        )

    def __str__(self) -> str:
        """Give the pattern in one form: without outer brackets, numbers without zeros in front."""
        return self._text


def _without_brackets(text: str) -> str:
    """Take brackets around the whole pattern away; those of its first field stay."""
    if not text.startswith("["):
        return text
    depth = 0
    for at, character in enumerate(text):
        depth += {"[": 1, "]": -1}.get(character, 0)
        if depth == 0:
            return text[1:at] if at + 1 == len(text) else text
    raise ValueError('missing "]" character')


class _Reader:
    """Reads one pattern from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def read(self) -> tuple[tuple[Ranges, ...], str]:
        fields: list[Ranges] = []
        shown: list[str] = []
        for number in range(_FIELDS):
            if number and not self._take("."):
                raise self._error('need "."')
            in_brackets = self._take("[")
            ranges = self._set() if in_brackets else self._one('need decimal number 0..255 or "["')
            fields.append(ranges)
            shown.append(_shown(ranges, in_brackets=in_brackets))
        if self._at < len(self._text):
            raise self._error("garbage after pattern")
        return tuple(fields), ".".join(shown)

    def _take(self, mark: str) -> bool:
        found = self._text.startswith(mark, self._at)
        self._at += found
        return found

    def _one(self, need: str) -> Ranges:
        value = self._number(need)
        return ((value, value),)

    def _set(self) -> Ranges:
        """Read what stands in brackets, with the closing one."""
        ranges: list[tuple[int, int]] = []
        while True:
            first = last = self._number("need decimal number 0..255")
            if self._take("."):
                self._take(".")
                start = self._at
                last = self._number("need decimal number 0..255")
                if last < first:
                    raise self._error("numeric range error", start)
            ranges.append((first, last))
            if self._take("]"):
                return tuple(ranges)
            if not self._take(";"):
                raise self._error('need ";" or "]"')

    def _number(self, need: str) -> int:
        found = _NUMBER.match(self._text, self._at)
        if found is None or len(found[0]) > 9 or int(found[0]) > _MAX:
            raise self._error(need)
        self._at = found.end()
        return int(found[0])

    def _error(self, why: str, start: int | None = None) -> ValueError:
        """Make an error that shows the number or character at `start`, or where the reader is."""
        start = self._at if start is None else start
        found = _NUMBER.match(self._text, start)
        end = found.end() if found else min(start + 1, len(self._text))
        return ValueError(f'{why} at "{self._text[:start]}>{self._text[start:end]}<{self._text[end:]}"')


def _shown(ranges: Ranges, *, in_brackets: bool) -> str:
    text = ";".join(str(first) if first == last else f"{first}..{last}" for first, last in ranges)
    return f"[{text}]" if in_brackets else text
