"""Header and body checks for applications, over the events of MimeParser; and how a header block is ended."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from posthouse.api.calls import answer, opener, reported
from posthouse.api.mime import MimeEvent
from posthouse.config.lists import parse_items
from posthouse.filters import content_checks as checks
from posthouse.filters.actions import Action
from posthouse.protocol.message import mime
from posthouse.protocol.message.mime_events import BodyChunk, BodyLine, Found, HeaderField, Part, Problem
from posthouse.tables.open import open_maps
from posthouse.util import log

__all__ = ["ContentChecks", "RejectMessage", "end_header_block"]

_NOTICE: Final = b"MIME-Error: message header was not terminated by empty line"
_STATUS: Final = "5.6.0"  # RFC 3463 3.7: other or undefined media error


class RejectMessage(Exception):
    """The message is not to be accepted; str() is the reason."""


class ContentChecks:
    """The tables with the rules; an empty specification checks nothing."""

    def __init__(
        self,
        header_checks: str = "",
        mime_header_checks: str = "",
        nested_header_checks: str = "",
        body_checks: str = "",
        queue_id: str = "",
        base_dir: str | None = None,
    ) -> None:
        tables = opener(base_dir)
        specs = (header_checks, mime_header_checks, nested_header_checks, body_checks)
        with reported():
            maps = [open_maps(parse_items(spec), tables, checks.FLAGS) for spec in specs]
        self._checks = checks.ContentChecks(checks.Tables(*maps))
        self._queue_id = queue_id

    def check(self, event: MimeEvent) -> list[MimeEvent]:
        """Give what takes the place of a header or body event. Raises TemporaryError: a table cannot be asked."""
        verdict = answer(self._checks.check(_line(event), partial(_report, self._queue_id)))
        return [
            MimeEvent("prepended", line.data)
            if isinstance(line, checks.Prepended)
            else MimeEvent(event.kind, line.data, event.part, event.offset, event.complete)
            for line in verdict.lines
        ]


def _report(queue_id: str, action: Action, what: str) -> None:
    log.info(checks.log_line(queue_id, action, what))


def _line(event: MimeEvent) -> checks.Line:
    """Give the parser's own event. Raises ValueError: neither a header nor a body line."""
    if event.kind == "header":
        name = event.data.partition(b":")[0].rstrip(b" \t").lower()
        return HeaderField(Part(event.part), name, event.data, event.offset)
    if event.kind == "body":
        return BodyLine(event.data, event.offset, event.complete)
    raise ValueError(f"no header and no body line: {event.kind}")


def end_header_block(lines: Sequence[bytes], action: str = "fix_quietly") -> list[bytes]:
    """Put an empty line between a header and text that follows it without one.

    action: fix_quietly, add_header (say so in a header as well) or reject. Raises RejectMessage; ValueError: another
    action. Source: postconf(5), non_empty_end_of_header_action.
    """
    if action not in ("fix_quietly", "add_header", "reject"):
        raise ValueError(f"bad action: {action}")
    parser = mime.MimeParser()
    parts: list[bytes] = []
    for event in (*parser.feed(b"".join([line + b"\n" for line in lines])), *parser.close()):
        match event:
            case Found(Problem.NON_EMPTY_END) if action == "reject":
                raise RejectMessage(f"{_STATUS} {event.problem.summary}")
            case Found(Problem.NON_EMPTY_END) if action == "add_header":
                parts.append(_NOTICE + b"\n")
            case HeaderField():
                parts.append(event.data + b"\n")
            case BodyChunk():
                parts.append(event.data)
            case _:
                pass
    return b"".join(parts).split(b"\n")[:-1]
