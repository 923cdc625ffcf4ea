"""Typed rows: what each type takes, and what it says about the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.config.parameter import (
    UNIT_SECONDS,
    Boolean,
    ConfigValueError,
    Enum,
    Family,
    Integer,
    NameList,
    Parameter,
    Patterns,
    Raw,
    Restrictions,
    Size,
    String,
    Tables,
    Time,
    parse_time,
)

NUMBER = Integer("n", "5", doc="", minimum=1, maximum=10)
TIME = Time("t", "300s", doc="", minimum_s=1, maximum_s=3600)


@pytest.mark.parametrize(
    ("row", "text", "value"),
    [
        (NUMBER, "10", 10),
        (Integer("n", "0", doc="", minimum=-5), "-5", -5),
        (Size("n", "0", doc=""), "9223372036854775807", 2**63 - 1),
        (TIME, "10", 10.0),
        (TIME, "1h", 3600.0),
        (Time("t", "2h", doc=""), "3", 10800.0),
        (Time("t", "${stress?{10}:{300}}s", doc=""), "7", 7.0),
        (Time("t", "$other_time", doc=""), "7", 7.0),
        (Time("t", "$other_time", doc="", unit="d"), "7", 604800.0),
        (Boolean("b", "no", doc=""), "YES", True),
        (Boolean("b", "no", doc=""), "no", False),
        (Enum("e", "a", doc="", choices=("a", "Bc")), "bC", "Bc"),
        (String("s", "", doc=""), "", ""),
        (Raw("s", "", doc=""), "$x", "$x"),
        (NameList("l", "", doc=""), "a, b { c d }", ("a", "b", "c d")),
        (Patterns("l", "", doc=""), "!a regexp:{{/x y/ z}}", ("!a", "regexp:{{/x y/ z}}")),
        (Restrictions("l", "", doc=""), "permit { reject x }", ("permit", "{ reject x }")),
        (Tables("l", "", doc=""), "lmdb:/a, proxy:unix:b", ("lmdb:/a", "proxy:unix:b")),
    ],
)
def test_legal_text_gives_its_value(row: Parameter[object], text: str, value: object) -> None:
    """Each type reads what postconf(5) allows."""
    assert row.parse(text) == value


@pytest.mark.parametrize(
    ("row", "text", "why"),
    [
        (NUMBER, "0", "0 is too small; the least is 1"),
        (NUMBER, "11", "11 is too large; the most is 10"),
        (NUMBER, "1k", '"1k" is not a whole number; write digits only, for example 100'),
        (NUMBER, "", '"" is not a whole number; write digits only, for example 100'),
        (NUMBER, "\u0661", '"\u0661" is not a whole number; write digits only, for example 100'),
        (NUMBER, "+1", '"+1" is not a whole number; write digits only, for example 100'),
        (Integer("n", "5", doc=""), "2147483648", "2147483648 is too large; the most is 2147483647"),
        (TIME, "0", "0 is too small; the least is 1"),
        (TIME, "2h", "7200 is too large; the most is 3600"),
        (TIME, "4000w", '"4000w" is more than 2147483647 seconds; write a smaller time, for example 100w'),
        (TIME, "10x", '"10x" is not a time; write a number and one of s (seconds), m, h, d (days), w, for example 5m'),
        (Boolean("b", "no", doc=""), "true", '"true" is neither "yes" nor "no"'),
        (Enum("e", "", doc="", choices=("", "b")), "c", '"c" is not one of: (empty), b'),
        (String("s", "x", doc="", minimum_length=1), "", "the value must not be empty"),
        (String("s", "x", doc="", minimum_length=3), "ab", "the value is shorter than 3 characters"),
        (String("s", "x", doc="", maximum_length=3), "abcd", "the value is longer than 3 characters; shorten it"),
        (NameList("l", "", doc="", minimum_items=1), " ", "the list must not be empty"),
        (NameList("l", "", doc=""), "{a}b", "syntax error after '}' in \"{a}b\"; put a blank behind the closing brace"),
        (NameList("l", "", doc=""), "{ a", "missing '}' in \"{ a\"; close the brace"),
        (Tables("l", "", doc=""), "/etc/aliases", '"/etc/aliases" is no lookup table; write type:name'),
    ],
)
def test_other_text_is_refused_with_advice(row: Parameter[object], text: str, why: str) -> None:
    """The message says what is wrong and what to write."""
    with pytest.raises(ConfigValueError) as caught:
        row.parse(text)
    assert str(caught.value).startswith(why)


@given(st.integers(0, 3550), st.sampled_from(sorted(UNIT_SECONDS)))
def test_times_are_number_times_unit(number: int, unit: str) -> None:
    """With the unit written, or as the default unit."""
    assert parse_time(f"{number}{unit}") == parse_time(str(number), unit) == number * UNIT_SECONDS[unit]


def test_a_row_can_be_renamed() -> None:
    """lmtp_x is the row of smtp_x; the default's unit stays."""
    row = TIME.renamed("lmtp_t")
    assert (row.name, row.default, row.parse("2")) == ("lmtp_t", "300s", 2.0)
    assert TIME.name == "t"
    assert repr(row) == "Time('lmtp_t', '300s')"


def test_a_family_has_a_row_for_each_transport() -> None:
    """Some transports have a default of their own."""
    family = Family(Integer("_limit", "$default_limit", doc=""), (("local", "2"),))
    assert (family.of("smtp").name, family.of("smtp").default) == ("smtp_limit", "$default_limit")
    assert family.of("local").default == "2"
