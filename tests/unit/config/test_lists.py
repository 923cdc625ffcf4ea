"""Lists in values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.config.lists import (
    ListSyntaxError,
    format_items,
    parse_items,
    parse_words,
    split_name_value,
    split_tokens,
)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", ()),
        (" , ", ()),
        ("a, b\tc\nd", ("a", "b", "c", "d")),
        ("a { b = c, d } e", ("a", "{ b = c, d }", "e")),
        ("foo{ bar } baz", ("foo{ bar }", "baz")),
        ("inline:{{a = b}, {c = d}}", ("inline:{{a = b}, {c = d}}",)),
        ("a } b", ("a", "}", "b")),
    ],
)
def test_items_are_split_outside_of_braces(text: str, items: tuple[str, ...]) -> None:
    """Comma and white space separate, braces hold together."""
    assert parse_items(text) == items


def test_outer_braces_of_words_go_away() -> None:
    """`{ a = b }` is the item "a = b"; braces inside an item stay."""
    assert parse_words("TZ { LESS=-m -C } x{y}") == ("TZ", "LESS=-m -C", "x{y}")


def test_an_open_brace_is_told() -> None:
    """The rest of the text is in the message."""
    with pytest.raises(ListSyntaxError, match="missing '}'") as caught:
        parse_items("a { b c")
    assert caught.value.item == "{ b c"


@given(st.lists(st.text(alphabet="ab:/$.-", min_size=1), max_size=6))
def test_lists_read_back(items: list[str]) -> None:
    """Format and parse are inverse."""
    assert parse_items(format_items(tuple(items))) == tuple(items)


@given(st.text(alphabet="{}, ab"))
def test_tokens_lose_only_separators(text: str) -> None:
    """Every other character comes out, in order."""
    kept = "".join("".join(split_tokens(text)).replace(",", "").split())
    assert kept == "".join(text.replace(",", "").split())


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("a=b", ("a", "b")),
        (" a = b c ", ("a", "b c")),
        ("a =", ("a", "")),
        ("a = b = c", ("a", "b = c")),
        ('"x y "= z', ('"x y "', "z")),
    ],
)
def test_name_and_value(text: str, pair: tuple[str, str]) -> None:
    """White space round the equals sign does not count."""
    assert split_name_value(text) == pair


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a", "missing '=' after attribute name"),
        ("a b = c", "missing '=' after attribute name"),
        ("= c", "missing attribute name"),
        ("", "missing attribute name"),
        ('"a', "unbalanced '\"'"),
        ('"a" b = c', "missing '=' after attribute name"),
    ],
)
def test_other_lines_are_no_assignment(text: str, why: str) -> None:
    """The reason is Postfix's."""
    with pytest.raises(ValueError, match=r"attribute name|unbalanced") as caught:
        split_name_value(text)
    assert str(caught.value) == why
