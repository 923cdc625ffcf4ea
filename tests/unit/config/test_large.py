"""Inputs that would take for ever, or all memory, in a parser that goes back or doubles: a megabyte each."""

import contextlib

import pytest

from posthouse.config import edit, lists
from posthouse.config.expand import MAX_EFFORT, ExpansionLoopError, domain_to_ascii, expand_value
from posthouse.config.logical import logical_lines
from posthouse.config.main_cf import parse_main_cf
from posthouse.config.master_cf import parse_master_cf, parse_service
from posthouse.config.rows import check_setting
from posthouse.config.usage import comment_faults, find_usage, references

MEGABYTE = 1_000_000


def test_names_that_double_each_other_end() -> None:
    """Thirty lines would make a gigabyte."""
    names = {f"n{i}": f"$n{i + 1}$n{i + 1}" for i in range(30)} | {"n30": "x"}
    with pytest.raises(ExpansionLoopError, match="too much text"):
        expand_value("$n0", names.get)


def test_a_large_value_many_times_ends() -> None:
    """It is the text that counts, not the references."""
    with pytest.raises(ExpansionLoopError, match="too much text"):
        expand_value("$a" * 30, {"a": "x" * MEGABYTE}.get)
    assert len(expand_value("$a" * 3, {"a": "x" * MEGABYTE}.get).text) == 3 * MEGABYTE < MAX_EFFORT


@pytest.mark.parametrize("opening", ["${a?{", "${{", "${a?", "$(", "${a:{${a?{"])
def test_nested_references_end(opening: str) -> None:
    """Open: wrong syntax. Closed again: wrong or without text (an alternative that is not taken), or too deep."""
    closing = {"{": "}", "(": ")"}
    count = MEGABYTE // len(opening)
    ending = "".join(closing[character] for character in reversed(opening) if character in closing)
    assert expand_value(opening * count, {"a": "x"}.get).syntax_error
    with contextlib.suppress(ExpansionLoopError):
        result = expand_value(opening * count + ending * count, {"a": "x"}.get)
        assert result.syntax_error or not result.text


def test_many_references_are_fine() -> None:
    """A list of a megabyte with a name in each item is odd, and legal."""
    assert expand_value("$a, " * (MEGABYTE // 4), {"a": "x"}.get).text == "x, " * (MEGABYTE // 4)


def test_long_labels_are_not_encoded() -> None:
    """The encoding of names takes quadratic time; what is longer than a label can be is left alone."""
    assert domain_to_ascii("\u00e4" * MEGABYTE) == "\u00e4" * MEGABYTE
    assert domain_to_ascii("\u00e4" * 10).startswith("xn--")


@pytest.mark.parametrize("text", ["{" * MEGABYTE, "}" * MEGABYTE, "{}" * (MEGABYTE // 2), "{ } " * (MEGABYTE // 4)])
def test_lists_of_braces_end(text: str) -> None:
    """Split, unwrapped, searched."""
    faults: list[str] = []
    items = lists.split_payloads(text, faults)
    assert len(items) == (MEGABYTE // 4 if text.startswith("{ ") else 1)
    assert lists.is_balanced(text) == (not text.startswith("{{"))
    assert list(comment_faults(f"inline:{text}")) == []


@pytest.mark.parametrize("text", ['"' * MEGABYTE, "\\" * MEGABYTE, '"\\' * (MEGABYTE // 2), 'a"b ' * (MEGABYTE // 4)])
def test_quotes_end(text: str) -> None:
    """Nothing is lost, and nothing is tried twice."""
    assert sum(map(len, lists.split_words(text, quotes=True))) >= MEGABYTE * 3 // 4


@pytest.mark.parametrize(
    "line", ["a" * MEGABYTE, "a = " + "$" * MEGABYTE, "a = ${" + " " * MEGABYTE, "a = " + "$ " * 500_000]
)
def test_long_lines_of_main_cf_end(line: str) -> None:
    """Read, searched and edited."""
    data = line.encode() + b"\n"
    if "=" in line:
        values = parse_main_cf(data, "main.cf").values
        assert find_usage(values, ()).unused == ("a",)
        assert references(values["a"]) == []
    assert edit.set_parameters(data, {"b": "c"})[0] == data + b"b = c\n"


def test_many_lines_end() -> None:
    """Half a million continuation lines are one line."""
    data = b"a =\n" + b" x\n" * (MEGABYTE // 3)
    assert len(list(logical_lines(data))) == 1
    assert edit.set_parameters(data, {"a": "b"})[0] == b"a = b\n"


def test_long_lines_of_master_cf_end() -> None:
    """A service with a hundred thousand arguments, and one with a very long one."""
    words = " ".join(["word"] * 100_000)
    service, odd = parse_service(f"a unix - - - - - x -o b={'c' * MEGABYTE} {words}")
    assert odd == ()
    assert len(service.plain_arguments) == 100_000
    many = b"".join(b"s%d unix - - - - - smtp -o a=$b\n" % number for number in range(2000))
    master = parse_master_cf(many, "master.cf")
    assert len(find_usage({"b": "x"}, master.services).unused_overrides) == 2000


@pytest.mark.parametrize(
    "name", ["relayhost", "mynetworks", "smtpd_timeout", "message_size_limit", "virtual_alias_maps"]
)
def test_long_values_are_checked(name: str) -> None:
    """Each with a value of a megabyte of digits; it is refused or taken."""
    is_number = name in ("smtpd_timeout", "message_size_limit")
    with (
        pytest.raises(ValueError, match="111")
        if is_number or name == "virtual_alias_maps"
        else contextlib.nullcontext()
    ):
        check_setting(name, "1" * MEGABYTE)
