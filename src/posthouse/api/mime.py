"""The structure of a message for applications: its headers and the lines of its bodies, one after the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from posthouse.api.calls import reported
from posthouse.protocol.message import mime
from posthouse.protocol.message.mime_events import (
    BodyLine,
    Event,
    Found,
    HeaderField,
    HeadersEnd,
    Limits,
    MessageEnd,
)
from posthouse.protocol.text import printable
from posthouse.util import log

__all__ = ["MimeEvent", "MimeParser"]

_CHUNK: Final = 65536  # octets


@dataclass(frozen=True, slots=True)
class MimeEvent:
    """A step through a message.

    kind: header, end_of_headers, body, end_of_message, or prepended (by ContentChecks). part, of a header: main,
    multipart or nested. offset: in its block. complete: false for a piece of a long line that goes on.
    """

    kind: str
    data: bytes = b""
    part: str = ""
    offset: int = 0
    complete: bool = True


class MimeParser:
    """Parses one message. problems: names of what is wrong with it, complete when it is parsed."""

    def __init__(
        self,
        header_size_limit: int = 102_400,
        nesting_limit: int = 100,
        boundary_limit: int = 2048,
        line_length_limit: int = 1024,
        downgrade: bool = False,
    ) -> None:
        limits = Limits(nesting_limit, header_size_limit, boundary_limit, line_length_limit)
        self._parser = mime.MimeParser(limits, body_lines=mime.ALL_LINES, downgrade=downgrade)

    @property
    def problems(self) -> set[str]:
        """Names of the problems found so far."""
        return {problem.short for problem in self._parser.problems}

    def parse(self, message: bytes) -> Iterator[MimeEvent]:
        """Step through the message. The first problem of each kind is logged where it is found."""
        for event in self._events(message):
            if isinstance(event, Found):
                with reported():
                    log.warning(f"{event.problem.words}: {printable(event.text).decode()}")
            else:
                yield _shown(event)

    def _events(self, message: bytes) -> Iterator[Event]:
        for start in range(0, len(message), _CHUNK):
            yield from self._parser.feed(message[start : start + _CHUNK])
        yield from self._parser.close()


def _shown(event: Event) -> MimeEvent:
    match event:
        case HeaderField():
            return MimeEvent("header", event.data, event.part.value, event.offset)
        case BodyLine():
            return MimeEvent("body", event.data, "", event.offset, event.complete)
        case HeadersEnd():
            return MimeEvent("end_of_headers")
        case _:
            assert isinstance(event, MessageEnd), "bodies come as lines"
            return MimeEvent("end_of_message")
