"""The words of a command line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.smtp.words import split_command


@given(st.text(st.sampled_from('a <>":\\'), max_size=20))
def test_nothing_is_lost(line: str) -> None:
    """The words stand in the line in their order, with blanks between them only."""
    rest = line
    for word in split_command(line):
        before, found, rest = rest.partition(word.text)
        assert not before.strip(" ")
        assert found
    assert not rest.strip(" ")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mail FROM:<a b@c> size=1", ["mail", "FROM:", "<a b@c>", "size=1"]),
        ("rcpt to: <a>", ["rcpt", "to:", "<a>"]),
        ("xto:<a>", ["xto:<a>"]),
        ('vrfy "a b"@c', ["vrfy", '"a b"@c']),
        ('x <a"> "b>', ["x", '<a"> "b>']),
        ("x <<a>b> c", ["x", "<<a>b>", "c"]),
        ("x a\\ b \\", ["x", "a\\ b", "\\"]),
        ("  ", []),
    ],
)
def test_words(line: str, words: list[str]) -> None:
    """Brackets and quotes keep blanks."""
    found = split_command(line)
    assert [word.text for word in found] == words
    assert all(word.ok for word in found)


@pytest.mark.parametrize("line", ['"a b', "<a b", '<"a>', "<a\\>", '"a\\"', "a<", 'a"'])
def test_what_is_not_closed(line: str) -> None:
    """Reaches to the end of the line, and is marked."""
    (word,) = split_command(line)
    assert (word.text, word.ok) == (line, False)
