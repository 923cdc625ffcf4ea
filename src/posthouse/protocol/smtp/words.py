"""The words of an SMTP command line, as the SMTP server of Postfix cuts them: looser than the grammar of RFC 5321.

A word ends at white space. What stands between "<" and ">" stays together, and so does a quoted string, in and out of
brackets; a backslash protects the character behind it. "FROM:" and "TO:" are words of their own. Nothing is unquoted.
"""

from typing import Final, NamedTuple

_BLANKS: Final = " \t\r\n\v\f"
_PREFIXES: Final = frozenset({"to:", "from:"})
_LONGEST: Final = len("from:")


class CommandWord(NamedTuple):
    """A word as it was written; `ok` is false where a quote or bracket is not closed."""

    text: str
    ok: bool


def split_command(line: str) -> list[CommandWord]:
    """Cut a command line into words. Never fails."""
    words: list[CommandWord] = []
    at, end = 0, len(line)
    while at < end:
        if line[at] in _BLANKS:
            at += 1
            continue
        start = at
        at, ok = _word_end(line, at)
        words.append(CommandWord(line[start:at], ok))
    return words


def _word_end(line: str, start: int) -> tuple[int, bool]:
    """Find the end of a word, and tell whether all of its quotes and brackets are closed."""
    at, ok = start, True
    while at < len(line) and line[at] not in _BLANKS:
        if line[at] == "<":
            at, closed = _bracket_end(line, at)
            ok = ok and closed
        elif line[at] == '"':
            at, closed = _quote_end(line, at)
            ok = ok and closed
        elif line[at] == "\\":
            at = min(at + 2, len(line))
        else:
            at += 1
            if line[at - 1] == ":" and at - start <= _LONGEST and line[start:at].lower() in _PREFIXES:
                break
    return at, ok


def _quote_end(line: str, start: int) -> tuple[int, bool]:
    at = start + 1
    while at < len(line):
        if line[at] == '"':
            return at + 1, True
        at += 2 if line[at] == "\\" else 1
    return len(line), False


def _bracket_end(line: str, start: int) -> tuple[int, bool]:
    at, depth, ok = start, 0, True
    while at < len(line):
        if line[at] == '"':
            at, closed = _quote_end(line, at)
            ok = ok and closed
            continue
        if line[at] == "\\":
            at += 2
            continue
        depth += {"<": 1, ">": -1}.get(line[at], 0)
        at += 1
        if depth == 0:
            return at, ok
    return len(line), False
