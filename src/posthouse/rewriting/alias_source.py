"""The source text of alias tables: "name: value, value", as aliases(5) has it.

The name is stored without quotes, as Postfix up to 3.11 does; the value in external form, with quotes, to be parsed at
delivery. Sources: aliases(5), postalias(1).
"""

from collections.abc import Iterator

from posthouse.rewriting.tokens import COMMA, Token, external, find_first, find_last, internal, scan
from posthouse.tables.source import Entry, Report, logical_lines


def alias_entries(text: str, report: Report) -> Iterator[Entry]:
    """Read aliases; `report` gets "line N: what is wrong"."""
    for number, line in logical_lines(text, report):
        tokens = scan(line)
        if not tokens:
            continue
        colon = find_first(tokens, ":")
        name, value = tokens[:colon], tokens[colon + 1 :]
        if colon <= 0 or not value or COMMA in name:
            report(f"line {number}: need name:value pair")
        elif find_last(name, "@") >= 0 or find_last(name, "%") >= 0:
            report(f"line {number}: name must be local")
        elif not (written := _format(value)):  # a backslash that quotes nothing
            report(f"line {number}: need name:value pair")
        else:
            yield Entry(number, internal(name), written)


def _format(tokens: list[Token]) -> str:
    """Write a value: one blank after each comma."""
    parts, start = list[str](), 0
    for place, token in enumerate(tokens):
        if token == COMMA:
            parts.append(external(tokens[start:place]))
            start = place + 1
    parts.append(external(tokens[start:]))
    return ", ".join(parts)
