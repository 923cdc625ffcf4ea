"""One address as tokens, the way RFC 822 reads it: what rewriting and resolving work on when "%", "!" or quotes occur.

Not a header parser: one address, without phrase or group. Comments are dropped. Sources: RFC 822 3.3; facts B08.02.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

OPERATORS: Final = frozenset("()<>@,;:.!%")
_ATOM: Final = re.compile(r'(?:\\.|[^\s"()<>@,;:.!%\[\\]|\\$)+', re.ASCII | re.DOTALL)
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"?', re.DOTALL)
_LITERAL: Final = re.compile(r"\[(?:[^\]\\]|\\.)*\]?", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_BLANKS: Final = " \t\r\n\v\f"

ATOM, QUOTED, LITERAL, OPERATOR = "atom", "quoted", "literal", "op"


class Token(NamedTuple):
    """A token: quoted text without its quotes, a literal with its brackets, an operator as itself."""

    kind: str
    text: str


EMPTY: Final = Token(QUOTED, "")
AT: Final = Token(OPERATOR, "@")
DOT: Final = Token(OPERATOR, ".")
PERCENT: Final = Token(OPERATOR, "%")


def scan(address: str) -> list[Token]:
    """Cut an address (external form) into tokens. Never fails: what is left open ends with the text."""
    tokens: list[Token] = []
    at, end = 0, len(address)
    while at < end:
        character = address[at]
        if character in _BLANKS:
            at += 1
        elif character == "(":
            at = _comment_end(address, at)
        elif character in OPERATORS:
            tokens.append(Token(OPERATOR, character))
            at += 1
        else:
            kind, pattern = _KINDS.get(character, (ATOM, _ATOM))
            found = pattern.match(address, at)
            assert found is not None, "every character begins some token"
            text = found[1] if kind == QUOTED else found[0]
            tokens.append(Token(kind, _ESCAPED.sub(r"\1", text) if kind == QUOTED else text))
            at = found.end()
    return tokens


_KINDS: Final = {'"': (QUOTED, _QUOTED), "[": (LITERAL, _LITERAL)}


def _comment_end(text: str, at: int) -> int:
    depth = 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "(":
            depth += 1
        elif text[at] == ")":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return at


def internal(tokens: Iterable[Token]) -> str:
    """Write tokens without quoting; a blank only where two words would run together."""
    return _join((token, token.text) for token in tokens)


def external(tokens: Iterable[Token]) -> str:
    """Write tokens with the quotes that quoted text had."""
    return _join((token, _quoted(token.text) if token.kind == QUOTED else token.text) for token in tokens)


def _join(parts: Iterable[tuple[Token, str]]) -> str:
    out: list[str] = []
    after_word = False
    for token, text in parts:
        is_word = token.kind != OPERATOR
        if is_word and after_word:
            out.append(" ")
        out.append(text)
        after_word = is_word
    return "".join(out)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def find_first(tokens: list[Token], operator: str) -> int:
    """Find the first place of an operator; -1 when there is none."""
    wanted = Token(OPERATOR, operator)
    return tokens.index(wanted) if wanted in tokens else -1


def find_last(tokens: list[Token], operator: str) -> int:
    """Find the last place of an operator; -1 when there is none."""
    wanted = Token(OPERATOR, operator)
    for place in range(len(tokens) - 1, -1, -1):
        if tokens[place] == wanted:
            return place
    return -1
