"""The rule files of regexp, pcre and cidr tables: rules in order, with if ... endif blocks around them.

Knows lines and nesting, not what a pattern means. A wrong rule is reported and skipped, the others stay.
Sources: regexp_table(5), pcre_table(5), cidr_table(5).
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from posthouse.config.lists import is_balanced, split_tokens
from posthouse.tables.file_table import Origin
from posthouse.tables.source import BLANKS, Line, logical_lines
from posthouse.tables.table import TableFlags, files_as_value
from posthouse.util import log

Test = Callable[[str], bool]
_SEPARATORS: Final = frozenset(", \t\r\n")


class RuleError(ValueError):
    """A rule cannot be used; the text is what the log says about it."""


def inline_rules(name: str, kind: str) -> str | None:
    """Give the lines of {{rule}, {rule}}, or None when the name is a file's. Raises ValueError: wrong syntax."""
    if not name.startswith("{"):
        return None
    try:
        return lines_in_braces(name)
    except ValueError as error:
        raise ValueError(f"{kind} map: {error}") from None


def lines_in_braces(text: str) -> str:
    """Give the lines of {{rule}, {rule}}, each ended by a newline. Raises ValueError: wrong syntax."""
    if not text.startswith("{"):
        raise ValueError(f"syntax error before '{{' in \"{text}\"")
    if not text.endswith("}"):
        raise ValueError(f"syntax error after '}}' in \"{text}\"")
    if not is_balanced(text):
        raise ValueError(f"missing '}}' in \"{text}\"")
    lines = []
    for item in split_tokens(text[1:-1], _SEPARATORS):
        if not item.startswith("{"):
            raise ValueError(f"syntax error before '{{' in \"{item}\"")
        if not item.endswith("}"):
            raise ValueError(f"syntax error after '}}' in \"{item}\"")
        lines.append(item[1:-1].strip() + "\n")
    return "".join(lines)


class Reporter:
    """Where mistakes in rules are reported: "TYPE map NAME, line N: ..."."""

    def __init__(self, origin: Origin) -> None:
        self._place = f"{origin.type} map {origin.name}"
        self._line = 0

    def at(self, line: int) -> None:
        """Say which line comes now."""
        self._line = line

    def __call__(self, problem: str) -> None:
        """Report something about the present line."""
        log.warning(f"{self._place}, line {self._line}: {problem}")


def rule_lines(text: str, reporter: Reporter) -> Iterator[Line]:
    """Give the logical lines, blanks at the end removed."""
    for line in logical_lines(text):
        reporter.at(line.number)
        yield Line(line.number, line.text.rstrip(BLANKS))


def is_keyword(text: str, word: str) -> bool:
    """Tell whether a line begins with "if" or "endif", in any case."""
    end = len(word)
    return text[:end].lower() == word and not (text[end : end + 1].isascii() and text[end : end + 1].isalnum())


class OpenBlock(NamedTuple):
    """An if block that is not closed yet."""

    line: int
    test: Test


def result_of(text: str, flags: TableFlags, base_dir: str) -> str:
    """Give the text that a rule returns. Raises RuleError: it names a file that cannot be read."""
    if not flags.value_is_file:
        return text
    try:
        return files_as_value(text, base_dir)
    except ValueError as error:
        raise RuleError(str(error)) from None
