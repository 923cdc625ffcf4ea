"""No pattern can stall a daemon: what is regular runs in linear time, the rest ends at a limit, which is an error.

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


# Such with something that RE2 does not have. Some are cubic: no place takes many steps, all together do.
WILD_PERL = [
    *[(pattern.replace("(", "(?!!)(", 1), text) for pattern, text in WILD],
    ("(?!x)a.*b.*[cd]", "ab" * 350),
    ("(?=a)a.*b.*[cd]", "ab" * 8000),
    ("(?<!x)[a-z]+[0-9]", "a" * 16_000),
    ("([a-z])\\1*[0-9]", "a" * 16_000),
]


@pytest.mark.parametrize("kind", ["regexp", "pcre"])
@pytest.mark.parametrize(("pattern", "text"), [*WILD, ("[a-z]+[0-9]", "a" * 100_000), ("a.*b.*[cd]", "ab" * 8000)])
def test_regular_patterns_answer(kind: str, pattern: str, text: str) -> None:
    """RE2 goes through the text once; a rule behind the wild one is still reached."""
    table = _table(kind, f"/{pattern}/ wild", "/./ other")
    assert table.get(text) == "other"


@pytest.mark.parametrize(("pattern", "text"), WILD_PERL)
def test_other_patterns_answer_or_fail(pattern: str, text: str) -> None:
    """PCRE2 finds out some other way, or stops at a limit: then the lookup has failed, and no later rule counts."""
    table = _table("pcre", f"/{pattern}/ wild", "/./ other")
    with logged() as lines:
        answer = _answer(table, text)
    assert answer == "other" or ("limit exceeded" in str(answer) and ", line 1: " in lines[0])


@pytest.mark.parametrize("text", ["ab" * 350, "ab" * 8000])
def test_the_limit_is_one_for_all_places_of_a_text(text: str) -> None:
    """PCRE2 counts anew at each place where a match may begin: a cubic pattern would take seconds below its limit."""
    with logged(), pytest.raises(TableError, match="match limit exceeded"):
        _table("pcre", "/(?!x)a.*b.*[cd]/ x").get(text)


def test_a_limit_that_is_reached_is_an_error() -> None:
    """In a rule, in an if condition, negated, and behind rules that do not match."""
    text = "a" * 5000 + "b"
    for rules in (
        ["/^(?=a)(a+)+$/ x"],
        ["/^c/ y", "/^(?=a)(a+)+$/ x"],
        ["!/^(?=a)(a+)+$/ x"],
        ["if /^(?=a)(a+)+$/", "/a/ x", "endif", "/./ y"],
        ["if !/^(?=a)(a+)+$/", "/a/ x", "endif"],
    ):
        with logged(), pytest.raises(TableError, match="limit exceeded"):
            _table("pcre", *rules).get(text)


def test_the_log_names_table_and_line() -> None:
    """In Postfix's words, so that what looks for them finds them."""
    with logged() as lines, pytest.raises(TableError):
        _table("pcre", "/^c/ y", "/^(?=a)(a+)+$/ x").get("a" * 5000 + "b")
    assert lines == ["warning: pcre map {{/^c/ y}, {/^(?=a)(a+)+$/ x}}, line 2: match limit exceeded"]


def test_an_administrators_own_limit_counts() -> None:
    """(*LIMIT_MATCH=n) in front of a pattern: more steps than ours, or fewer."""
    text = "a" * 18 + "b"
    assert _table("pcre", "/(*LIMIT_MATCH=10000000)^(?=a)(a+)+$/ x").get(text * 10) is None
    with logged(), pytest.raises(TableError, match="match limit exceeded"):
        _table("pcre", "/(*LIMIT_MATCH=100)^(?=a)(a+)+$/ x").get(text)


def test_a_limit_in_a_pattern_with_back_references_is_an_error() -> None:
    r"""RE2 has no \1, so PCRE2 runs such patterns of regexp: tables, within its limits."""
    table = _table("regexp", r"/^(a+)+\1$/ x", "/./ other")
    with logged() as lines, pytest.raises(TableError, match="limit"):
        table.get("a" * 3000 + "b")
    assert "limit" in lines[0]
    assert (table.get("aa"), table.get("b")) == ("x", "other")


def test_other_keys_are_not_harmed() -> None:
    """After an error the table answers as before."""
    table = _table("pcre", "/^(?=a)(a+)+$/ x", "/./ other")
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
