"""pcre: tables: Perl-compatible regular expressions, by PCRE2.

Flags: i (case matters), m (^ and $ at line ends), s (dot takes no newline), x (blanks and comments), A (anchored),
E ($ at the very end only), U (short matches first), X (accepted: PCRE2 is strict anyway).
No just-in-time compiler: it needs memory that is writable and executable, which confined daemons may not have.
A pattern that goes wild ends at PCRE2's match limit and is then a temporary error, not a mismatch.
"""

from typing import Final

import pcre2  # type: ignore[import-untyped]

from posthouse.tables.file_table import Origin
from posthouse.tables.patterns import Engine, PatternTable, inline_text
from posthouse.util import log
from posthouse.util.errors import TableError

CASELESS: Final = 0x8  # PCRE2's option bits (pcre2api(3))
DOLLAR_END_ONLY: Final = 0x10
DOT_ALL: Final = 0x20
EXTENDED: Final = 0x80
MULTI_LINE: Final = 0x400
UNGREEDY: Final = 0x40000
UTF: Final = 0x80000
ANCHORED: Final = 0x80000000
_TOGGLES: Final = {
    "i": CASELESS,
    "m": MULTI_LINE,
    "s": DOT_ALL,
    "x": EXTENDED,
    "A": ANCHORED,
    "E": DOLLAR_END_ONLY,
    "U": UNGREEDY,
    "X": 0,
}


class PcreEngine:
    """A pattern compiled by PCRE2."""

    def __init__(self, pattern: bytes, options: int) -> None:
        """Compile. Raises ValueError."""
        try:
            self._compiled = pcre2.compile(pattern, options, jit=False)
        except pcre2.PatternError as error:
            why = str(error).partition("; ")[2] or str(error)
            raise ValueError(f"error in regex at offset {getattr(error, 'pos', 0)}: {why}") from None
        self._search = self._compiled.search
        self.groups: int = self._compiled.groups

    def test(self, text: bytes) -> bool:
        """Whether it matches. Raises TableError: the match limit is exceeded."""
        return self.search(text) is not None

    def search(self, text: bytes) -> tuple[bytes | None, ...] | None:
        """Give what the groups matched. Raises TableError."""
        try:
            found = self._search(text)
            return None if found is None else (found.group(), *found.groups())
        except pcre2.LibraryError as error:
            message = f"pcre: {error} in a pattern applied to {len(text)} bytes of text"
            log.warning(message)
            raise TableError(message) from None


class Pcre(PatternTable):
    """A table of Perl-compatible patterns."""

    options = "".join(_TOGGLES)

    def compile(self, pattern: str, flags: str) -> Engine:
        """Compile one pattern. Raises ValueError."""
        options = CASELESS | DOT_ALL
        if self.flags.utf8:
            options |= UTF
        for letter in flags:
            options ^= _TOGGLES[letter]
        return PcreEngine(pattern.encode("utf-8", "surrogateescape"), options)


def open_table(origin: Origin) -> Pcre:
    """Open pcre:/path or pcre:{{rule}...}. Raises ConfigError."""
    return Pcre(origin, inline_text(origin))
