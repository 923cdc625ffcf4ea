r"""PatternFilter: which of many patterns may match a text, by the words that they cannot do without.

RE2's filter finds the words of all patterns in one pass over the text. Only rules whose words are there are tried, by
their own engine; so nothing depends on RE2 reading a pattern as that engine does, but the words. `words_of` is strict:
it takes Perl syntax whose letters mean themselves in both (no \x41, no (?...), no octets beyond ASCII).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import re2  # type: ignore[import-untyped]

from posthouse.tables.linear import MEMORY, STATES, options

WORTH_IT: Final = 16  # patterns: below that, trying them all is as fast
_SIGNAL: Final = b"\0filter works\0"  # put behind each text, and found there as long as the filter finds anything
_SAFE: Final = re.compile(
    rb"(?:[^\\\[\](){}*+?\x80-\xff]"  # characters, among them . ^ $ |
    rb"|\\[dDwWsSbB]|\\[^0-9A-Za-z\x80-\xff]"
    rb"|\[\^?\]?(?:[^\\\[\]\x80-\xff]|\[:[a-z]+:\]|\\[dws]|\\[^0-9A-Za-z\x80-\xff])*\]"
    rb"|\((?![?*])|\(\?:|\)"
    rb"|(?:[*+?]|\{[0-9]{1,3}(?:,[0-9]{0,3})?\})\??(?![*+?{]))*",
    re.DOTALL,
)


def words_of(pattern: bytes) -> bytes | None:
    """Give a pattern of PCRE2 (without its flag x) as one for the filter, or None: it is not of the common kind."""
    return b"(?si)" + pattern if _SAFE.fullmatch(pattern) else None


class PatternFilter:
    """The filter of one table."""

    def __init__(self, patterns: Mapping[int, bytes], always: Sequence[int]) -> None:
        """patterns: in RE2's syntax, by the rule's place. always: places of rules to be tried with every text."""
        self._filter = re2.Filter()
        self._places, self._always = list[int](), list(always)
        for place, pattern in patterns.items():
            if self._add(pattern):
                self._places.append(place)
            else:
                self._always.append(place)
        self._signal = self._filter.Add(re2.escape(_SIGNAL), options())
        self._filter.Compile()
        self._all = sorted(self._places + self._always)

    def _add(self, pattern: bytes) -> bool:
        """Add a pattern; False: it is too large for RE2, or not of its syntax."""
        for memory in (STATES, MEMORY):
            try:
                self._filter.Add(pattern, options(memory))
            except re2.error:
                continue
            return True
        return False

    def compiled(self) -> "dict[int, re2._Regexp]":
        """Give the patterns, compiled, by the rule's place."""
        return {place: self._filter.re(number) for number, place in enumerate(self._places)}

    def candidates(self, text: bytes) -> list[int]:
        """Give the places of rules that may match, in order."""
        found = self._filter.Match(text + _SIGNAL, potential=True)
        if not found or found[-1] != self._signal:
            return self._all  # it has run out of memory, which it does not say
        del found[-1]
        places = self._places
        return sorted([places[number] for number in found] + self._always)
