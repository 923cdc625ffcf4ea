"""IPv4 patterns with sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.ip_pattern import IPv4Pattern

OCTET = st.integers(0, 255)
RANGE = st.tuples(OCTET, OCTET).map(sorted)
FIELD = st.one_of(OCTET, st.lists(RANGE, min_size=1, max_size=3))


def written(field: int | list[list[int]]) -> str:
    """Write a field of a pattern."""
    if isinstance(field, int):
        return str(field)
    return "[" + ";".join(f"{first}..{last}" for first, last in field) + "]"


@given(st.tuples(FIELD, FIELD, FIELD, FIELD), st.tuples(OCTET, OCTET, OCTET, OCTET))
def test_matches_field_by_field(fields: tuple[int | list[list[int]], ...], address: tuple[int, int, int, int]) -> None:
    """Each octet lies in its field's number or in one of its ranges; brackets around all of it do not count."""
    text = ".".join(written(field) for field in fields)
    fits = all(
        octet == field if isinstance(field, int) else any(first <= octet <= last for first, last in field)
        for field, octet in zip(fields, address, strict=True)
    )
    shown = ".".join(map(str, address))
    assert IPv4Pattern(text).matches(shown) is fits
    assert IPv4Pattern(f"[{text}]").matches(shown) is fits
    again = IPv4Pattern(str(IPv4Pattern(text)))
    assert again.matches(shown) is fits
    inside = ".".join(str(field if isinstance(field, int) else field[0][0]) for field in fields)
    assert again.matches(inside)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1.2.3.4.", 'garbage after pattern at "1.2.3.4>.<"'),
        ("1.2.[].4", 'need decimal number 0..255 at "1.2.[>]<.4"'),
        ("1.2.3.[4..x]", 'need decimal number 0..255 at "1.2.3.[4..>x<]"'),
        ("1.2.3.[4..2]", 'numeric range error at "1.2.3.[4..>2<]"'),
        ("1.2.3.99999999999", 'need decimal number 0..255 or "[" at "1.2.3.>99999999999<"'),
        ("1.2.3.[4", 'need ";" or "]" at "1.2.3.[4><"'),
        ("[1.2.3.4", 'missing "]" character'),
        ("", 'need decimal number 0..255 or "[" at "><"'),
        ("[1]", 'need "." at "1><"'),
    ],
)
def test_mistakes_are_shown_in_place(text: str, why: str) -> None:
    """Between the two marks."""
    with pytest.raises(ValueError, match=r".") as caught:
        IPv4Pattern(text)
    assert str(caught.value) == why


@pytest.mark.parametrize("address", ["", "1.2.3", "1.2.3.256", "::1", "1.2.3.4 ", "\u0661.2.3.4"])
def test_only_addresses_match(address: str) -> None:
    """Whatever the pattern."""
    assert not IPv4Pattern("[0..255].[0..255].[0..255].[0..255]").matches(address)


def test_one_form() -> None:
    """Without zeros in front and outer brackets."""
    assert str(IPv4Pattern("[01.2.[3;04..5;6..6].7]")) == "1.2.[3;4..5;6].7"
