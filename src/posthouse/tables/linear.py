"""Patterns that RE2 runs: in time linear in the text, whatever pattern and text are, and in bounded memory."""

from typing import Final

import re2  # type: ignore[import-untyped]

STATES: Final = 1024 * 1024  # bytes for a pattern and the states it remembers: hostile texts fill what there is
MEMORY: Final = 64 * STATES  # for a pattern that is larger than that


def options(memory: int = MEMORY, *, longest: bool = True) -> re2.Options:
    """Give RE2's options for patterns on octets: quiet. longest: POSIX's match, else Perl's."""
    found = re2.Options()
    found.longest_match = longest
    found.log_errors = False
    found.encoding = re2.Options.Encoding.LATIN1
    found.max_mem = memory
    return found


class LinearEngine:
    """A pattern compiled by RE2."""

    def __init__(self, pattern: bytes, *, longest: bool = True) -> None:
        """Compile. Raises re2.error."""
        # Octets beyond ASCII are letters of one encoding to the filter and of another to the pattern.
        self.words = pattern if pattern.isascii() else None
        try:
            compiled = re2.compile(pattern, options(STATES, longest=longest))
        except re2.error:  # too large, or wrong
            compiled = re2.compile(pattern, options(longest=longest))
        self.groups: int = compiled.groups
        self._search = compiled.search

    def share(self, compiled: "re2._Regexp") -> None:
        """Use the pattern that a filter has compiled."""
        self._search = compiled.search

    def test(self, text: bytes) -> bool:
        """Whether it matches."""
        return self._search(text) is not None

    def search(self, text: bytes) -> tuple[bytes | None, ...] | None:
        """Give what the groups matched."""
        found = self._search(text)
        return None if found is None else (found.group(), *found.groups())


def linear_engine(pattern: bytes) -> LinearEngine | None:
    """Compile a pattern with Perl's rules for what a group matches, or give None: RE2 does not take it."""
    try:
        return LinearEngine(pattern, longest=False)
    except re2.error:
        return None
