"""Queries from keys and results from values: which parts, how quoted, when a key is not looked up at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.tables.client_config import ClientConfig
from posthouse.tables.expansion import KeyedQuery, Parts, ResultFormat, Template
from posthouse.util.errors import ConfigError, TableError
from tests.support.lookups import logged, now, opener


def keyed(query: str, **attributes: str) -> KeyedQuery:
    """Make a query with further attributes."""
    return KeyedQuery("x:y", Template(query), ClientConfig("y.cf", attributes, {}), opener())


@pytest.mark.parametrize(
    ("template", "key", "query"),
    [
        ("%s", "a@b.c", "a@b.c"),
        ("%u|%d", "a@b.c", "a|b.c"),
        ("%U|%D|%S", "a@b.c", "a|b.c|a@b.c"),
        ("%u", "local", "local"),
        ("%d", "local", None),
        ("%d", "a@", None),
        ("%u", "@b.c", None),
        ("%d", "@b.c", "b.c"),
        ("%s", "@b.c", "@b.c"),
        ("%u at %d", '"a@x"@b.c', '"a@x" at b.c'),
        ("%1.%2.%3", "a@x.y.z", "z.y.x"),
        ("%4", "a@x.y.z", None),
        ("%1", "a.b", None),
        ("100%% of %s", "a", "100% of a"),
        ("no key", "a", "no key"),
    ],
)
def test_queries(template: str, key: str, query: str | None) -> None:
    """None: the key lacks a part that the query names, so nothing is asked."""
    parts, parsed = Parts.of(key), Template(template)
    assert (parsed.fill(parts) if parsed.fits(parts) else None) == query


@pytest.mark.parametrize(
    ("template", "value", "result"),
    [
        ("%s", "v@w.x", "v@w.x"),
        ("<%u|%d>", "v@w.x", "<v|w.x>"),
        ("%u", "plain", "plain"),
        ("%d", "plain", None),
        ("%u", "@w.x", None),
        ("%s of %S, %U, %D, %1, %2", "v", "v of k@m.n, k, m.n, n, m"),
        ("%%%s%%", "v", "%v%"),
    ],
)
def test_results(template: str, value: str, result: str | None) -> None:
    """Small letters are the value's, capitals and numbers the key's."""
    assert ResultFormat(template).fill(value, Parts.of("k@m.n")) == result


@pytest.mark.parametrize("template", ["%", "%x", "a%", "%0", "% s"])
def test_letters_that_mean_nothing(template: str) -> None:
    """They are mistakes, not text."""
    with pytest.raises(ValueError, match="means nothing"):
        Template(template)
    with pytest.raises(ConfigError, match=r"result_format: .*means nothing"):
        keyed("%s", result_format=template)


def test_what_the_results_need_of_the_key_decides_too() -> None:
    """A key without a domain is not asked for when results have the key's domain in them."""
    query = keyed("%s", result_format="%s@%D")
    assert now(query.parts("local")) is None
    assert now(query.parts("a@b")) == Parts.of("a@b")


def test_domain_limits_keys() -> None:
    """Exact names and tables; only addresses with both parts pass."""
    query = keyed("%s", domain="one.test, inline:{two.test=x}, !three.test")
    keys = ["a@one.test", "a@two.test", "a@x.one.test", "@one.test", "one.test", "a@three.test", "a@one.test."]
    assert [key for key in (*keys, "") if now(query.parts(key)) is not None] == ["a@one.test", "a@two.test"]


def test_a_domain_table_that_fails_is_an_error() -> None:
    """Not "not found"."""
    with pytest.raises(TableError):
        now(keyed("%s", domain="fail:x").parts("a@one.test"))


def test_values_are_joined() -> None:
    """NULL and empty values do not count, nor do those that the format has no use for."""
    query = keyed("%s", result_format="%u", expansion_limit="2")
    with logged() as lines:
        assert query.join(["a@x", None, "", "@x", "b@x"], Parts.of("k")) == "a,b"
    assert lines == ['warning: table "x:y": empty lookup result for: "k" -- ignored']
    assert query.join([None, ""], Parts.of("k")) is None
    with pytest.raises(TableError, match="expansion_limit of 2 is exceeded for key 'k'"):
        query.join(["a", "b", "c"], Parts.of("k"))


@given(st.text(), st.sampled_from(["%s", "%u", "%d", "%1", "'%s' or '%u@%d'", "%%%s"]))
def test_quoting_reaches_every_part(key: str, template: str) -> None:
    """Nothing of a key gets into a query but by way of the quoting."""
    parsed, parts = Template(template), Parts.of(key)
    if parsed.fits(parts):
        bare = "".join(literal for literal, _ in parsed.pieces)
        assert parsed.fill(parts, lambda _: "") == bare
        assert parsed.fill(parts, lambda _: "<q>").count("<q>") >= template.replace("%%", "").count("%")
