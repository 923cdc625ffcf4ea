"""No pattern can stall a daemon: an engine ends by itself, or at a limit, which is an error and never "not found".

Nothing is timed: without the limits these tests would not end before the suite's time-out.
"""

import pytest

from posthouse.tables.table import LocalTable
from posthouse.util.errors import TableError
from tests.support.lookups import logged, opener


def _table(kind: str, *rules: str) -> LocalTable:
    table = opener().open(kind + ":{" + ", ".join(f"{{{rule}}}" for rule in rules) + "}")
    assert isinstance(table, LocalTable)
    return table


def _answer(table: LocalTable, text: str) -> str | TableError | None:
    try:
        return table.get(text)
    except TableError as error:
        return error


# A pattern, and a text on which an engine that tries everything tries 2**n ways
WILD = [
    ("^(a+)+$", "a" * 5000 + "b"),
    ("^(a|aa)+$", "a" * 5000 + "b"),
    ("^(a|a)*$", "a" * 5000 + "b"),
    ("(.*a){20}$", "a" * 500 + "b"),
    ("^([a-zA-Z0-9])(([-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+[.]{1}([a-z]{2,3})$", "a" * 5000),
    ("^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 5000 + "!"),
    ("(x+x+)+y", "x" * 3000),
    ("^(.|.)*(.|.)*$!", "b" * 3000),
]


@pytest.mark.parametrize(("pattern", "text"), WILD)
def test_regexp_answers(pattern: str, text: str) -> None:
    """RE2 goes through the text once; a rule behind the wild one is still reached."""
    table = _table("regexp", f"/{pattern}/ wild", "/./ other")
    assert table.get(text) == "other"


@pytest.mark.parametrize(("pattern", "text"), WILD)
def test_pcre_answers_or_fails(pattern: str, text: str) -> None:
    """PCRE2 finds out some other way, or stops at a limit: then the lookup has failed, and no later rule counts."""
    table = _table("pcre", f"/{pattern}/ wild", "/./ other")
    with logged() as lines:
        answer = _answer(table, text)
    assert answer == "other" or ("limit" in str(answer) and "limit" in lines[0])


def test_a_limit_that_is_reached_is_an_error() -> None:
    """In a rule, in an if condition, negated, and behind rules that do not match."""
    text = "a" * 5000 + "b"
    for rules in (
        ["/^(a+)+$/ x"],
        ["/^c/ y", "/^(a+)+$/ x"],
        ["!/^(a+)+$/ x"],
        ["if /^(a+)+$/", "/a/ x", "endif", "/./ y"],
        ["if !/^(a+)+$/", "/a/ x", "endif"],
    ):
        with logged(), pytest.raises(TableError, match="match limit"):
            _table("pcre", *rules).get(text)


def test_a_limit_in_a_pattern_with_back_references_is_an_error() -> None:
    r"""RE2 has no \1, so PCRE2 runs such patterns of regexp: tables, within its limits."""
    table = _table("regexp", r"/^(a+)+\1$/ x", "/./ other")
    with logged() as lines, pytest.raises(TableError, match="limit"):
        table.get("a" * 3000 + "b")
    assert "limit" in lines[0]
    assert (table.get("aa"), table.get("b")) == ("x", "other")


def test_other_keys_are_not_harmed() -> None:
    """After an error the table answers as before."""
    table = _table("pcre", "/^(a+)+$/ x", "/./ other")
    with logged(), pytest.raises(TableError):
        table.get("a" * 5000 + "b")
    assert (table.get("aaa"), table.get("b")) == ("x", "other")


@pytest.mark.parametrize("kind", ["regexp", "pcre"])
@pytest.mark.parametrize(
    "pattern", ["(((a{500}){500}){500})", "(((((x{9}){9}){9}){9}){9}){9}", "(" * 5000 + "a" + ")" * 5000, "[" * 3000]
)
def test_patterns_that_grow_are_refused_or_work(kind: str, pattern: str) -> None:
    """Compiling ends, too: with a warning that names the line, or with a table that does not match."""
    with logged() as lines:
        table = _table(kind, f"/{pattern}/ x", "/./ other")
    assert table.get("b") == "other"
    assert all(f"{kind} map" in line for line in lines)


@pytest.mark.parametrize("kind", ["regexp", "pcre"])
def test_long_texts(kind: str) -> None:
    """A megabyte of key is a key like any other."""
    table = _table(kind, "/needle$/ found", "/^(x|y)*$/ all x")
    assert table.get("x" * 1_000_000 + "needle") == "found"
    with logged():
        answer = _answer(table, "x" * 1_000_000)
    assert answer == "all x" or (kind == "pcre" and "limit" in str(answer))
