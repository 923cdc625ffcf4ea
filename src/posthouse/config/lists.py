"""Lists in main.cf values: items between commas and white space, where { ... } keeps an item together.

Sources: postconf(5), postfix manual pages on "{ name = value }" items.
"""

import re
from collections.abc import Iterator
from typing import Final

SEPARATORS: Final = frozenset(", \t\r\n")  # between items of a list
WHITE: Final = " \t\r\n\v\f"  # the white space of ASCII: a no-break space is part of a word
BLANKS: Final = frozenset(WHITE)
_BRACE: Final = re.compile(r"[{}]")
_WORD: Final = re.compile(r"[^ \t\r\n\v\f]+")
_QUOTED_WORD: Final = re.compile(r'(?:"(?:[^"\\]|\\.|\\\Z)*+(?:"|\Z)|\\.|[^ \t\r\n\v\f"\\]|\\\Z)++', re.DOTALL)


class ListSyntaxError(ValueError):
    """A brace is not closed, or text stands behind the closing one. `item` is where that is."""

    def __init__(self, item: str, fault: str = "") -> None:
        super().__init__(fault or f"missing '}}' in \"{item}\"")
        self.item = item


def split_tokens(text: str, separators: frozenset[str] = SEPARATORS) -> Iterator[str]:
    """Give the items with their braces: `foo{ bar }` and `{ a = b }` are one item each.

    An unclosed brace reaches to the end of the text; the caller sees that in `is_balanced`.
    """
    start, level = -1, 0
    for index, character in enumerate(text):
        if level == 0 and character in separators:
            if start >= 0:
                yield text[start:index]
            start = -1
            continue
        if start < 0:
            start = index
        if character == "{":
            level += 1
        elif character == "}" and level:
            level -= 1
    if start >= 0:
        yield text[start:]


def is_balanced(text: str) -> bool:
    """Tell whether every { of an item is closed."""
    level = 0
    for match in _BRACE.finditer(text):
        if match.group() == "{":
            level += 1
        elif level:
            level -= 1
    return level == 0


def closing_brace(text: str, at: int = 0) -> int:
    """Find the brace that closes the one at `at`; -1 when there is none."""
    level = 0
    for match in _BRACE.finditer(text, at):
        level += 1 if match.group() == "{" else -1
        if level == 0:
            return match.start()
    return -1


def unwrap(item: str) -> tuple[str, str]:
    """Give what is between the braces of "{ ... }", without the blanks at its ends; other items stay as they are.

    The second result says what is wrong with the braces; "": nothing. An unclosed brace reaches to the end of the item,
    and what stands behind the closing one is left out.
    """
    if not item.startswith("{"):
        return item, ""
    end = closing_brace(item)
    if end < 0:
        return item[1:].strip(WHITE), f"missing '}}' in \"{item}\""
    if end < len(item) - 1:
        return item[1:end].strip(WHITE), f"syntax error after '}}' in \"{item}\""
    return item[1:end].strip(WHITE), ""


def parse_items(text: str) -> tuple[str, ...]:
    """Split a list, braces kept. Raises ListSyntaxError: an opening brace is not closed."""
    items = tuple(split_tokens(text))
    if items and not is_balanced(items[-1]):
        raise ListSyntaxError(items[-1])
    return items


def strip_braces(item: str) -> str:
    """Take the outer braces of `{ a = b }` away; other items stay as they are."""
    if item.startswith("{") and closing_brace(item) == len(item) - 1:
        return item[1:-1].strip(WHITE)
    return item


def parse_words(text: str) -> tuple[str, ...]:
    """Split a list and take the outer braces away. Raises ListSyntaxError."""
    words = []
    for item in parse_items(text):
        word, fault = unwrap(item)
        if fault:
            raise ListSyntaxError(item, fault)
        words.append(word)
    return tuple(words)


def format_items(items: tuple[str, ...]) -> str:
    """Write a list so that parse_items gives the same items back."""
    return ", ".join(items)


def split_payloads(text: str, faults: list[str]) -> tuple[str, ...]:
    """Split a list, take the braces of "{ ... }" away, and go on after wrong ones; `faults` collects what is wrong."""
    found = [unwrap(item) for item in split_tokens(text)]
    faults += [fault for _, fault in found if fault]
    return tuple(item for item, _ in found)


def split_words(text: str, *, braces: bool = False, quotes: bool = False) -> tuple[str, ...]:
    """Split at white space. Braces, quotes and backslashes stay.

    braces: "{ a b }" is one word. quotes: what stands between double quotes stays together, and a backslash protects
    the character behind it; an open quote reaches to the end.
    """
    if braces:
        return tuple(split_tokens(text, BLANKS))
    pattern = _QUOTED_WORD if quotes else _WORD
    return tuple(match.group() for match in pattern.finditer(text))


def cut_comment(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part words from the comment behind them, which begins at the first word that begins with "#"."""
    at = next((index for index, word in enumerate(words) if word.startswith("#")), len(words))
    return words[:at], words[at:]


def comment_fault(comment: tuple[str, ...]) -> str:
    """Say that a comment stands where none can."""
    return f"#comment after other text is not allowed: {comment[0]} ..."


def split_name_value(text: str) -> tuple[str, str]:
    """Split "name = value"; a name in double quotes keeps its quotes. Raises ValueError."""
    text = text.strip(WHITE)
    if text.startswith('"'):
        end = text.find('"', 1)
        if end < 0:
            raise ValueError("unbalanced '\"'")
        name, rest = text[: end + 1], text[end + 1 :].lstrip(WHITE)
        if not rest.startswith("="):
            raise ValueError("missing '=' after attribute name")
        return name, rest[1:].strip(WHITE)
    name, equals, value = text.partition("=")
    name = name.strip(WHITE)
    if not name:
        raise ValueError("missing attribute name")
    if not equals or any(blank in name for blank in BLANKS):
        raise ValueError("missing '=' after attribute name")
    return name, value.strip(WHITE)
