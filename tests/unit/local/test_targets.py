"""Right-hand sides of aliases and lines of .forward files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.daemons.local.targets import Kind, parse_targets, split_items


def shown(text: str) -> list[tuple[str, str]]:
    """Parse; kinds and values."""
    return [(target.kind.name, target.value) for target in parse_targets(text)]


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("joe", [("ADDRESS", "joe")]),
        ("joe, jane@x", [("ADDRESS", "joe"), ("ADDRESS", "jane@x")]),
        ("joe\njane", [("ADDRESS", "joe"), ("ADDRESS", "jane")]),
        ("Joe User <joe@x>", [("ADDRESS", "joe@x")]),
        ('"Joe, User" <joe@x>, jane', [("ADDRESS", "joe@x"), ("ADDRESS", "jane")]),
        ("joe@x (a comment, with a comma)", [("ADDRESS", "joe@x")]),
        ('"joe user"@x', [("ADDRESS", '"joe user"@x')]),
        ("\\joe", [("MAILBOX", "joe")]),
        ("/var/mail/list", [("FILE", "/var/mail/list")]),
        ("/home/joe/Maildir/", [("FILE", "/home/joe/Maildir/")]),
        ('"/file with blanks"', [("FILE", "/file with blanks")]),
        ("/dev/null", [("FILE", "/dev/null")]),
        ("|cat", [("COMMAND", "cat")]),
        ("| cat", [("COMMAND", "cat")]),
        ('"|cmd a, b"', [("COMMAND", "cmd a, b")]),
        ('"| cmd \\"quoted\\" a"', [("COMMAND", 'cmd "quoted" a')]),
        ('|"cmd a"', [("COMMAND", '"cmd a"')]),
        ('"|exec /usr/bin/procmail || exit 75"', [("COMMAND", "exec /usr/bin/procmail || exit 75")]),
        (":include:/etc/list", [("INCLUDE", "/etc/list")]),
        (":INCLUDE: /etc/list", [("INCLUDE", "/etc/list")]),
        ('":include:/etc/list"', [("INCLUDE", "/etc/list")]),
        ('# a comment, "with" (marks\njoe\n  # another\n\njane', [("ADDRESS", "joe"), ("ADDRESS", "jane")]),
        ("joe jane", [("ADDRESS", "joe"), ("ADDRESS", "jane")]),
        ('joe, "unbalanced\njane', [("ADDRESS", "joe"), ("ADDRESS", "unbalanced"), ("ADDRESS", "jane")]),
        ("joe (unbalanced, comment\njane", [("ADDRESS", "joe"), ("ADDRESS", "jane")]),
        ("joe@x\n#jane@x", [("ADDRESS", "joe@x")]),
        ("", []),
        (" ,, \n", []),
    ],
)
def test_each_form(text: str, targets: list[tuple[str, str]]) -> None:
    """aliases(5)."""
    assert shown(text) == targets


def test_an_unbalanced_quote_ends_with_the_text() -> None:
    """The address it makes fails; nothing is run."""
    assert all(kind == "ADDRESS" for kind, _ in shown('joe, "|cat'))


@given(st.text(st.characters(codec=None), max_size=60))
def test_no_text_makes_it_raise(text: str) -> None:
    """A .forward is what a user likes; nothing becomes a command that does not begin as one."""
    for target in parse_targets(text):
        assert target.kind is not Kind.COMMAND or "|" in text


@given(st.lists(st.text("abc@. ", min_size=1, max_size=5).filter(str.strip), max_size=5))
def test_items_without_quotes_are_cut_at_commas(items: list[str]) -> None:
    """And trimmed."""
    assert split_items(",".join(items)) == [item.strip() for item in items]
