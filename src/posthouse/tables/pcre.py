"""pcre: tables: Perl-compatible regular expressions, by PCRE2 where a pattern needs it, else by RE2.

Flags: i (case matters), m (^ and $ at line ends), s (dot takes no newline), x (blanks and comments), A (anchored),
E ($ at the very end only), U (short matches first), X (accepted: PCRE2 is strict anyway).
No just-in-time compiler: it needs memory that is writable and executable, which confined daemons may not have.

No text may stall a daemon. Patterns that are regular (regular.py) run in RE2, whose time is linear. What needs PCRE2
has STEPS for a whole lookup: PCRE2's own limit starts again at each place where a match may begin, so the pattern is
put behind one that goes over the text within the same match. Beyond the limit the lookup has failed: a temporary
error, not a mismatch. Nothing counts the octets that an atomic group or a possessive operator goes over in one step.
"""

import re
from collections.abc import Callable
from typing import Final

import pcre2  # type: ignore[import-untyped]

from posthouse.tables.file_table import Origin
from posthouse.tables.linear import LinearEngine, linear_engine
from posthouse.tables.pattern_filter import words_of
from posthouse.tables.patterns import Engine, PatternTable, inline_text
from posthouse.tables.regular import as_regular
from posthouse.util import log
from posthouse.util.errors import TableError

STEPS: Final = 500_000  # of a lookup: 10 to 20 ms
SHORT: Final = 256  # octets of a text for which a limit at each place is enough; that is four times as fast
SHORT_STEPS: Final = 2_000  # at each place
HEAP: Final = 8192  # KiB in which PCRE2 remembers where to go back to

CASELESS: Final = int(pcre2.I)
DOT_ALL: Final = int(pcre2.S)
EXTENDED: Final = int(pcre2.X)
MULTI_LINE: Final = int(pcre2.M)
UTF: Final = int(pcre2.U)
# The binding passes these four only; A, E and U are written into the pattern.
_TOGGLES: Final = {"i": CASELESS, "m": MULTI_LINE, "s": DOT_ALL, "x": EXTENDED}
_VERBS: Final = re.compile(rb"(?:\(\*[A-Z_]+(?:=[0-9]+)?\))*", re.ASCII)  # (*LIMIT_MATCH=1000) must stay in front
_DOLLAR: Final = re.compile(rb"\\.|\[\^?\]?(?:\\.|\[:[a-z^]+:\]|[^\]\\])*\]|\$", re.DOTALL)
# What means the whole pattern: recursion into it, and verbs
_WHOLE: Final = re.compile(rb"\(\?(?:R|[+-]?0)|\\g[<'{]?[+-]?0|\(\*")


class PcreEngine:
    """A pattern compiled by PCRE2. where: "pcre map NAME, line N", for the log."""

    def __init__(
        self, pattern: bytes, options: int = 0, *, where: str, added: int = 0, words: bytes | None = None
    ) -> None:
        """Compile. added: octets in front of what the administrator wrote. Raises ValueError."""
        self.words = words
        self._where = where
        self._options = options | pcre2.ASCII
        self._pattern = pattern
        own = _VERBS.match(pattern)
        self._verbs = own[0] if own else b""
        limits = self._limits(SHORT_STEPS)
        try:
            plain = pcre2.compile(limits + pattern, self._options, jit=False)
        except pcre2.PatternError as error:
            why = str(error).partition("; ")[2] or str(error)
            place = max(error.pos - added - len(limits), 0)
            raise ValueError(f"error in regex at offset {place}: {why}") from None
        self._search_short: Callable[[bytes], pcre2.Match | None] = plain.search
        self._search = plain.search if _WHOLE.search(pattern, len(self._verbs)) else None  # None: not made yet
        self.groups: int = plain.groups

    def test(self, text: bytes) -> bool:
        """Whether it matches. Raises TableError: a limit is exceeded."""
        return self.search(text) is not None

    def search(self, text: bytes) -> tuple[bytes | None, ...] | None:
        """Give what the groups matched. Raises TableError."""
        try:
            found = self._search_short(text) if len(text) <= SHORT else self._search_whole(text)
        except pcre2.LibraryError:
            found = self._search_whole(text)
        return None if found is None else (found.group(), *found.groups())

    def _search_whole(self, text: bytes) -> "pcre2.Match | None":
        if self._search is None:
            self._search = self._compile_whole()
        try:
            return self._search(text)
        except pcre2.LibraryError as error:
            message = f"{self._where}: {error}"
            log.warning(message)
            raise TableError(message) from None

    def _compile_whole(self) -> "Callable[[bytes], pcre2.Match | None]":
        """Compile it so that all of a search is one match, whose steps are counted: nothing is gone over uncounted."""
        end = b"\n\\E)" if self._options & EXTENDED else b"\\E)"  # neither a comment nor a \Q hides the bracket
        pattern = rb"(*NO_AUTO_POSSESS)\A(?s:.)*?\K(?:" + self._pattern[len(self._verbs) :] + end
        try:
            compiled = pcre2.compile(self._verbs + self._limits(STEPS) + pattern, self._options, jit=False)
        except pcre2.PatternError:  # it bears nothing around it
            return self._search_short
        search: Callable[[bytes], pcre2.Match | None] = compiled.search
        return search

    def _limits(self, steps: int) -> bytes:
        """Write the limits that the pattern does not set itself; they may stand before and behind its own verbs."""
        heap = b"" if b"LIMIT_HEAP" in self._verbs else b"(*LIMIT_HEAP=%d)" % HEAP
        return heap if b"LIMIT_MATCH" in self._verbs else heap + b"(*LIMIT_MATCH=%d)" % steps


class EitherEngine:
    """A regular pattern: run by RE2, and by PCRE2 for texts that RE2 might read in another way.

    RE2 compiles it when it is tried first: of many patterns, most never are (pattern_filter.py).
    """

    def __init__(self, regular: bytes, perl: PcreEngine, *, utf8: bool) -> None:
        self.words = perl.words
        self.groups = perl.groups
        self._regular = regular
        self._linear: LinearEngine | PcreEngine | None = None
        self._perl = perl
        self._utf8 = utf8

    def test(self, text: bytes) -> bool:
        """Whether it matches. Raises TableError: a limit is exceeded."""
        return self._engine(text).test(text)

    def search(self, text: bytes) -> tuple[bytes | None, ...] | None:
        """Give what the groups matched. Raises TableError."""
        return self._engine(text).search(text)

    def _engine(self, text: bytes) -> Engine:
        """Choose: at the text's end, "$" and "^" have their own ideas of a line end; characters may be many octets."""
        if text[-1:] == b"\n" or (self._utf8 and not text.isascii()):
            return self._perl
        if self._linear is None:
            self._linear = linear_engine(self._regular) or self._perl
        return self._linear


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
        added = edited.find(octets) if octets in edited else 0
        perl = PcreEngine(edited, options, where=self.where, added=added, words=words)
        regular = None if options & EXTENDED else _regular(octets, options, flags)
        return perl if regular is None else EitherEngine(regular, perl, utf8=self.flags.utf8)


def _regular(pattern: bytes, options: int, flags: str) -> bytes | None:
    """Write a pattern with its flags for RE2, if it is regular."""
    text = as_regular(pattern)
    if text is None:
        return None
    letters = zip((CASELESS, DOT_ALL, MULTI_LINE), (b"i", b"s", b"m"), strict=True)
    mode = b"".join([letter for option, letter in letters if options & option])
    text = _with_flags(text, flags, is_extended=False)
    return b"(?%b)%b" % (mode, text) if mode else text


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
