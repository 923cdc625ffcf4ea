"""pattern_entries: the rules of a table of patterns as they are written, for who looks at a table and asks it nothing.

Source: cidr_table(5), pcre_table(5), regexp_table(5).
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from posthouse.tables.patterns import split_pattern
from posthouse.tables.rules import RuleError, is_keyword
from posthouse.tables.source import BLANKS, logical_lines

KINDS: Final = ("cidr", "pcre", "regexp")
_LETTERS: Final = {"pcre": "imsxAEUX", "regexp": "imx!"}


class Written(NamedTuple):
    """One rule. pattern: with its delimiters, without flags; result: with its $1 as they are."""

    line: int
    pattern: str
    result: str


def pattern_entries(kind: str, text: str) -> Iterator[Written]:
    """Give the rules of a cidr:, pcre: or regexp: table; what is no rule is left out."""
    for line in logical_lines(text):
        rule = line.text.strip(BLANKS)
        if is_keyword(rule, "if") or is_keyword(rule, "endif"):
            continue
        try:
            pattern, result = _network(rule) if kind == "cidr" else _expression(rule, _LETTERS[kind])
        except RuleError:
            continue
        yield Written(line.number, pattern, result.strip(BLANKS))


def _network(rule: str) -> tuple[str, str]:
    pattern, _, result = rule.replace("\t", " ").partition(" ")
    return pattern, result


def _expression(rule: str, letters: str) -> tuple[str, str]:
    start = len(rule) - len(rule.lstrip("!" + BLANKS))
    first = split_pattern(rule[start:], letters)
    rest = first.rest
    if rest.startswith("!") and "!" in letters:
        rest = split_pattern(rest[1:], letters).rest
    delimiter = rule[start]
    return f"{delimiter}{first.pattern}{delimiter}", rest
