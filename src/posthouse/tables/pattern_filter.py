r"""PatternFilter: which of many patterns may match a text, by the words that they cannot do without.

RE2's filter finds the words of all patterns in one pass over the text. Only rules whose words are there are tried, by
their own engine; so nothing depends on RE2 reading a pattern as that engine does, but the words. `words_of` is strict:
it takes Perl syntax whose letters mean themselves in both (no \x41, no (?...), no octets beyond ASCII).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import re2  # type: ignore[import-untyped]

WORTH_IT: Final = 16  # patterns: below that, trying them all is as fast
MEMORY: Final = 64 * 1024 * 1024  # bytes for the states of one pattern; RE2 goes on, slower, when they are used up
_SIGNAL: Final = b"\0filter works\0"  # put behind each text, and found there as long as the filter finds anything
_SAFE: Final = re.compile(
    rb"(?:[^\\\[\](){}*+?\x80-\xff]"  # characters, among them . ^ $ |
    rb"|\\[dDwWsSbB]|\\[^0-9A-Za-z\x80-\xff]"
    rb"|\[\^?\]?(?:[^\\\[\]\x80-\xff]|\[:[a-z]+:\]|\\[dws]|\\[^0-9A-Za-z\x80-\xff])*\]"
    rb"|\((?![?*])|\(\?:|\)"
    rb"|(?:[*+?]|\{[0-9]{1,3}(?:,[0-9]{0,3})?\})\??(?![*+?{]))*",
    re.DOTALL,
)


def options() -> re2.Options:
    """Give RE2's options for patterns on octets: leftmost-longest, quiet."""
    found = re2.Options()
    found.longest_match = True
    found.log_errors = False
    found.encoding = re2.Options.Encoding.LATIN1
    found.max_mem = MEMORY
    return found


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
            try:
                self._filter.Add(pattern, options())
            except re2.error:  # too large for RE2, or not of its syntax
                self._always.append(place)
            else:
                self._places.append(place)
        self._signal = self._filter.Add(re2.escape(_SIGNAL), options())
        self._filter.Compile()
        self._all = sorted(self._places + self._always)

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
