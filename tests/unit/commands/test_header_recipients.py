"""Recipients that stand in a header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.commands.header_recipients import header_recipients, read_addresses


@pytest.mark.parametrize(
    ("content", "recipients"),
    [
        (b"To: a@x\n\n", ["a@x"]),
        (b"tO:\n a@x,\n\tb@x\n\n", ["a@x", "b@x"]),
        (b"To: a@x\nTo: b@x\ncc: c@x\nBcc: d@x\n\n", ["a@x", "b@x", "c@x", "d@x"]),
        (b"To: group: a@x, b@x;\n\n", ["a@x", "b@x"]),
        (b"To: undisclosed-recipients:;\n\n", []),
        (b"Subject: To: a@x\n\nTo: a@x\n", []),
        (b"\nTo: a@x\n", []),
        (b"", []),
        (b"To: a@x", ["a@x"]),
        (b"Resent-Cc: r@x\nTo: a@x\n\n", ["r@x"]),
        (b"Reply-To: a@x\nX-To: b@x\n\n", []),
    ],
)
def test_header(content: bytes, recipients: list[str]) -> None:
    """To, Cc, Bcc in any case, folded or not."""
    assert header_recipients(content) == recipients


def test_octets_that_are_no_utf8_stay() -> None:
    """As surrogate escapes; the system decides about them."""
    assert header_recipients(b"To: a\xff@x\n\n") == ["a\udcff@x"]


def test_quotes_stay_where_they_are_needed() -> None:
    """An envelope has no other way to say it."""
    assert read_addresses('"a b"@x, "plain"@x, "a\\"b"@x') == ['"a b"@x', "plain@x", '"a\\"b"@x']


def test_source_routes_stay_outside_of_quotes() -> None:
    """So that cleanup can take them off."""
    assert read_addresses('<@a,@b:"u v"@x>, <@a:u@y>, @c') == ['@a,@b:"u v"@x', "@a:u@y", '""@c']


@given(st.binary(max_size=200))
def test_no_message_makes_it_raise(content: bytes) -> None:
    """Whatever a program pipes in."""
    header_recipients(b"To: " + content)
