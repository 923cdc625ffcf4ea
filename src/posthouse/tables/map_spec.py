"""Tables that are named with the order of what is looked up in them: {type:name {search_order = a, b}}.

Source: postconf(5), check_ccert_access.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from posthouse.config.lists import is_balanced, split_name_value, split_tokens, strip_braces, unwrap

SEARCH_ORDER: Final = "search_order"


class MapSpec(NamedTuple):
    """A table's name, and what is looked up in it, in order; None: what is usual, () nothing."""

    table: str
    search_order: tuple[str, ...] | None


def parse_map_spec(text: str, names: Collection[str]) -> MapSpec:
    """Read "type:name" or "{type:name {search_order = a, b}}". Raises ValueError.

    names: what may stand in a search order.
    """
    if not text.startswith("{"):
        return MapSpec(_checked(text, text), None)
    inside, fault = unwrap(text)
    if fault:
        raise ValueError(f"malformed map specification: {fault}")
    items = list(split_tokens(inside))
    if not items:
        raise ValueError(f"empty map specification: '{text}'")
    table = _checked(items[0], text)
    order: tuple[str, ...] | None = None
    for item in items[1:]:
        name, value = _attribute(item, text)
        if name != SEARCH_ORDER:
            raise ValueError(f"unknown map attribute in '{text}': '{name}'")
        order = _search_order(value, text, names)
    return MapSpec(table, order)


def _checked(table: str, text: str) -> str:
    kind, colon, name = table.partition(":")
    if not (kind and colon and name):
        raise ValueError(f"malformed map specification: '{text}': expected maptype:mapname instead of '{table}'")
    if not is_balanced(table):
        raise ValueError(f"malformed map specification: missing '}}' in \"{table}\"")
    return table


def _attribute(item: str, text: str) -> tuple[str, str]:
    inside, fault = unwrap(item)
    if not fault:
        try:
            return split_name_value(inside)
        except ValueError as error:
            fault = str(error)
    raise ValueError(f"malformed map attribute in '{text}': '{fault}'")


def _search_order(value: str, text: str, names: Collection[str]) -> tuple[str, ...]:
    order = tuple(strip_braces(word) for word in split_tokens(value))
    for word in order:
        if word not in names:
            raise ValueError(f"unknown search order name '{word}' in '{text}'")
    return order
