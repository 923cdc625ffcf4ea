"""Host names, addresses, encodings, lists and routes as applications use them: each name once, with its errors."""

import logging

import pytest

from posthouse import api

SETTINGS = {
    "compatibility_level": "3.6",
    "myhostname": "h.test",
    "mydomain": "test",
    "mydestination": "h.test",
    "relayhost": "relay.test",
    "recipient_delimiter": "+",
}


def test_host_names() -> None:
    """Forms and reasons."""
    assert api.domain_to_ascii("Ä.Test") == "xn--4ca.test"
    assert api.domain_to_ascii("H.Test") == "h.test"
    assert api.domain_to_unicode("XN--4CA.Test") == "ä.test"
    assert api.domain_to_unicode("H.Test") == "h.test"
    for name in ("-x.test", "[192.0.2.1]", "a..b", "", "xn--a.test", "XN--\u00e4.test"):
        for convert in (api.domain_to_ascii, api.domain_to_unicode):
            with pytest.raises(ValueError, match="no valid domain name"):
                convert(name)
    assert api.hostname_problem("*.test", wildcard=True) is None
    assert api.hostname_problem("*.test") == "invalid character 42(decimal)"
    assert api.casefold("ẞΔ") == "ssδ"


def test_addresses_of_hosts() -> None:
    """Literals in one form; IPv4 inside of IPv6."""
    assert api.normalize_literal("IPV6:2001:DB8:0::1") == ("IPv6:2001:db8::1", "2001:db8::1", "inet6")
    assert api.normalize_literal("ipv6:::ffff:192.0.2.1") == ("192.0.2.1", "192.0.2.1", "inet")
    assert api.normalize_literal("ipv6:::ffff:192.0.2.1", "ipv6").family == "inet6"
    for text, protocols in (("192.0.2.1", "ipv6"), ("ipv6:::1", "ipv4"), ("::1", "all"), ("ipv6:192.0.2.1", "all")):
        with pytest.raises(ValueError, match="address literal"):
            api.normalize_literal(text, protocols)
    assert api.unmap_ipv4("::ffff:192.0.2.1") == "192.0.2.1"
    assert [api.unmap_ipv4(text) for text in ("::FFFF", "h.test")] == ["::FFFF", "h.test"]
    assert api.unmap_ipv4("::ffff:192.0.2.1", "ipv6") == "::ffff:192.0.2.1"
    assert api.prefix_mask("inet", 12) == "255.240.0.0/12"
    for family, length in (("unix", 1), ("inet", 33), ("inet6", -1)):
        with pytest.raises(ValueError, match=r"."):
            api.prefix_mask(family, length)


def test_encodings() -> None:
    """Text in, text or octets out."""
    assert api.utf8_xtext_decode(api.utf8_xtext_encode("a b", "a")) == "a b"
    assert api.unescape("\\303é\udcff") == b"\xc3\xc3\xa9\xff"
    assert api.normalize_space(" a\tb ") == " a b "
    assert api.normalize_space(" a\tb ", collapse=True) == "a b"


def test_addresses(caplog: pytest.LogCaptureFixture) -> None:
    """Lists, forms, extensions, case."""
    parsed = api.parse_address_list("J. Doe <joe@[192.0.2.1]>, ann@x.test (Ann)")
    assert parsed.internal() == "J. Doe <joe@[192.0.2.1]>, ann@x.test (Ann)"
    assert parsed.external(fold=True) == "J. Doe <joe@[192.0.2.1]>,\nann@x.test (Ann)"
    literals = [child.text for node in parsed.tree for child in node.children if child.kind == "literal"]
    assert literals == ["192.0.2.1"]
    with caplog.at_level(logging.INFO, "posthouse"):
        assert api.parse_address_list("x" * 300 + " <a@b>").external() == "<a@b>"
    assert caplog.messages == ["stripping too many comments from address: " + "x" * 100 + "..."]
    assert (api.quote_address(""), api.quote_address("@x"), api.quote_address("a b@x")) == ('""', '""@x', '"a b"@x')
    assert api.unquote_address('"a b"@x') == "a b@x"
    assert (api.add_extension("a@x", "+b"), api.add_extension("a", "+b")) == ("a+b@x", "a+b")
    assert api.split_extension("a+b@x", "+") == ("a@x", "+b")
    assert api.split_extension("a+b", "+") == ("a", "+b")
    assert api.split_extension("postmaster+b@x", "-") == ("postmaster+b@x", None)
    assert api.fold_address("A@B") == "a@b"
    assert (api.fold_address("A@B", user=False), api.fold_address("A@B", domain=False)) == ("A@b", "a@B")
    assert api.fold_address("A", domain=False) == "a"


def test_lists_of_clients() -> None:
    """By name, address, network and table; wrong items are errors when they are met."""
    clients = api.HostPatterns("!bad.x.test, x.test, 192.0.2.0/24, 198.51.100.1/8", name="mynetworks")
    asked = (("a.x.test", ""), ("bad.x.test", ""), ("", "192.0.2.7"), ("", "2001:db8::1"))
    assert [clients.matches(*client) for client in asked] == [True, False, True, False]
    with pytest.raises(api.TemporaryError, match="non-null host address bits"):
        clients.matches("", "198.51.100.1")
    assert api.find_client_policy("inline:{.x.test=yes}", "a.x.test", "192.0.2.1") == "yes"
    with pytest.raises(api.TemporaryError):
        api.find_client_policy("fail:x", None, "192.0.2.1")
    assert api.path_allowed("/a/b", "/x, /a")


def test_addresses_in_tables() -> None:
    """What they become; who may use them."""
    maps = api.open_maps("inline:{a@x.test=bob}")
    assert api.map_generic(maps, "a+b@x.test", SETTINGS) == "bob+b@h.test"
    assert api.map_generic(maps, "z@x.test", SETTINGS) is None
    assert api.masquerade("u@h.x.test", "x.test") == "u@x.test"
    assert api.masquerade("u@h.x.test", "x.test", exceptions="u") == "u@h.x.test"
    with pytest.raises(api.TemporaryError):
        api.masquerade("u@h.x.test", "x.test", exceptions="fail:x")
    assert api.login_owns_sender(api.open_maps("inline:{u=u@x.test}"), "u", "u+b@x.test", delimiters="+")


def test_routes() -> None:
    """Standard form, route, and what a table cannot tell."""
    rewriter = api.Rewriter({**SETTINGS, "append_dot_mydomain": "yes"})
    assert (rewriter.rewrite("u"), rewriter.rewrite("u@a")) == ("u@h.test", "u@a.test")
    assert rewriter.rewrite("u@a", "remote") == "u@a"
    with pytest.raises(ValueError, match="unknown rewriting context"):
        rewriter.rewrite("u@a b", "elsewhere")
    resolver = api.Resolver(SETTINGS, own_addresses=["192.0.2.1"])
    assert resolver.resolve("a b@h.test") == ("local", "h.test", "a b@h.test", "local", False, False)
    assert resolver.resolve("u@[192.0.2.1]").domain_class == "local"
    assert resolver.resolve("a%b@far.test") == ("smtp", "relay.test", "a%b@far.test", "default", False, True)
    assert resolver.resolve("u@-x").error
    with pytest.raises(api.TemporaryError):
        api.Resolver({**SETTINGS, "mydestination": "fail:x"}).resolve("u@x.test", verify=True)
    table = api.TransportMap("inline:{x.test=smtp:[relay.test], y.test=:next, z.test=lmtp, u@z.test=fail}", SETTINGS)
    assert table.lookup("u@x.test") == ("smtp", "[relay.test]")
    assert table.lookup("u@y.test") == (None, "next")
    assert table.lookup("v+b@z.test") == ("lmtp", "z.test")
    assert table.lookup("u+b@z.test") == ("fail", "z.test")
    assert table.lookup("u@other.test") is None
    with pytest.raises(api.TemporaryError):
        api.TransportMap("fail:x", SETTINGS).lookup("u@x.test")
