"""What is wrong with a name or address, and that domain.py judges the same."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from posthouse.protocol.domain import is_hostname, is_ipv4_address, is_ipv6_address
from posthouse.protocol.domain_problem import address_problem, hostname_problem


@given(st.text(st.sampled_from("a1-_.*é"), max_size=8))
@example("a" * 63 + "." + "b" * 64)
@example("-" + "a" * 70)
@example(".".join(["a" * 60] * 5))
def test_names_that_are_refused_have_a_reason(name: str) -> None:
    """And no others."""
    assert (hostname_problem(name) is None) is is_hostname(name)


@given(st.text(st.sampled_from("0127.:afg"), max_size=14))
@example("1:2:3:4:5:6:7:8")
@example("1:2:3:4:5:6:7:8:9")
@example("::1:2:3:4:5:6:7:8")
@example("1:2:3:4:5:6:1.2.3.4")
@example("1::12345")
@example("::1.2.3")
def test_addresses_that_are_refused_have_a_reason(text: str) -> None:
    """And no others, but for octets that are written with four digits."""
    if ":" in text:
        assert (address_problem(text) is None) is is_ipv6_address(text)
    elif all(len(octet) <= 3 for octet in text.split(".")):
        assert (address_problem(text) is None) is is_ipv4_address(text)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "empty hostname"),
        ("a." + "b" * 64, "hostname label too long"),
        ("a..b", "misplaced delimiter"),
        ("a.", "misplaced delimiter"),
        ("a.b-", "misplaced hyphen"),
        ("é", "invalid character 195(decimal)"),
        ("*.a", "invalid character 42(decimal)"),
        ("1.2", "numeric hostname"),
        (".".join(["a" * 60] * 5), "bad length 304"),
    ],
)
def test_reasons_for_names(name: str, problem: str) -> None:
    """The first mistake from the left."""
    assert hostname_problem(name) == problem


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("*.a", None),
        ("*.1", None),
        ("*", "'*' can be the first label only"),
        ("a.*", "'*' can be the first label only"),
        ("*a.b", "'*' can be the first label only"),
        ("*.", "misplaced delimiter"),
        ("*..a", "misplaced delimiter"),
    ],
)
def test_wildcards(name: str, problem: str | None) -> None:
    """As in certificates: the whole first label, before another."""
    assert hostname_problem(name, wildcard=True) == problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty address"),
        ("1.2.3", "invalid octet count"),
        ("1.2.3.256", "invalid octet value"),
        ("0.1.2.3", "bad initial octet value"),
        ("0.0.0.0", None),
        ("1..2.3", "misplaced dot"),
        ("1.2.3.4.", "misplaced dot"),
        ("1.2.3.x", "invalid character 120(decimal)"),
        ("1:2", "too few `:' in IPv6 address"),
        ("1:2:3", "malformed IPv6 address"),
        (":1::2", "bad null first field in IPv6 address"),
        ("1:2:", "bad null last field in IPv6 address"),
        ("1::2::3", "too many `::' in IPv6 address"),
        ("1:2:3:4:5:6:7:8:9", "too many `:' in IPv6 address"),
        ("1::é", "invalid character 195(decimal) in IPv6 address"),
        ("1:1.2.3.4", "malformed IPv4-in-IPv6 address"),
        ("::1.2.3.4.", "misplaced dot"),
    ],
)
def test_reasons_for_addresses(text: str, problem: str | None) -> None:
    """Those that Postfix logs."""
    assert address_problem(text) == problem
