"""regexp: tables: POSIX regular expressions. Flags: i (case matters), m (newlines count), x (basic expressions).

google-re2 matches in linear time, so no header can stall the daemon, and with longest_match it agrees with POSIX. Only
patterns with back-references, which it does not have, or with repetitions beyond its limit go to PCRE2 (leftmost
alternative instead of longest; bounded by its match limit). Matching is on octets, as in the C locale.
"""

from collections.abc import Sequence
from typing import Final

import re2  # type: ignore[import-untyped]

from posthouse.tables.file_table import Origin
from posthouse.tables.linear import LinearEngine
from posthouse.tables.patterns import Engine, PatternTable, Rule, inline_text
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
_MAX_REPETITION: Final = "invalid repetition size"


class Regexp(PatternTable):
    """A table of POSIX patterns."""

    options = "imx!"

    def _install(self, rules: Sequence[Rule]) -> None:
        super()._install(rules)
        if self._filter is not None:
            for place, compiled in self._filter.compiled().items():
                engine = rules[place].expression.engine
                assert isinstance(engine, LinearEngine), "only RE2's patterns are filtered"
                engine.share(compiled)

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
            return PcreEngine(text, where=self.where)
        try:
            return LinearEngine(text)
        except re2.error as error:
            why = error.args[0].decode("latin-1") if isinstance(error.args[0], bytes) else str(error)
            if why.startswith(_MAX_REPETITION):
                return PcreEngine(text, where=self.where)
            raise PatternError(next((ours for theirs, ours in _ERRORS if why.startswith(theirs)), why)) from None


def open_table(origin: Origin) -> Regexp:
    """Open regexp:/path or regexp:{{rule}...}. Raises ConfigError."""
    return Regexp(origin, inline_text(origin))
