"""Conversion: what is done to the content of one message on its way out.

Checks, generic addresses, and 8-bit parts to 7 bits. Content comes in pieces and goes on in pieces; kept is at most
what MimeParser keeps. Content that none of it concerns does not come here. Sources: header_checks(5), generic(5),
RFC 6152 3; facts B10.10, B10.17.
"""

from functools import partial
from typing import Final

from posthouse.daemons.smtp.content_rules import ContentRules
from posthouse.filters.actions import Action
from posthouse.filters.content_checks import Line, Prepended, log_line
from posthouse.protocol.message.mime import MimeParser
from posthouse.protocol.message.mime_events import BodyChunk, BodyLine, Event, Found, HeaderField, Part, Problem
from posthouse.util import log
from posthouse.util.turns import Turns

SHOWN: Final = 60  # characters of a line in the log: fewer than cleanup(8) shows, as with Postfix
_LINES: Final = 16  # between two looks at the clock
_LABELS: Final = (b"8bit", b"binary")  # only parts that say so are converted


class ConversionError(Exception):
    """The content cannot be converted for this server. str(): why."""


def may_be_converted(content: bytes) -> bool:
    """Whether there may be a part that says that it is 8-bit: a quick look at whole content."""
    lower = content.lower()
    return any(label in lower for label in _LABELS)


class Conversion:
    """One message on its way to one server."""

    def __init__(self, rules: ContentRules, turns: Turns, queue_id: str, *, downgrade: bool) -> None:
        self.turns = turns
        self.by_lines = rules.body_lines > 0
        self._lines = 0
        self._checks = rules.checks
        self._generic = rules.generic
        self._downgrade = downgrade
        self._report = partial(_report, queue_id)
        self._parser = MimeParser(rules.limits, body_lines=rules.body_lines, downgrade=downgrade)

    async def feed(self, data: bytes) -> bytes:
        """Take the next piece; give what is decided. Raises ConversionError, TableError."""
        return await self._written(self._parser.feed(data))

    async def finish(self) -> bytes:
        """Take the end; give the rest. Raises as feed."""
        return await self._written(self._parser.close())

    async def _written(self, events: list[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if isinstance(event, BodyChunk):
                out.append(event.data)
            elif isinstance(event, HeaderField | BodyLine):
                await self._add(event, out)
            elif isinstance(event, Found) and event.problem is Problem.NESTING and self._downgrade:
                raise ConversionError(event.problem.words)
        return b"".join(out)

    async def _add(self, line: Line, out: list[bytes]) -> None:
        """Write what becomes of a header, or of a line (or piece of one) that checks look at."""
        lines: tuple[Line | Prepended, ...] = (line,)
        if self._checks is not None:
            self._lines += 1
            if not self._lines % _LINES:
                await self.turns.rest()
            if line.data:
                lines = (await self._checks.check(line, self._report)).lines
        for one in lines:
            data = one.data
            if isinstance(one, HeaderField) and one.part is Part.MAIN and self._generic is not None:
                data = await self._generic.rewrite(one.name, data, self.turns)
            goes_on = isinstance(one, BodyLine) and not one.complete
            out.append(data if goes_on else data + b"\n")


def _report(queue_id: str, action: Action, what: str) -> None:
    place, blank, text = what.partition(" ")
    log.info(log_line(queue_id, action, place + blank + text[:SHOWN]))
