"""Source texts of postmap and postalias: lines, keys, values, and what is said about mistakes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.rewriting.alias_source import alias_entries
from posthouse.tables.source import entries, logical_lines


def _entries(text: str) -> tuple[list[tuple[str, str]], list[str]]:
    problems: list[str] = []
    found = [(entry.key, entry.value) for entry in entries(text, problems.append)]
    return found, problems


def test_logical_lines() -> None:
    """Comments and empty lines do not end a line; white space in front continues it."""
    text = "# comment\na b\n\n  # inside\n  c\n \nd e\n\tf\n"
    assert list(logical_lines(text)) == [(2, "a b  c"), (7, "d e\tf")]


def test_a_first_line_may_not_continue() -> None:
    """It is skipped, with a warning."""
    problems: list[str] = []
    assert list(logical_lines(" a b\nc d\n", problems.append)) == [(2, "c d")]
    assert problems == ['line 1: logical line must not start with whitespace: " a b"']


def test_keys_and_values() -> None:
    """Quotes and backslashes keep blanks in a key, and stay in it."""
    text = 'key  value with blanks \n"a b" c\na\\ b d\n"x\\" y"@z e\nlast f'
    assert _entries(text) == (
        [("key", "value with blanks"), ('"a b"', "c"), ("a\\ b", "d"), ('"x\\" y"@z', "e"), ("last", "f")],
        [],
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("key", "line 1: expected format: key whitespace value -- ignoring this line"),
        ('"key value', "line 1: unbalanced '\"' in '\"key value' -- ignoring this line"),
        ("key: value", 'line 1: record is in "key: value" format; is this an alias file?'),
    ],
)
def test_mistakes_in_maps(line: str, problem: str) -> None:
    """Each is reported with its line."""
    assert _entries(line + "\ngood one\n")[1] == [problem]
    assert ("good", "one") in _entries(line + "\ngood one\n")[0]


def test_aliases() -> None:
    """Names lose their quotes; values keep theirs, with one blank after each comma."""
    text = 'root:  a@b,"|cmd -x",:include:/list , /file\n"first last": x\nPostmaster:root\nlong: a,\n  b\n'
    assert [(entry.key, entry.value) for entry in alias_entries(text, lambda _: None)] == [
        ("root", 'a@b, "|cmd -x", :include:/list, /file'),
        ("first last", "x"),
        ("Postmaster", "root"),
        ("long", "a, b"),
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("root", "need name:value pair"),
        ("root:", "need name:value pair"),
        ("root:\\", "need name:value pair"),
        (": value", "need name:value pair"),
        ("a, b: c", "need name:value pair"),
        ("user@host: c", "name must be local"),
        ("user%host: c", "name must be local"),
    ],
)
def test_mistakes_in_aliases(line: str, problem: str) -> None:
    """Each is reported, and the line skipped."""
    problems: list[str] = []
    assert list(alias_entries(line + "\n", problems.append)) == []
    assert problems == [f"line 1: {problem}"]


@given(st.text())
def test_no_text_makes_reading_fail(text: str) -> None:
    """Whatever an administrator saves, every line is an entry or a problem."""
    problems: list[str] = []
    assert all(entry.key and entry.value for entry in entries(text, problems.append))
    assert all(entry.key and entry.value for entry in alias_entries(text, problems.append))
