r"""Which Perl patterns RE2 may run in PCRE2's place: those that both read the same, and whose groups match the same.

Taken are regular expressions without anything that looks ahead or back, refers, or forbids going back; of ASCII
characters, and repeated at most as both allow. Not taken: a group that may match nothing and is repeated, since then
the two disagree on what it has matched. Differences that remain are written away (\s knows the vertical tab in PCRE2
only) or are the caller's: a "$" before a line end that is the text's last character.
Sources: pcre2pattern(3); RE2's syntax page.
"""

import re
from typing import Final

_TOKEN: Final = re.compile(
    rb"(?P<escape>\\[dDwWsS]|\\[^0-9A-Za-z_\x80-\xff])"
    rb"|(?P<class>\[\^?\]?(?:[^\\\[\]\x80-\xff]|\[:[a-z]+:\]|\\[dws]|\\[^0-9A-Za-z\x80-\xff])*\])"
    rb"|(?P<open>\((?![?*])|\(\?:)|(?P<close>\))|(?P<bar>\|)"
    rb"|(?P<assertion>[\^$]|\\[bB])"
    rb"|(?P<repeat>(?:[*+?]|\{(?P<least>[0-9]{1,3})(?:,[0-9]{0,3})?\})\??+(?![*+?{]))"
    rb"|(?P<character>[^\\\[\](){}*+?|^$\x80-\xff])",
    re.DOTALL,
)
_IN_CLASS: Final = re.compile(rb"\\(.)", re.DOTALL)
_SPACES: Final = {rb"\s": rb"[\s\x0b]", rb"\S": rb"[^\s\x0b]"}
_OPTIONAL: Final = (b"*", b"?")


class _NotRegularError(Exception):
    """The pattern is left to PCRE2."""


class _Reader:
    """Copies a pattern, and knows of each group whether it may match nothing."""

    def __init__(self) -> None:
        self.out = bytearray()
        self._atoms: list[bool] = []  # of the alternative that is read: which may match nothing
        self._any = False  # whether an alternative before it may
        self._outer: list[tuple[list[bool], bool]] = []

    def take(self, found: re.Match[bytes]) -> None:
        """Take a token. Raises _NotRegularError."""
        text, kind = found[0], found.lastgroup
        if kind == "repeat" or found["repeat"] is not None:
            self._repeat(text, found["least"])
        elif kind == "open":
            self._outer.append((self._atoms, self._any))
            self._atoms, self._any = [], False
        elif kind == "close":
            self._close()
        elif kind == "bar":
            self._any |= all(self._atoms)
            self._atoms = []
        else:
            self._atoms.append(kind == "assertion")
        self.out += _SPACES.get(text, text) if kind == "escape" else _class(text) if kind == "class" else text

    def _close(self) -> None:
        if not self._outer:
            raise _NotRegularError
        empty = self._any or all(self._atoms)
        self._atoms, self._any = self._outer.pop()
        self._atoms.append(empty)

    def _repeat(self, text: bytes, least: bytes | None) -> None:
        if not self._atoms or self._atoms[-1]:
            raise _NotRegularError
        self._atoms[-1] = text.startswith(_OPTIONAL) or (least is not None and int(least) == 0)


def as_regular(pattern: bytes) -> bytes | None:
    """Write a pattern, which PCRE2 has taken without its flag x, for RE2; None: RE2 cannot run it in its place."""
    reader, position = _Reader(), 0
    try:
        while position < len(pattern):
            found = _TOKEN.match(pattern, position)
            if found is None:
                return None
            reader.take(found)
            position = found.end()
    except _NotRegularError:
        return None
    return bytes(reader.out)


def _class(text: bytes) -> bytes:
    return _IN_CLASS.sub(lambda found: rb"\x0b\s" if found[1] == b"s" else found[0], text)
