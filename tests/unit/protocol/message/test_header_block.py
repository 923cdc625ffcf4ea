"""HeaderBlock: any row of edits gives what a plain list would, and what is not edited is not touched."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.message.header_block import HeaderBlock, header_name, make_field, split_lines

NAMES = st.sampled_from([b"A", b"a", b"B", b"Received", b"RECEIVED", b"X-Long"])
VALUES = st.binary(max_size=12)
INDEXES = st.integers(1, 6)
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.just(1), NAMES, VALUES),
        st.tuples(st.sampled_from(["insert", "change", "delete"]), INDEXES, NAMES, VALUES),
    ),
    max_size=12,
)
FIELDS = st.lists(
    st.builds(
        lambda name, blank, value: name + blank + b":" + value, NAMES, st.sampled_from([b"", b" \t"]), VALUES
    ).map(lambda data: data.replace(b"\n", b"\n ")),
    max_size=8,
)
Model = list[tuple[int, bytes]]  # the number of the header it was, or -1; and its octets


def places(model: Model, name: bytes, own: int) -> list[int]:
    """Say where the headers of a name stand that filters may see."""
    return [at for at, (number, data) in enumerate(model) if header_name(data) == name.lower() and number != own]


def edit(model: Model, own: int, edit: tuple[str, int, bytes, bytes]) -> Model:
    """Do to a list what HeaderBlock does to itself."""
    kind, index, name, value = edit
    new = (-1, make_field(name, value))
    found = places(model, name, own)
    at = found[index - 1] if index <= len(found) else len(model)
    if kind == "append":
        return [*model, new]
    if kind == "insert":
        return [*model[: index - 1], new, *model[index - 1 :]]
    return [*model[:at], *([new] if kind == "change" else []), *model[at + 1 :]]


@given(FIELDS, EDITS)
def test_any_edits_give_what_a_list_would(fields: list[bytes], edits: list[tuple[str, int, bytes, bytes]]) -> None:
    """And headers that no edit named are identical, in their order."""
    block = HeaderBlock(fields)
    model = list(enumerate(fields))
    own = next((at for at, data in enumerate(fields) if header_name(data) == b"received"), -2)
    calls: dict[str, Callable[[int, bytes, bytes], Any]] = {
        "append": lambda _index, _name, data: block.append(data),
        "insert": lambda index, _name, data: block.insert(index, data),
        "change": block.change,
        "delete": lambda index, name, _data: block.delete(index, name),
    }
    for one in edits:
        kind, index, name, value = one
        calls[kind](index, name, make_field(name, value))
        model = edit(model, own, one)
    assert block.fields == [data for _, data in model]
    assert split_lines(b"\n".join([*block.fields, b""]).split(b"\n"))[0] == block.fields


@given(NAMES, st.binary(max_size=40))
def test_no_value_ends_its_header_or_begins_another(name: bytes, value: bytes) -> None:
    """Whatever a filter gives, it is one header."""
    field = make_field(name, value)
    assert split_lines(field.split(b"\n")) == ([field], field.count(b"\n") + 1)


def test_a_value_of_several_lines_is_folded() -> None:
    """Lines without a blank in front get a tab; line ends of the network become ours, and the last goes."""
    assert make_field(b"A", b"one\r\n two\nthree\r\n\n") == b"A: one\n two\n\tthree"


@pytest.mark.parametrize("name", [b"", b"A B", b"A:", b"A\nB", b"\xe4"])
def test_what_is_no_name_is_refused(name: bytes) -> None:
    """It would be a line of the body, or another header."""
    with pytest.raises(ValueError, match="no header name"):
        make_field(name, b"x")


def test_indexes_begin_at_one() -> None:
    """0 is a mistake of the caller, not the last header."""
    block = HeaderBlock([b"A: 1"])
    with pytest.raises(ValueError, match="counted from 1"):
        block.insert(0, b"B: 2")
    with pytest.raises(ValueError, match="counted from 1"):
        block.delete(0, b"A")


def test_where_the_header_ends() -> None:
    """At the first line that is neither a header nor the continuation of one."""
    assert split_lines([b"A: 1", b" 2", b"", b"B: 3"]) == ([b"A: 1\n 2"], 2)
    assert split_lines([b" 2", b"A: 1"]) == ([], 0)
    assert split_lines([b"A : 1", b"text: more", b"no header"]) == ([b"A : 1", b"text: more"], 2)
    assert split_lines([]) == ([], 0)
