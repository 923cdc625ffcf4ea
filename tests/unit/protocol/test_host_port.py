"""Servers as main.cf names them, and schemes of URIs."""

import pytest

from posthouse.protocol.host_port import split_host_port
from posthouse.protocol.uri import uri_scheme_length


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("h.test", "h.test", "25"),
        ("h.test:", "h.test", "25"),
        ("h.test:smtp", "h.test", "smtp"),
        ("h.test:587", "h.test", "587"),
        ("[h.test]", "h.test", "25"),
        ("[192.0.2.1]:26", "192.0.2.1", "26"),
        ("192.0.2.1", "192.0.2.1", "25"),
        ("[2001:db8::1]", "2001:db8::1", "25"),
        ("[IPv6:2001:db8::1]:26", "2001:db8::1", "26"),
        ("grüße.test", "grüße.test", "25"),
    ],
)
def test_servers(text: str, host: str, port: str) -> None:
    """With and without brackets and port."""
    assert split_host_port(text, "25") == (host, port)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[h.test", 'missing "]"'),
        ("[h.test]x", 'garbage after "]"'),
        (":25", "missing host information"),
        ("", "missing host information"),
        ("[]", "valid hostname or network address required"),
        ("[[1.2.3.4]]", 'garbage after "]"'),
        ("-x", "valid hostname or network address required"),
        ("::1", "valid hostname or network address required"),
        ("h.test:25x", "garbage after numerical service"),
        ("[ipv6:h.test]", "malformed IPv6 address"),
    ],
)
def test_mistakes(text: str, why: str) -> None:
    """The bare reason."""
    with pytest.raises(ValueError, match=r".") as caught:
        split_host_port(text, "25")
    assert str(caught.value) == why


@pytest.mark.parametrize(
    ("text", "length"),
    [("a://b", 4), ("a1+.-b://", 9), ("1a://", 0), ("a:/b", 0), ("a b://", 0), ("://", 0), ("é://", 0)],
)
def test_schemes(text: str, length: int) -> None:
    """A letter, then letters, digits, plus, dot, hyphen."""
    assert uri_scheme_length(text) == length
