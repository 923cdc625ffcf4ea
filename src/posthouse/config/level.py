"""Compatibility levels: major[.minor[.patch]], compared number by number.

A level says up to which release the administrator has accepted changed defaults (postconf(5), compatibility_level).
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Self

MAX_MAJOR: Final = 2047  # what fits in the 11 bits that Postfix gives the major number
MAX_MINOR: Final = 1023  # 10 bits each for minor and patch
LAST_SINGLE_NUMBER: Final = 2  # the last level before Postfix 3.6, where levels became releases
_SYNTAX: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9})(?:\.([0-9]{1,9}))?)?", re.ASCII)


class CompatLevel(NamedTuple):
    """One level. Missing parts are zero."""

    major: int
    minor: int = 0
    patch: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a level. Raises ValueError: not up to three numbers with dots between, or one is too large."""
        match = _SYNTAX.fullmatch(text)
        if match is not None:
            level = cls(*(int(part or "0") for part in match.groups()))
            if level.major <= MAX_MAJOR and level.minor <= MAX_MINOR and level.patch <= MAX_MINOR:
                return level
        raise ValueError(f'malformed compatibility level syntax: "{text}"')

    def __int__(self) -> int:
        """Give the packed number that Postfix compares."""
        return self.major << 20 | self.minor << 10 | self.patch

    def __str__(self) -> str:
        """Give the text that reads as this level: up to 2 a level was one number, since 3 it is at least two."""
        if self.patch:
            return f"{self.major}.{self.minor}.{self.patch}"
        return f"{self.major}.{self.minor}" if self.minor or self.major > LAST_SINGLE_NUMBER else str(self.major)


LAST_LEVEL: Final = CompatLevel(3, 11)  # the newest level that changes a default
_parse = CompatLevel.parse

LEVEL_OPERATORS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "==level": lambda left, right: _parse(left) == _parse(right),
    "!=level": lambda left, right: _parse(left) != _parse(right),
    "<level": lambda left, right: _parse(left) < _parse(right),
    "<=level": lambda left, right: _parse(left) <= _parse(right),
    ">level": lambda left, right: _parse(left) > _parse(right),
    ">=level": lambda left, right: _parse(left) >= _parse(right),
}
