"""The right-hand side of canonical and virtual tables: addresses with commas or blanks between them.

Comments and phrases are dropped, "Name <address>" is taken for the address. Sources: virtual(5), RFC 5322 3.4.
"""

import re
from typing import Final

from posthouse.rewriting.tokens import COMMA, OPERATOR, Token, external, scan

_PLAIN: Final = re.compile(r'[^()<>\[\]"\\:;]*')
_SEPARATORS: Final = re.compile(r"[,\s]+", re.ASCII)
_OPEN: Final = Token(OPERATOR, "<")
_CLOSE: Final = Token(OPERATOR, ">")


def split_addresses(text: str) -> list[str]:
    """Split a list into addresses in external form. Nothing is checked; an empty list gives nothing."""
    if _PLAIN.fullmatch(text) is not None:
        return [address for address in _SEPARATORS.split(text) if address]
    addresses: list[str] = []
    for element in _elements(scan(text)):
        tokens = element
        if _OPEN in element:
            start = element.index(_OPEN) + 1
            end = element.index(_CLOSE, start) if _CLOSE in element[start:] else len(element)
            tokens = element[start:end]
        if tokens:
            addresses.append(external(tokens))
    return addresses


def _elements(tokens: list[Token]) -> list[list[Token]]:
    """Cut at commas, and between two words that no operator joins (outside of a phrase before "<")."""
    elements: list[list[Token]] = [[]]
    in_brackets = False
    for token, is_name in zip(tokens, _names(tokens), strict=True):
        if token == COMMA and not in_brackets:
            elements.append([])
            continue
        in_brackets = token == _OPEN or (in_brackets and token != _CLOSE)
        current = elements[-1]
        if current and token.kind != OPERATOR and current[-1].kind != OPERATOR and not is_name:
            elements.append([])
        elements[-1].append(token)
    return [element for element in elements if element]


def _names(tokens: list[Token]) -> list[bool]:
    """Tell of each word whether it belongs to a row of words that ends in "<", so that it is part of a name."""
    found, before_bracket = [], False
    for token in reversed(tokens):
        if token.kind == OPERATOR:
            before_bracket = token == _OPEN
        found.append(before_bracket)
    return found[::-1]
