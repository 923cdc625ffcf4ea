"""The configuration language as applications get it: values come back, and what is odd is logged below `posthouse`."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse import api


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Give the warnings so far, and forget them."""
    records = [record for record in caplog.records if record.name.startswith("posthouse")]
    assert all(record.levelno == logging.WARNING for record in records)
    caplog.clear()
    return [record.getMessage() for record in records]


def test_expansion_does_not_look_into_values(caplog: pytest.LogCaptureFixture) -> None:
    """Results, functions and operators of the caller's own; wrong syntax is logged."""
    names = {"a": "$b", "b": "x"}
    assert api.expand("$a $b", names.get).text == "$b x"
    assert api.expand("${up{$b}}", names.get, {"up": str.upper}).text == "X"
    longer = {">length": lambda left, right: len(left) > len(right)}
    assert api.expand("${{abc} >length {$b} ? {yes}}", names.get, operators=longer).text == "yes"
    assert told(caplog) == []
    result = api.expand("y${nobody}${a", names.get)
    assert (result.text, result.syntax_error, result.undefined) == ("y", True, True)
    assert told(caplog) == ['truncated macro reference: "y${nobody}${a"']


def test_lists_and_words(caplog: pytest.LogCaptureFixture) -> None:
    """Reading goes on after a mistake."""
    assert api.split_list("a, {b c} d", "x") == ("a", "b c", "d")
    assert told(caplog) == []
    assert api.split_list("{b}c {d", "x") == ("b", "d")
    assert told(caplog) == ["x: syntax error after '}' in \"{b}c\"", "x: missing '}' in \"{d\""]
    assert api.split_words('a "b c" #d', quotes=True) == ("a", '"b c"', "#d")
    assert api.split_words("#d", comments=True) == ()
    assert told(caplog) == []
    assert api.split_words("{ a b } #d e", braces=True, comments=True) == ("{ a b }",)
    assert told(caplog) == ["#comment after other text is not allowed: #d ..."]


def test_lines_and_ports(caplog: pytest.LogCaptureFixture) -> None:
    """A continuation of nothing, and a port that is none, are left out and told."""
    assert list(api.logical_lines(b" x\na\n b\n")) == [api.LogicalLine(b"a b", 2, 3)]
    assert told(caplog) == ['logical line must not start with whitespace: " x"']
    assert api.parse_tcp_ports("a = b = 25, c = x", "ports") == {"a": 25, "b": 25}
    assert told(caplog) == ['ports: in " c = x": non-numerical service port']


def test_values_are_checked() -> None:
    """By the parameter's own rules; a name that is none may have any value."""
    api.check_setting("max_idle", "100s")
    api.check_setting("my_own", "anything")
    with pytest.raises(ValueError, match="is not a time"):
        api.check_setting("max_idle", "soon")
    assert api.parse_time("2", "h") == 7200
    assert str(api.CompatLevel.parse("3")) == "3.0"
    assert api.split_name_value('"a b" = c') == ('"a b"', "c")
    assert api.format_delay(0.00111) == "0.0011"


@given(st.integers(0, 2**64), st.integers(2, 52))
def test_numbers_have_five_digits_at_least(number: int, base: int) -> None:
    """In every base they are digits and consonants, and read back."""
    text = api.encode_number(number, base)
    assert len(text) >= 5
    alphabet = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
    value = 0
    for character in text:
        value = value * base + alphabet.index(character)
    assert value == number


@pytest.mark.parametrize(("number", "base"), [(1, 1), (1, 53), (-1, 10)])
def test_other_numbers_are_refused(number: int, base: int) -> None:
    """There is no such base, or no such number."""
    with pytest.raises(ValueError, match="cannot write"):
        api.encode_number(number, base)
