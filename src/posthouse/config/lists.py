"""Lists in main.cf values: items between commas and white space, where { ... } keeps an item together.

Sources: postconf(5), postfix manual pages on "{ name = value }" items.
"""

from collections.abc import Iterator
from typing import Final

SEPARATORS: Final = frozenset(", \t\r\n")  # between items of a list
BLANKS: Final = frozenset(" \t\r\n\v\f")


class ListSyntaxError(ValueError):
    """A brace is not closed. `item` is what stands from it on."""

    def __init__(self, item: str) -> None:
        super().__init__(f"missing '}}' in \"{item}\"")
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
    return text.count("{") <= text.count("}")


def parse_items(text: str) -> tuple[str, ...]:
    """Split a list, braces kept. Raises ListSyntaxError: an opening brace is not closed."""
    items = tuple(split_tokens(text))
    if items and not is_balanced(items[-1]):
        raise ListSyntaxError(items[-1])
    return items


def strip_braces(item: str) -> str:
    """Take the outer braces of `{ a = b }` away; other items stay as they are."""
    if item.startswith("{") and item.endswith("}"):
        return item[1:-1].strip()
    return item


def parse_words(text: str) -> tuple[str, ...]:
    """Split a list and take the outer braces away. Raises ListSyntaxError."""
    return tuple(strip_braces(item) for item in parse_items(text))


def format_items(items: tuple[str, ...]) -> str:
    """Write a list so that parse_items gives the same items back."""
    return ", ".join(items)


def split_name_value(text: str) -> tuple[str, str]:
    """Split "name = value"; a name in double quotes keeps its quotes. Raises ValueError."""
    text = text.strip()
    if text.startswith('"'):
        end = text.find('"', 1)
        if end < 0:
            raise ValueError("unbalanced '\"'")
        name, rest = text[: end + 1], text[end + 1 :].lstrip()
        if not rest.startswith("="):
            raise ValueError("missing '=' after attribute name")
        return name, rest[1:].strip()
    name, equals, value = text.partition("=")
    name = name.strip()
    if not name:
        raise ValueError("missing attribute name")
    if not equals or any(blank in name for blank in BLANKS):
        raise ValueError("missing '=' after attribute name")
    return name, value.strip()
