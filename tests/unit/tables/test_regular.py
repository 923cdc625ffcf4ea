"""pcre: tables: RE2 runs regular patterns in PCRE2's place, and gives the same answers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.tables.linear import linear_engine
from posthouse.tables.pcre import CASELESS, DOT_ALL, SHORT, EitherEngine, PcreEngine
from posthouse.tables.regular import as_regular
from posthouse.tables.table import LocalTable
from posthouse.util.errors import TableError
from tests.support.lookups import logged, opener

ATOMS = st.sampled_from(
    [
        "a",
        "b",
        "ab",
        ".",
        "[ab]",
        "[^a]",
        "[[:space:]x]",
        "\\s",
        "\\S",
        "[\\s-]",
        "\\d",
        "\\w",
        "\\.",
        "^",
        "$",
        "\\b",
        "\\B",
        " ",
    ]
)
REPEATS = st.sampled_from(["", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}", "{1,2}?", "{0}"])
PATTERNS = st.recursive(
    st.tuples(ATOMS, REPEATS).map("".join),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.tuples(st.sampled_from(["(", "(?:"]), inner, st.just(")"), REPEATS).map("".join),
        st.tuples(st.just("("), inner, st.just("|"), inner, st.just(")"), REPEATS).map("".join),
    ),
    max_leaves=6,
)
TEXTS = st.text(st.sampled_from("abxAB1. -\n\v\t\x00\x85\xe9"), max_size=12).map(lambda text: text.encode("latin-1"))


def _both(pattern: bytes, options: int) -> tuple[EitherEngine, PcreEngine] | None:
    regular = as_regular(pattern)
    try:
        perl = PcreEngine(pattern, options, where="pcre map x, line 1")
    except ValueError:
        return None
    if regular is None:
        return None
    mode = (b"i" if options & CASELESS else b"") + (b"s" if options & DOT_ALL else b"")
    text = b"(?%b)%b" % (mode, regular) if mode else regular
    return None if linear_engine(text) is None else (EitherEngine(text, perl, utf8=False), perl)


@settings(max_examples=200, deadline=None)
@given(pattern=PATTERNS, options=st.sampled_from([0, CASELESS, CASELESS | DOT_ALL]), texts=st.lists(TEXTS, max_size=6))
def test_both_match_the_same_with_the_same_groups(pattern: str, options: int, texts: list[bytes]) -> None:
    """Random patterns and texts, octets beyond ASCII and line ends among them."""
    engines = _both(pattern.encode(), options)
    if engines is None:
        return
    either, perl = engines
    assert either.groups == perl.groups
    for text in texts:
        try:
            expected = perl.search(text)
        except TableError:
            continue
        assert either.search(text) == expected, text


@settings(max_examples=150, deadline=None)
@given(pattern=PATTERNS, options=st.sampled_from([0, CASELESS | DOT_ALL]), texts=st.lists(TEXTS, max_size=4))
def test_a_search_within_one_match_finds_the_same(pattern: str, options: int, texts: list[bytes]) -> None:
    """What long texts go through: the same match, with the same groups, as by PCRE2's own search."""
    try:
        perl = PcreEngine(pattern.encode(), options, where="pcre map x, line 1")
    except ValueError:
        return
    for text in texts:
        whole = perl._search_whole(text)
        assert perl.search(text) == (None if whole is None else (whole.group(), *whole.groups()))


@pytest.mark.parametrize(
    "pattern",
    [
        "abc",
        r"^Subject:.*\bfree\s+(cash|win)[0-9]{2,3}$",
        r"(a|b)+\.c",
        "(?:a*b)*",
        "(^|x)a",
        "()a",
        "[^]x]y*?",
        "(|a)b",
    ],
)
def test_ordinary_patterns_are_regular(pattern: str) -> None:
    """Most of what administrators write."""
    regular = as_regular(pattern.encode())
    assert regular is not None
    assert linear_engine(regular) is not None


@pytest.mark.parametrize(
    "pattern",
    [
        "(a*)*",
        "(a?)+",
        "(|a){2}",
        "^*",
        "(a|b*)?",
        "((a?)b?)*",
        "(?=a)b",
        "a++",
        r"\x41",
        r"(a)\1",
        "(?i)a",
        "ü",
        "(*UTF)a",
    ],
)
def test_others_are_left_to_pcre2(pattern: str) -> None:
    """Empty loops, in which the engines disagree about groups; what looks around, refers, or may read otherwise."""
    assert as_regular(pattern.encode()) is None


@pytest.mark.parametrize(
    ("pattern", "key", "answer"),
    [
        (r"(?<=x)\Qa(b", "xa(b", "yes"),  # an open \Q does not swallow what stands around the pattern
        (r"(?<=x)(?x:a b) # c", "xab # c", "yes"),
        (r"(?x)(?<=x)a b # c", "xab", "yes"),
        (r"\((?:[^()]++|(?R))*\)", "((a(b)c)", "yes"),  # recursion into the whole pattern
        (r"a(*SKIP)(*FAIL)|b", "ab", "yes"),
        (r"(?<n>a)\g{n}|(?|(x)|(y))\2", "zaa", "yes"),
        (r"(?<=x)^a", "xa", None),
        (r"x\Ka(?=b)", "xab", "yes"),
    ],
)
def test_long_texts_and_short_ones_have_the_same_answer(pattern: str, key: str, answer: str | None) -> None:
    """PCRE2 searches short texts by itself; of long ones the search is part of the match."""
    table = opener().open(f"pcre:{{{{/{pattern}/ yes}}}}")
    assert isinstance(table, LocalTable)
    with logged():
        assert table.get(key) == answer
        assert table.get("z" * SHORT + key) == answer
