"""regexp: tables: POSIX regular expressions. Flags: i (case matters), m (newlines count), x (basic expressions).

google-re2 matches in linear time, so no header can stall the daemon, and with longest_match it agrees with POSIX. Only
patterns with back-references, which it does not have, or with repetitions beyond its limit go to PCRE2 (leftmost
alternative instead of longest; bounded by its match limit). Matching is on octets, as in the C locale.

Of many patterns hardly any can match a given text: most need some word that is not in it. RE2's filter finds the words
of all patterns in one pass, and only patterns whose words are there are tried.
"""

from collections.abc import Sequence
from typing import Final

import re2  # type: ignore[import-untyped]

from posthouse.tables.file_table import Origin
from posthouse.tables.patterns import Engine, PatternTable, Rule, find_among, inline_text
from posthouse.tables.pcre import PcreEngine
from posthouse.tables.posix import PatternError, translate

_ERRORS: Final = (  # what RE2 says, and what regerror(3) says to it
    ("missing )", "Unmatched ( or \\("),
    ("missing ]", "Unmatched [, [^, [:, [., or [="),
    ("no argument for repetition operator", "Invalid preceding regular expression"),
    ("invalid character class range", "Invalid range end"),
    ("invalid repetition size", "Invalid content of \\{\\}"),
    ("trailing \\", "Trailing backslash"),
)
_MEMORY: Final = 64 * 1024 * 1024  # bytes for the states of one pattern; RE2 goes on, slower, when they are used up
_MAX_REPETITION: Final = "invalid repetition size"


_WORTH_FILTERING: Final = 16  # patterns: below that, trying them all is as fast
_SIGNAL: Final = b"\0filter works\0"  # put behind each text, and found there as long as the filter finds anything


def _options() -> re2.Options:
    options = re2.Options()
    options.longest_match = True
    options.log_errors = False
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = _MEMORY
    return options


class Re2Engine:
    """A pattern compiled by RE2."""

    def __init__(self, pattern: bytes) -> None:
        """Compile. Raises re2.error."""
        self.pattern = pattern
        compiled = re2.compile(pattern, _options())
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


class Filter:
    """Tells which rules may match a text, by the words that their patterns cannot do without."""

    def __init__(self, engines: dict[int, Re2Engine], always: list[int]) -> None:
        """engines: by the rule's place, in order. always: places of rules that have to be tried with every text."""
        self._places = list(engines)
        self._always = always
        self._filter = re2.Filter()
        options = _options()
        for number, engine in enumerate(engines.values()):
            self._filter.Add(engine.pattern, options)
            engine.share(self._filter.re(number))
        self._signal = self._filter.Add(re2.escape(_SIGNAL), options)
        self._filter.Compile()
        self._all = sorted(self._places + always)

    def candidates(self, text: bytes) -> list[int]:
        """Give the places of rules that may match, in order."""
        found = self._filter.Match(text + _SIGNAL, potential=True)
        if not found or found[-1] != self._signal:
            return self._all  # it has run out of memory, which it does not say
        del found[-1]
        places = self._places
        return sorted([places[number] for number in found] + self._always)


class Regexp(PatternTable):
    """A table of POSIX patterns."""

    options = "imx!"
    _filter: Filter | None = None

    def _install(self, rules: Sequence[Rule]) -> None:
        engines, always = dict[int, Re2Engine](), list[int]()
        for place, rule in enumerate(rules):
            engine = rule.expression.engine
            if rule.template is None:
                continue
            # Octets beyond ASCII are letters of one encoding to the filter and of another to the pattern.
            if isinstance(engine, Re2Engine) and engine.pattern.isascii() and not rule.expression.negated:
                engines[place] = engine
            else:
                always.append(place)
        self._filter = Filter(engines, always) if len(engines) >= _WORTH_FILTERING else None
        super()._install(rules)

    def _find(self, key: str) -> str | None:
        if self._filter is None:
            return super()._find(key)
        text = key.encode("utf-8", "surrogateescape")
        return find_among(self._rules, self._filter.candidates(text), text)

    def compile(self, pattern: str, flags: str) -> Engine:
        """Compile one pattern. Raises ValueError."""
        octets = pattern.encode("utf-8", "surrogateescape").decode("latin-1")
        multi_line = flags.count("m") % 2 == 1
        translated = translate(octets, extended=flags.count("x") % 2 == 0, multi_line=multi_line)
        mode = "m" if multi_line else "s"
        if flags.count("i") % 2 == 0:
            mode += "i"
        text = f"(?{mode}){translated.text}".encode("latin-1")
        if translated.has_back_reference:
            return PcreEngine(text)
        try:
            return Re2Engine(text)
        except re2.error as error:
            why = error.args[0].decode("latin-1") if isinstance(error.args[0], bytes) else str(error)
            if why.startswith(_MAX_REPETITION):
                return PcreEngine(text)
            raise PatternError(next((ours for theirs, ours in _ERRORS if why.startswith(theirs)), why)) from None


def open_table(origin: Origin) -> Regexp:
    """Open regexp:/path or regexp:{{rule}...}. Raises ConfigError."""
    return Regexp(origin, inline_text(origin))
