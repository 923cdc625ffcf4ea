"""Address headers: trees, both forms, and bounded time whatever comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.message.tokens import (
    Node,
    format_external,
    format_internal,
    oversized,
    parse_address_list,
    parse_addresses,
)


@pytest.mark.parametrize(
    ("text", "internal", "external"),
    [
        ("a@b.c", "a@b.c", "a@b.c"),
        ("a @ b . c", "a@b.c", "a@b.c"),
        ('"a b"@c', "a b@c", '"a b"@c'),
        ("a\\ b@c", "a b@c", '"a b"@c'),
        ("A B <a@b>", "A B <a@b>", "A B <a@b>"),
        ('"A, B" <a@b>', "A, B <a@b>", '"A, B" <a@b>'),
        ("J. Random <a@b>", "J. Random <a@b>", "J. Random <a@b>"),
        ("50% off! <a@b>", "50% off! <a@b>", "50% off! <a@b>"),
        ('"a b"%c@d', "a b%c@d", '"a b"%c@d'),
        ('h!"a b"', "h!a b", 'h!"a b"'),
        ("a (x) b", "a, b (x)", "a, b (x)"),
        ("(x) a@b (y)", "a@b (x) (y)", "a@b (x) (y)"),
        ("a b c", "a, b, c", "a, b, c"),
        ("foo <a> bar", "foo <a>, bar", "foo <a>, bar"),
        ("g: a@b, c@d;", "g: a@b, c@d;", "g: a@b, c@d;"),
        ("g: a;b", "g: a;, b", "g: a;, b"),
        ("a; b", "a;, b", "a;, b"),
        ("a: <b (c)>, <d> <e>", "a: <b (c)>, <d> <e>", "a: <b (c)>, <d> <e>"),
        ("A <a@b> (c), b", "A <a@b>(c), b", "A <a@b>(c), b"),
        ("undisclosed-recipients:;", "undisclosed-recipients: ;", "undisclosed-recipients: ;"),
        ("<@x,@y:a@b>", "<@x,@y:a@b>", "<@x,@y:a@b>"),
        ("a@[1.2.3.4]", "a@[1.2.3.4]", "a@[1.2.3.4]"),
        ("a@[1.2", "a@[1.2]", "a@[1.2]"),
        ("a@[1\\]\\\\2]", "a@[1]\\2]", "a@[1\\]\\\\2]"),
        ('"a', "a", '"a"'),
        ("a (x (y", "a (x (y))", "a (x (y))"),
        ('"a\\"b"@c', 'a"b@c', '"a\\"b"@c'),
        ("<>", "<>", "<>"),
        ("J. R. <>", "J. R. <>", "J. R. <>"),
        ("Company Inc. <a@b>", "Company Inc. <a@b>", "Company Inc. <a@b>"),
        ("a,,b", "a, , b", "a, , b"),
        ("a <b", "a <b", "a <b"),
        ("a\r\n b@c", "a, b@c", "a, b@c"),
        ("", "", ""),
        ("\\", "", ""),
        ("jürgen@bücher.example", "jürgen@bücher.example", "jürgen@bücher.example"),
    ],
)
def test_forms(text: str, internal: str, external: str) -> None:
    """Internal form without quotes, external form as it may stand in a header."""
    nodes = parse_address_list(text)
    assert format_internal(nodes) == internal
    assert format_external(nodes) == external


def test_tree() -> None:
    """Addresses hold their tokens, phrases and groups stand beside them."""
    assert parse_address_list("g: X <a@b>;") == [
        Node("atom", "g"),
        Node("group", ":"),
        Node("atom", "X"),
        Node("op", "<"),
        Node("address", "", [Node("atom", "a"), Node("op", "@"), Node("atom", "b")]),
        Node("op", ">"),
        Node("op", ";"),
    ]


@pytest.mark.parametrize(
    ("text", "external"),
    [
        ("a @ b . c", "a@b.c"),
        ('<@x , @y : "a b" @ c . d>', '@x,@y:"a b"@c.d'),
        ("a@[1.2.3.4]", "a@[1.2.3.4]"),
        ('<@x,@y:"<"@c>', '@x,@y:"<"@c'),
    ],
)
def test_tokens_of_one_address(text: str, external: str) -> None:
    """The children of an address give the address, without a blank that stood in it."""
    (address,) = (node for node in parse_address_list(text) if node.kind == "address")
    assert format_external(address.children) == external
    assert format_internal(address.children) == external.replace('"', "")


def test_addresses_only() -> None:
    """Without comments, phrases and groups."""
    assert parse_addresses('A B <a@b>, g: (x) c@d, "e f"@g;, <>') == ["a@b", "c@d", "e f@g"]


def test_token_limit() -> None:
    """What stands behind the limit is not read."""
    assert format_internal(parse_address_list("1 2 3 4 5", 3)) == "1, 2, 3"


def test_folding() -> None:
    """One address a line."""
    assert format_external(parse_address_list("a@b, X <c@d>"), fold=True) == "a@b,\nX <c@d>"


def test_oversized_phrases_are_stripped() -> None:
    """More than 250 octets beside the address: only the address goes on."""
    nodes = parse_address_list("x" * 251 + " <a@b>, (" + "y" * 249 + ")")
    assert format_external(nodes).startswith("<a@b>, <")
    assert oversized(parse_address_list("é" * 130 + " <a@b>"))
    assert not oversized(parse_address_list("é" * 120 + " <a@b>"))
    assert not oversized(parse_address_list("a@" + "b" * 400))


def test_controls_are_wiped() -> None:
    """No line end or escape gets back into a header."""
    assert format_external(parse_address_list('"a\x1bb\nc"@d (x\ry\x00)')) == '"a b c"@d (x y )'


@given(st.text(st.sampled_from('ab@.,:;<>()[]"\\ \t\né\udc80'), max_size=60))
def test_any_text_is_read(text: str) -> None:
    """Nothing raises, and what was written reads back as the same addresses."""
    nodes = parse_address_list(text)
    format_internal(nodes)
    external = format_external(nodes)
    assert "\n" not in external
    assert "\r" not in external
