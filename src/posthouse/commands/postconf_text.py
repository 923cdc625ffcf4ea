"""How postconf(1) writes: "name = value" lines, folding at 80 columns, JSON lines; and its messages."""

import re
import sys
from collections.abc import Iterable
from typing import Final

LINE_LIMIT: Final = 80  # columns, with -f
INDENT: Final = "    "
_WORD: Final = re.compile(r"[^ \t\r\n]+")


class UsageError(Exception):
    """Something on the command line, or in a file, stops the command: one fatal line, exit status 1."""


def warn(text: str) -> None:
    """Write one warning."""
    sys.stdout.flush()
    sys.stderr.write(f"postconf: warning: {printable(text)}\n")


def printable(text: str) -> str:
    """Replace what could drive a terminal, as every message does."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


class Printer:
    """Writes results in the form that the options ask for."""

    def __init__(self, flags: frozenset[str]) -> None:
        self._fold = "f" in flags
        self._json = "j" in flags
        self._with_name = "h" not in flags
        self._with_value = "H" not in flags

    def show(self, name: str, value: str) -> None:
        """Write one setting; white space between its words is one blank."""
        self.show_words(name, _WORD.findall(value))

    def show_words(self, name: str, words: Iterable[str]) -> None:
        """Write one setting that is made of words."""
        if self._json:
            self.write(json_pair(name, " ".join(words)))
        elif not self._with_value:
            self.write(name)
        elif not self._with_name:
            self.write(self._line(words))
        else:
            self.write(self._line([name, "=", *words]))

    def _line(self, words: Iterable[str]) -> str:
        return fold(words) if self._fold else " ".join(words)

    def write(self, line: str) -> None:
        """Write one line."""
        sys.stdout.write(line + "\n")


def fold(words: Iterable[str]) -> str:
    """Join words with blanks, with a new indented line where the next one would pass the limit."""
    lines: list[str] = []
    line = ""
    for word in words:
        if not line:
            line = word
        elif len(line) + 1 + len(word) <= LINE_LIMIT:
            line += " " + word
        else:
            lines.append(line)
            line = INDENT + word
    return "\n".join([*lines, line])


def json_pair(name: str, value: str) -> str:
    """Write {"name": "value"}."""
    import json

    return f"{{{json.dumps(name, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}}}"
