"""Tables with the order of what is looked up in them."""

import pytest

from posthouse.tables.map_spec import MapSpec, parse_map_spec

NAMES = ("cert", "key")


@pytest.mark.parametrize(
    ("text", "table", "order"),
    [
        ("hash:/a/b", "hash:/a/b", None),
        ("inline:{a=b, c=d}", "inline:{a=b, c=d}", None),
        ("{hash:/a/b}", "hash:/a/b", None),
        ("{ hash:/a/b, { search_order = key, cert } }", "hash:/a/b", ("key", "cert")),
        ("{hash:/a/b search_order=key}", "hash:/a/b", ("key",)),
        ("{hash:/a/b search_order=}", "hash:/a/b", ()),
        ("{inline:{a=b, c=d} {search_order = {cert}}}", "inline:{a=b, c=d}", ("cert",)),
    ],
)
def test_specifications(text: str, table: str, order: tuple[str, ...] | None) -> None:
    """With and without braces."""
    assert parse_map_spec(text, NAMES) == MapSpec(table, order)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected maptype:mapname instead of ''"),
        ("hash", "malformed map specification: 'hash': expected maptype:mapname instead of 'hash'"),
        (":a", "expected maptype:mapname"),
        ("hash:", "expected maptype:mapname"),
        ("inline:{a=b", "missing '}' in \"inline:{a=b\""),
        ("{hash:/a", "missing '}' in \"{hash:/a\""),
        ("{hash:/a} x", "syntax error after '}' in \"{hash:/a} x\""),
        ("{}", "empty map specification: '{}'"),
        ("{hash}", "expected maptype:mapname instead of 'hash'"),
        ("{hash:/a order=key}", "unknown map attribute in '{hash:/a order=key}': 'order'"),
        ("{hash:/a key}", "malformed map attribute in '{hash:/a key}': 'missing '=' after attribute name'"),
        ("{hash:/a {search_order=key}x}", "syntax error after '}'"),
        ("{hash:/a {search_order = key, name}}", "'name' in '{hash:/a {search_order = key, name}}'"),
    ],
)
def test_mistakes(text: str, why: str) -> None:
    """The reason shows the text."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse_map_spec(text, NAMES)
    assert why in str(caught.value)
