"""The report for people: indented steps, results in one column, an arrow before what decided, colours on a terminal."""

import os
from collections.abc import Iterator
from typing import Final, TextIO

from posthouse.commands.explain.model import Lookup, Report, Section, Step

INDENT: Final = "  "
COLUMN: Final = 46  # where results begin, if what is before leaves room
ARROW: Final = "=> "
GOOD, BAD, SOFT, DIM, BOLD, END = "\033[32m", "\033[31m", "\033[33m", "\033[2m", "\033[1m", "\033[0m"
FACTS: Final = frozenset({"value", "fact"})  # steps that say of an empty result that it is empty
EMPTY: Final = "(empty)"
NOT_REACHED: Final = "not reached"
COLOURS: Final = {"PERMIT": GOOD, "ok": GOOD, "REJECT": BAD, "DEFER": SOFT, "NOT ASKED": SOFT, NOT_REACHED: DIM}
ON_ONE_LINE: Final = frozenset(
    {"client", "command", "resolve"}
)  # steps whose text stands where others have their result


def wants_colour(stream: TextIO) -> bool:
    """Whether to colour: a terminal, and nobody has said NO_COLOR."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


class Painter:
    """Writes lines."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def lines(self, report: Report) -> Iterator[str]:
        """Give the lines of a report."""
        for section in report.sections:
            yield from self._section(section)
            yield ""
        for note in report.notes:
            yield f"{self._paint(SOFT, 'note')}  {note}"
        if report.decision:
            yield from (self._paint(BOLD, f"{ARROW}{line}".rstrip()) for line in report.decision.split("\n"))

    def _section(self, section: Section) -> Iterator[str]:
        yield self._paint(BOLD, section.title)
        for step in section.steps:
            yield from self._step(step, 1, "")

    def _step(self, step: Step, depth: int, said: str) -> Iterator[str]:
        """Give a step's lines. said: the reply to the command that it belongs to, which need not be repeated."""
        head = INDENT * depth + (ARROW if step.decided else "") + _head(step)
        result, texts = _result(step), step.text.split("\n") if step.text and step.text != said else []
        if step.kind in ON_ONE_LINE and texts:
            result, texts = f"{result}{texts[-1]}", []
        colour = COLOURS.get(step.result, "")
        place = self._paint(DIM, f"  {step.place}") if step.place else ""
        gap = "" if len(head) < COLUMN else "  "
        yield (f"{head:<{COLUMN}}{gap}{self._paint(colour, result)}{place}" if result or place else head).rstrip()
        inside = INDENT * (depth + 1)
        yield from self._lookups(step.lookups, depth + 1)
        yield from (f"{inside}{text}" for text in texts)
        yield from (self._paint(DIM, f"{inside}log: {line}") for line in step.log)
        for inner in step.steps:
            if step.kind != "list" or inner.result != NOT_REACHED:
                yield from self._step(inner, depth + 1, step.text if step.kind == "command" else said)
        if step.kind == "list":
            unreached = [_head(inner) for inner in step.steps if inner.result == NOT_REACHED]
            yield from (self._paint(DIM, f"{inside}{NOT_REACHED}: {', '.join(each)}") for each in [unreached] if each)

    def _lookups(self, lookups: list[Lookup], depth: int) -> Iterator[str]:
        """Keys that were not found share a line; what was found has its own."""
        missed: list[str] = []
        table = ""
        for lookup in lookups:
            if lookup.value is None and not lookup.error:
                if table != lookup.table and missed:
                    yield _missed(table, missed, depth)
                    missed = []
                table = lookup.table
                missed.append(lookup.key)
                continue
            if missed:
                yield _missed(table, missed, depth)
                missed = []
            yield self._found(lookup, depth)
        if missed:
            yield _missed(table, missed, depth)

    def _found(self, lookup: Lookup, depth: int) -> str:
        answer = f"cannot be asked: {lookup.error}" if lookup.error else f'"{lookup.value}"'
        place = self._paint(DIM, f"  {lookup.place}") if lookup.place else ""
        note = self._paint(SOFT, f"  ({lookup.note})") if lookup.note else ""
        return f'{INDENT * depth}{lookup.table}: "{lookup.key}" is {answer}{place}{note}'

    def _paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{END}" if self._colour and colour and text else text


def _missed(table: str, keys: list[str], depth: int) -> str:
    return f"{INDENT * depth}{table}: not there: " + ", ".join(f'"{key}"' for key in keys)


def _head(step: Step) -> str:
    return f"{step.name} {step.argument}" if step.argument else step.name


def _result(step: Step) -> str:
    """Give what stands before the text on the same line, or alone."""
    if step.kind == "command":
        return ""
    if step.kind in FACTS and not step.result:
        return EMPTY
    return f"{step.result}, " if step.kind == "resolve" and step.text else step.result
