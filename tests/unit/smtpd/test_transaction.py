"""What smtpd puts before a message."""

import pytest

from posthouse.daemons.smtpd.transaction import one_field


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("X-Seen: yes", b"X-Seen: yes\n"),
        ("X-Tab:\tyes", b"X-Tab:\tyes\n"),
        ("X-A: 1\nX-B: 2", b"X-A: 1 X-B: 2\n"),
        ("X-A: 1\r\n\r\nbody\0", b"X-A: 1    body \n"),
        ("X-Name: J\udcf6rg \u00e9", b"X-Name: J\xf6rg \xc3\xa9\n"),
    ],
)
def test_what_a_table_prepends_is_one_field(text: str, field: bytes) -> None:
    """A value with line ends, of a database for example, neither adds fields nor ends the header."""
    assert one_field(text) == field
