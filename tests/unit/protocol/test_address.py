"""Addresses: quoting both ways, splitting at the right at sign, extensions, domains."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.address import (
    add_extension,
    quote_address,
    quote_routed_address,
    split_address,
    split_extension,
    unquote_address,
    unquote_local_part,
)
from posthouse.protocol.domain import is_address_literal, is_hostname, is_ipv6_address, is_mail_domain
from posthouse.protocol.idn import domain_to_ascii, domain_to_unicode, is_valid_domain


@pytest.mark.parametrize(
    ("internal", "external"),
    [
        ("", ""),
        ("a@b.c", "a@b.c"),
        ("a b@c", '"a b"@c'),
        ("a@b@c", '"a@b"@c'),
        ('a"b\\c@d', '"a\\"b\\\\c"@d'),
        (".a@c", '".a"@c'),
        ("a..b@c", '"a..b"@c'),
        ("a.@c", '"a."@c'),
        ("@c", '""@c'),
        ("postmaster", "postmaster"),
        ("jürgen@c", "jürgen@c"),
        ("a@[127.0.0.1]", "a@[127.0.0.1]"),
    ],
)
def test_quoting(internal: str, external: str) -> None:
    """Quotes come where RFC 5321 needs them, and unquoting undoes it."""
    assert quote_address(internal) == external
    assert unquote_address(external) == internal


def test_source_routes_are_not_quoted() -> None:
    """What follows the route is an address of its own."""
    assert quote_routed_address("@a,@b:u v@x") == '@a,@b:"u v"@x'
    assert quote_routed_address("@a:") == '@a:""'
    assert quote_routed_address("u:v@x") == '"u:v"@x'
    assert quote_routed_address("") == ""


@given(
    st.text(st.characters(blacklist_characters="\r\n"), min_size=1, max_size=20), st.sampled_from(["b.c", "[1.2.3.4]"])
)
def test_quoting_round_trip(local_part: str, domain: str) -> None:
    """Whatever stands before the last at sign survives quoting."""
    internal = f"{local_part}@{domain}"
    external = quote_address(internal)
    assert unquote_address(external) == internal
    assert split_address(external).domain == domain


def test_at_sign_inside_quotes_is_not_the_domain() -> None:
    """A quoted local part without a domain has no domain."""
    assert split_address('"a@b"') == ('"a@b"', None)
    assert split_address('"a@b"@c') == ('"a@b"', "c")
    assert split_address("a") == ("a", None)


@pytest.mark.parametrize(
    ("local_part", "delimiters", "user", "extension"),
    [
        ("a+b", "+", "a", "b"),
        ("a+b", "", "a+b", None),
        ("a+b-c", "-+", "a", "b-c"),
        ("a+", "+", "a", ""),
        ("+a", "+", "+a", None),
        ("postmaster", "m", "postmaster", None),
        ("MAILER-DAEMON", "-", "MAILER-DAEMON", None),
        ("double-bounce", "-", "double-bounce", None),
        ("owner-list", "-", "owner-list", None),
        ("Owner-list", "+-", "Owner-list", None),
        ("list-request", "-", "list-request", None),
        ("-request", "-", "-request", None),
        ("owner+x", "+", "owner", "x"),
    ],
)
def test_extensions(local_part: str, delimiters: str, user: str, extension: str | None) -> None:
    """The first delimiter splits, except in the system's own names."""
    assert split_extension(local_part, delimiters)[:2] == (user, extension)


def test_owner_and_request_are_split_when_not_special() -> None:
    """owner_request_special = no treats them like any name."""
    assert split_extension("owner-list", "-", owner_request_special=False)[:2] == ("owner", "list")


def test_extension_is_added() -> None:
    """It goes to the end of the local part."""
    assert add_extension("a@b", "+x") == "a+x@b"
    assert add_extension("a", "+x") == "a+x"


@pytest.mark.parametrize(
    "name", ["a", "a.b", "a_b.c", "1a.2", "a-b.c", "x" * 63 + ".y", "_dmarc.example", "xn--bcher-kva.example"]
)
def test_hostnames(name: str) -> None:
    """Letters, digits, inner hyphens, underscores."""
    assert is_hostname(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "-a",
        "a-",
        "a.-b",
        "1",
        "1.2.3.4",
        "a b",
        "a\n",
        "x" * 64,
        "a." * 127 + "abc",
        "é.test",
        "[1.2.3.4]",
    ],
)
def test_bad_hostnames(name: str) -> None:
    """Empty labels, hyphens at the ends, digits alone, foreign characters and excess length are refused."""
    assert not is_hostname(name)


@pytest.mark.parametrize(
    "domain", ["[127.0.0.1]", "[IPv6:::1]", "[ipv6:2001:db8::25]", "[IPv6:::ffff:1.2.3.4]", "[IPv6:1:2:3:4:5:6:7:8]"]
)
def test_literals(domain: str) -> None:
    """IPv4 as it is, IPv6 with its tag."""
    assert is_address_literal(domain)
    assert is_mail_domain(domain)


@pytest.mark.parametrize(
    "domain",
    [
        "[127.0.0.999]",
        "[::1]",
        "[IPv6:1.2.3.4]",
        "[IPv6:1::2::3]",
        "[IPv6::1]",
        "[]",
        "[x",
        "[IPv6:fe80::1%eth0]",
        "[1.2.3]",
    ],
)
def test_bad_literals(domain: str) -> None:
    """Numbers too large, the tag left out, two gaps, zones."""
    assert not is_mail_domain(domain)


@given(st.ip_addresses(v=6).map(str))
def test_every_ipv6_address_is_one(text: str) -> None:
    """All that the standard library prints is valid."""
    assert is_ipv6_address(text)


def test_international_names() -> None:
    """A-labels and U-labels are each other's translation; bad names and very long ones are refused at once."""
    assert domain_to_ascii("Bücher.example") == "xn--bcher-kva.example"
    assert domain_to_unicode("xn--bcher-kva.example") == "bücher.example"
    assert domain_to_ascii("plain.example") == "plain.example"
    assert domain_to_ascii("a..é") is None
    assert not is_valid_domain("é" * 5000 + ".test")
    assert not is_valid_domain("é" * 80 + ".test")


@given(st.text(max_size=40))
def test_any_text_is_judged_without_raising(text: str) -> None:
    """No name makes the checks raise."""
    is_valid_domain(text)
    domain_to_unicode(text)
    unquote_address(text)
    quote_address(text)


def test_bare_local_parts_and_eight_bit() -> None:
    """Without a domain an at sign is text; where 8-bit text is not clean it is quoted."""
    assert quote_address("a@b", bare_local_part=True) == '"a@b"'
    assert quote_address("é@b", eight_bit_clean=False) == '"é"@b'
    assert quote_address("a\nb@c") == '"a b"@c'


def test_ipv6_literals_with_bad_ipv4_end() -> None:
    """The last 32 bits may be written as IPv4, if they are."""
    assert not is_ipv6_address("::ffff:1.2.3.256")
    assert not is_ipv6_address("1.2.3.4::")
    assert not is_ipv6_address("1:2:3:4:5:6:7:8:9")


def test_names_that_cannot_be_decoded() -> None:
    """A-labels that are no encoding of anything have no U-label."""
    assert domain_to_unicode("xn--0.example") is None
    assert domain_to_unicode("xn--\x00.example") is None
    assert domain_to_unicode("plain.example") == "plain.example"
    assert domain_to_unicode("a..é") is None


def test_plain_local_parts_are_not_touched() -> None:
    """Unquoting what has no quotes."""
    assert unquote_local_part("a.b") == "a.b"
    assert unquote_local_part('"a\\ b"') == "a b"
