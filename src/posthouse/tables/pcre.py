"""pcre: tables: Perl-compatible regular expressions, by PCRE2.

Flags: i (case matters), m (^ and $ at line ends), s (dot takes no newline), x (blanks and comments), A (anchored),
E ($ at the very end only), U (short matches first), X (accepted: PCRE2 is strict anyway).
No just-in-time compiler: it needs memory that is writable and executable, which confined daemons may not have.
A pattern that goes wild ends at PCRE2's match limit and is then a temporary error, not a mismatch.
"""

import re
from typing import Final

import pcre2  # type: ignore[import-untyped]

from posthouse.tables.file_table import Origin
from posthouse.tables.pattern_filter import words_of
from posthouse.tables.patterns import Engine, PatternTable, inline_text
from posthouse.util import log
from posthouse.util.errors import TableError

CASELESS: Final = int(pcre2.I)
DOT_ALL: Final = int(pcre2.S)
EXTENDED: Final = int(pcre2.X)
MULTI_LINE: Final = int(pcre2.M)
UTF: Final = int(pcre2.U)
# The binding passes these four only; A, E and U are written into the pattern.
_TOGGLES: Final = {"i": CASELESS, "m": MULTI_LINE, "s": DOT_ALL, "x": EXTENDED}
_VERBS: Final = re.compile(rb"(?:\(\*[A-Z_]+(?:=[0-9]+)?\))*", re.ASCII)  # (*LIMIT_MATCH=1000) must stay in front
_DOLLAR: Final = re.compile(rb"\\.|\[\^?\]?(?:\\.|\[:[a-z^]+:\]|[^\]\\])*\]|\$", re.DOTALL)


class PcreEngine:
    """A pattern compiled by PCRE2."""

    def __init__(self, pattern: bytes, options: int = 0, *, added: int = 0, words: bytes | None = None) -> None:
        """Compile. added: octets in front of what the administrator wrote. Raises ValueError."""
        self.words = words
        try:
            self._compiled = pcre2.compile(pattern, options | pcre2.ASCII, jit=False)
        except pcre2.PatternError as error:
            why = str(error).partition("; ")[2] or str(error)
            raise ValueError(f"error in regex at offset {max(error.pos - added, 0)}: {why}") from None
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

    options = "imsxAEUX"

    def compile(self, pattern: str, flags: str) -> Engine:
        """Compile one pattern. Raises ValueError."""
        options = CASELESS | DOT_ALL
        if self.flags.utf8:
            options |= UTF
        for letter in flags:
            options ^= _TOGGLES.get(letter, 0)
        octets = pattern.encode("utf-8", "surrogateescape")
        edited = _with_flags(octets, flags, is_extended=bool(options & EXTENDED))
        words = None if options & EXTENDED else words_of(octets)
        return PcreEngine(edited, options, added=edited.find(octets) if octets in edited else 0, words=words)


def _with_flags(pattern: bytes, flags: str, *, is_extended: bool) -> bytes:
    """Write the flags A, E and U into a pattern."""
    if flags.count("E") % 2:
        pattern = _DOLLAR.sub(lambda found: rb"\z" if found[0] == b"$" else found[0], pattern)
    prefix = b"(?U)" if flags.count("U") % 2 else b""
    suffix = b""
    if flags.count("A") % 2:
        prefix += rb"\A(?:"
        suffix = b"\n)" if is_extended else b")"  # a comment at the end must not hide the bracket
    if not prefix:
        return pattern
    verbs = _VERBS.match(pattern)
    start = verbs.end() if verbs else 0
    return pattern[:start] + prefix + pattern[start:] + suffix


def open_table(origin: Origin) -> Pcre:
    """Open pcre:/path or pcre:{{rule}...}. Raises ConfigError."""
    return Pcre(origin, inline_text(origin))
