"""One address as tokens, the way RFC 822 reads it: what rewriting and resolving work on when "%", "!" or quotes occur.

Not a header parser: one address, without phrase or group. Backslashes are gone from tokens; a word that cannot stand
without quotes is a quoted one, however it was written. Sources: RFC 822 3.3; facts B08.02.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

OPERATORS: Final = frozenset("<>@,;:.!%|])")
_ATOM: Final = re.compile(r'(?:\\.|[^ \t\r\n"()<>@,;:.!%|\[\]\\]|\\\Z)+', re.DOTALL)
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.|\\\Z)*)"?', re.DOTALL)
_LITERAL: Final = re.compile(r"\[((?:[^\]\\]|\\.|\\\Z)*)\]?", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)|\\\Z", re.DOTALL)
_TO_QUOTE: Final = re.compile(r'[\x00-\x20\x7f"()<>@,;:.!%|\[\]\\]')
_WHITE: Final = re.compile(r"[\t\r\n]")
_BLANKS: Final = " \t\r\n"

ATOM, QUOTED, LITERAL, COMMENT, OPERATOR = "atom", "quoted", "literal", "comment", "op"


class Token(NamedTuple):
    """A token: quoted text without its quotes, a literal or comment with its brackets, an operator as itself."""

    kind: str
    text: str


_OPERATOR_TOKENS: Final = {operator: Token(OPERATOR, operator) for operator in OPERATORS}
EMPTY: Final = Token(QUOTED, "")
AT: Final = _OPERATOR_TOKENS["@"]
DOT: Final = _OPERATOR_TOKENS["."]
COMMA: Final = _OPERATOR_TOKENS[","]
LESS: Final = _OPERATOR_TOKENS["<"]


def scan(address: str, *, comments: bool = False) -> list[Token]:
    """Cut an address (external form) into tokens. Never fails: what is left open ends with the text.

    comments: keep them; one that is left in an address makes a bad address of it.
    """
    tokens: list[Token] = []
    at, end = 0, len(address)
    while at < end:
        character = address[at]
        if character in _BLANKS:
            at += 1
        elif character in OPERATORS:
            tokens.append(_OPERATOR_TOKENS[character])
            at += 1
        elif character == "(":
            start, at = at, _comment_end(address, at)
            if comments:
                tokens.append(Token(COMMENT, _WHITE.sub(" ", address[start:at])))
        else:
            token, at = _scan_word(address, at)
            tokens.append(token)
    return tokens


def _scan_word(address: str, at: int) -> tuple[Token, int]:
    """Take an atom, a quoted text or a literal; give it and the place behind it."""
    character = address[at]
    pattern = _QUOTED if character == '"' else _LITERAL if character == "[" else _ATOM
    found = pattern.match(address, at)
    assert found is not None, "every character begins some token"
    text = _WHITE.sub(" ", found[0] if pattern is _ATOM else found[1])
    if "\\" in text:
        text = _ESCAPED.sub(r"\1", text)
    if pattern is _LITERAL:
        return Token(LITERAL, f"[{text}]"), found.end()
    plain = pattern is _ATOM and _TO_QUOTE.search(text) is None
    return Token(ATOM if plain else QUOTED, text), found.end()


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
    """Write tokens without quoting; blanks only between words, before "<" and behind a comma."""
    return _join((token, token.text) for token in tokens)


def external(tokens: Iterable[Token]) -> str:
    """Write tokens with the quotes that quoted text had or needs."""
    return _join((token, _escaped(token)) for token in tokens)


def _escaped(token: Token) -> str:
    if token.kind == QUOTED:
        return '"' + token.text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if token.kind == LITERAL:
        return "[" + token.text[1:-1].replace("\\", "\\\\").replace("]", "\\]") + "]"
    return token.text


def _join(parts: Iterable[tuple[Token, str]]) -> str:
    out: list[str] = []
    before = OPERATOR
    for token, text in parts:
        if out and (before == "," or token == LESS or OPERATOR not in (before, token.kind)):
            out.append(" ")
        out.append(text)
        before = text if token == COMMA else token.kind
    return "".join(out)


def find_first(tokens: list[Token], operator: str) -> int:
    """Find the first place of an operator; -1 when there is none."""
    wanted = _OPERATOR_TOKENS[operator]
    return tokens.index(wanted) if wanted in tokens else -1


def find_last(tokens: list[Token], operator: str) -> int:
    """Find the last place of an operator; -1 when there is none."""
    wanted = _OPERATOR_TOKENS[operator]
    return len(tokens) - 1 - tokens[::-1].index(wanted) if wanted in tokens else -1
