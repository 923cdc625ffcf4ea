"""The rules of pattern tables as written: what reading them without asking them gives."""

import pytest

from posthouse.tables.pattern_source import pattern_entries

RULES = {
    "regexp": ("/^a b/ x y\n", [(1, "/^a b/", "x y")]),
    "another pattern that must not match": ("/a/!/b\\/c/ OK\n", [(1, "/a/", "OK")]),
    "negated, with flags, over two lines": ("# c\n! !/a/imx\n  REJECT it\n", [(2, "/a/", "REJECT it")]),
    "blocks": ("if /x/\n/a/ OK\nendif\n", [(2, "/a/", "OK")]),
    "another delimiter": ("|a/b| OK\n", [(1, "|a/b|", "OK")]),
    "without a result": ("/a/\n", [(1, "/a/", "")]),
    "no rules": ("/a OK\n/a/q OK\nword OK\n", []),
}


@pytest.mark.parametrize("case", RULES)
def test_expressions(case: str) -> None:
    """Each rule has its line, its pattern and its result; what is no rule is left out."""
    text, wanted = RULES[case]
    assert [tuple(each) for each in pattern_entries("regexp", text)] == wanted


def test_networks() -> None:
    """The first word is the network."""
    text = "192.0.2.0/24\tREJECT no\n!10.0.0.0/8 OK\n"
    assert list(pattern_entries("cidr", text)) == [(1, "192.0.2.0/24", "REJECT no"), (2, "!10.0.0.0/8", "OK")]
