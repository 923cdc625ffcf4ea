"""Lists in values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.config.lists import (
    ListSyntaxError,
    closing_brace,
    cut_comment,
    format_items,
    is_balanced,
    parse_items,
    parse_words,
    split_name_value,
    split_payloads,
    split_tokens,
    split_words,
    unwrap,
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


def test_text_behind_a_closing_brace_is_told() -> None:
    """Where braces are taken away; elsewhere they are part of the item."""
    assert parse_items("a {b}c") == ("a", "{b}c")
    with pytest.raises(ListSyntaxError, match="syntax error after '}'"):
        parse_words("a {b}c")


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


@pytest.mark.parametrize(
    ("item", "text", "fault"),
    [
        ("a", "a", ""),
        ("x{ a }", "x{ a }", ""),
        ("{ a {b} }", "a {b}", ""),
        ("{ a", "a", "missing '}' in \"{ a\""),
        ("{ a }b", "a", "syntax error after '}' in \"{ a }b\""),
        ("{a}{b}", "a", "syntax error after '}' in \"{a}{b}\""),
        ("{}", "", ""),
    ],
)
def test_braces_are_taken_away_or_told(item: str, text: str, fault: str) -> None:
    """Reading goes on with what is between the first pair."""
    assert unwrap(item) == (text, fault)


def test_a_list_is_read_on_behind_wrong_braces() -> None:
    """Every mistake is told."""
    faults: list[str] = []
    assert split_payloads("a, {b}x { c, d", faults) == ("a", "b", "c, d")
    assert faults == ["syntax error after '}' in \"{b}x\"", "missing '}' in \"{ c, d\""]


@pytest.mark.parametrize(
    ("text", "braces", "quotes", "words"),
    [
        (" a\tb\n", False, False, ("a", "b")),
        ("a { b c } d{ e }", True, False, ("a", "{ b c }", "d{ e }")),
        ("a { b", True, False, ("a", "{ b")),
        ('a "b c"d "e', False, True, ("a", '"b c"d', '"e')),
        ('a\\ b \\" c', False, True, ("a\\ b", '\\"', "c")),
        ('"a\\" b" c', False, True, ('"a\\" b"', "c")),
        ("a \\", False, True, ("a", "\\")),
    ],
)
def test_words_are_split_at_white_space(text: str, braces: bool, quotes: bool, words: tuple[str, ...]) -> None:
    """Commas do not separate; braces and quotes hold together when that is asked for."""
    assert split_words(text, braces=braces, quotes=quotes) == words


def test_comments_behind_words_are_cut() -> None:
    """A word that only holds a # is none."""
    assert cut_comment(("a#b", "#c", "d")) == (("a#b",), ("#c", "d"))
    assert cut_comment(("a",)) == (("a",), ())


@given(st.text(alphabet='"\\ ab{}', max_size=30))
def test_quoted_words_lose_only_white_space(text: str) -> None:
    """No other character goes, in either way of splitting."""
    for words in (split_words(text, quotes=True), split_words(text, braces=True), split_words(text)):
        assert "".join("".join(words).split()) == "".join(text.split())


@given(st.text(alphabet="{}a ", max_size=30))
def test_balance_is_that_of_the_levels(text: str) -> None:
    """A closing brace that nothing opened does not make up for one that is missing."""
    item = "{" + text
    assert is_balanced(item) or closing_brace(item) < 0 or item.count("{") > 1
    assert is_balanced("}" + item) == is_balanced(item)


@pytest.mark.parametrize("blank", ["\u00a0", "\u3000", "\u2028", "\x1f", "\x85"])
def test_only_the_white_space_of_ascii_counts(blank: str) -> None:
    """Other blanks are part of a word, as they are in Postfix, which sees their octets."""
    assert split_name_value(f"a = {blank}b{blank}") == ("a", f"{blank}b{blank}")
    assert parse_words(f"{{ a{blank} }}") == (f"a{blank}",)
    assert unwrap(f"{{ {blank} }}") == (blank, "")
