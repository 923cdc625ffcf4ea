"""The configuration language for applications: expansion, lists, lines, levels, times.

Thin: what the functions of posthouse.config report as values is logged here, to the logger `posthouse.config`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from posthouse.config import endpoints, lists, logical
from posthouse.config import expand as language
from posthouse.config.expand import Expansion
from posthouse.config.level import CompatLevel
from posthouse.config.lists import split_name_value
from posthouse.config.logical import LogicalLine
from posthouse.config.parameter import parse_time
from posthouse.config.rows import check_setting
from posthouse.protocol import queue_id
from posthouse.util import delay

__all__ = [
    "CompatLevel",
    "Expansion",
    "LogicalLine",
    "check_setting",
    "encode_number",
    "expand",
    "format_delay",
    "logical_lines",
    "parse_tcp_ports",
    "parse_time",
    "split_list",
    "split_name_value",
    "split_words",
]

_LOG: Final = logging.getLogger("posthouse.config")
_NUMBER_WIDTH: Final = 5  # characters that a number has at least, as the microseconds of a short queue ID


def expand(
    text: str,
    lookup: Callable[[str], str | None],
    functions: Mapping[str, Callable[[str], str]] | None = None,
    operators: Mapping[str, Callable[[str, str], bool]] | None = None,
) -> Expansion:
    """Expand $name, ${name?...}, comparisons and function calls, but not values in turn. Mistakes are logged."""
    result = language.expand(text, lookup, functions, operators)
    for problem in result.problems:
        _LOG.warning("%s", problem)
    return result


def split_list(text: str, name: str = "") -> tuple[str, ...]:
    """Split a list at commas and white space; `{ ... }` is one item. Wrong braces are logged."""
    faults: list[str] = []
    items = lists.split_payloads(text, faults)
    for fault in faults:
        _LOG.warning("%s: %s", name, fault)
    return items


def split_words(text: str, braces: bool = False, quotes: bool = False, comments: bool = False) -> tuple[str, ...]:
    """Split at white space; with `comments`, up to a word that begins with "#". Text before one is logged."""
    words = lists.split_words(text, braces=braces, quotes=quotes)
    if not comments:
        return words
    words, comment = lists.cut_comment(words)
    if words and comment:
        _LOG.warning("%s", lists.comment_fault(comment))
    return words


def logical_lines(data: bytes) -> Iterator[LogicalLine]:
    """Cut a file into logical lines. A continuation of nothing is logged and left out."""
    for line in logical.read_lines(data):
        if isinstance(line, LogicalLine):
            yield line
        else:
            text = line.text.decode("utf-8", "surrogateescape")
            _LOG.warning('logical line must not start with whitespace: "%s"', text)


def parse_tcp_ports(text: str, name: str = "known_tcp_ports") -> dict[str, int]:
    """Read "a = b = 25, ..." as ports by name; bad items are logged and left out."""
    ports, faults = endpoints.read_tcp_ports(text)
    for fault in faults:
        _LOG.warning("%s: %s", name, fault)
    return ports


def format_delay(seconds: float, digits: int = 2, decimals: int = 6) -> str:
    """Write a delay as the log does (seconds)."""
    return delay.format_delay(seconds, digits, decimals)


def encode_number(number: int, base: int) -> str:
    """Write a number with digits and consonants, at least five of them. Raises ValueError: no such base, or below 0."""
    if not 2 <= base <= len(queue_id.ALPHABET) or number < 0:
        raise ValueError(f"cannot write {number} in base {base}")
    return queue_id.encode_number(number, base).rjust(_NUMBER_WIDTH, "0")
