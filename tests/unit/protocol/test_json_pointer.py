"""JSON Pointer: the examples of RFC 6901, what is no pointer, and places that are not there."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.json_pointer import Missing, find, parse_pointer

DOCUMENT = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8}
FOUND: dict[str, object] = {
    "": DOCUMENT,
    "/foo": ["bar", "baz"],
    "/foo/0": "bar",
    "/": 0,
    "/a~1b": 1,
    "/c%d": 2,
    "/e^f": 3,
    "/g|h": 4,
    "/i\\j": 5,
    '/k"l': 6,
    "/ ": 7,
    "/m~0n": 8,
}


@pytest.mark.parametrize("pointer", FOUND)
def test_the_examples_of_the_rfc(pointer: str) -> None:
    """Section 5, in its own words."""
    assert find(DOCUMENT, parse_pointer(pointer)) == FOUND[pointer]


@pytest.mark.parametrize(
    "pointer", ["/bar", "/foo/2", "/foo/-", "/foo/00", "/foo/\u0660", "/foo/-1", "/foo/bar", "//x", "/m"]
)
def test_places_that_are_not_there(pointer: str) -> None:
    """Neither a missing name, nor an index beyond the end, nor a part below a value."""
    with pytest.raises(Missing):
        find(DOCUMENT, parse_pointer(pointer))


@pytest.mark.parametrize("pointer", ["foo", "/a~b", "/a~2", "/~", " /foo"])
def test_what_is_no_pointer(pointer: str) -> None:
    """It is refused when the table is opened, not at each lookup."""
    with pytest.raises(ValueError, match="no JSON Pointer"):
        parse_pointer(pointer)


@given(st.lists(st.text(max_size=5), min_size=1, max_size=4))
def test_any_names(names: list[str]) -> None:
    """A value under any names is found where the pointer is written by the rules."""
    document: object = "value"
    for name in reversed(names):
        document = {name: document}
    pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
    assert find(json.loads(json.dumps(document)), parse_pointer(pointer)) == "value"
