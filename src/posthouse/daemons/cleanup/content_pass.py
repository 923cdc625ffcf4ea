"""ContentPass: the content of one message on its way through header and body checks and the strict_* rules.

Octets in (`feed`, `close`), octets as they go into the queue out (`take`); what the checks say of the message is put
into its envelope. The message's own header is checked as it came and then edited, as without checks. Memory: that
header, one line, and what was not taken. The event loop goes on between pieces, however many patterns there are.
Sources: header_checks(5); facts B07.13 to B07.19, B07.26.
"""

import asyncio
import re
from typing import Final, Protocol

from posthouse.daemons.cleanup.content_rules import ContentRules
from posthouse.daemons.cleanup.header import HeaderEditor, is_eight_bit
from posthouse.daemons.cleanup.header_size import cut_header
from posthouse.daemons.cleanup.origin import Origin
from posthouse.daemons.cleanup.outcome import WRITE_ERROR, Refusal, RefusedError
from posthouse.filters.actions import LAST, Action, Verb
from posthouse.filters.content_checks import MIME_HEADERS, Line, Prepended, log_line, parameter_for
from posthouse.ipc.message import Envelope
from posthouse.ipc.record import replace
from posthouse.protocol.message.mime_events import (
    BodyChunk,
    BodyLine,
    Event,
    Found,
    HeaderField,
    HeadersEnd,
    Part,
    Problem,
)
from posthouse.protocol.status import split_status
from posthouse.protocol.text import printable
from posthouse.util import log
from posthouse.util.errors import TableError
from posthouse.util.turns import Turns

PIECE: Final = 16 * 1024  # octets that are parsed at once
SHOWN: Final = 200  # octets of a line in the log
DISALLOWED: Final = Action(Verb.REJECT, "5.7.1 disallowed character")
_MEDIA: Final = "5.6.0"  # RFC 3463 3.7: other or undefined media error
_ENCODING: Final = b"content-transfer-encoding"
_NOT_FOLDED: Final = re.compile(rb"\n+(?![ \t\n])")
# The reason that counts, when there are several.
_ORDER: Final = (
    Problem.NESTING,
    Problem.EIGHT_BIT_HEADER,
    Problem.EIGHT_BIT_BODY,
    Problem.ENCODING_DOMAIN,
    Problem.NON_EMPTY_END,
)


class Message(Protocol):
    """What is known of a message; the checks write their decisions into the envelope."""

    envelope: Envelope


class ContentPass:
    """See the module's docstring. message_id, encoding and header are known when the content is complete."""

    def __init__(self, rules: ContentRules, editor: HeaderEditor, message: Message, origin: Origin) -> None:
        self.message_id = ""
        self.encoding = ""
        self.header = b""  # the message's own, as it goes into the queue
        self._rules, self._editor, self._message, self._origin = rules, editor, message, origin
        self._parser = rules.parser()
        self._filters = rules.filters(message.envelope)
        self._checks = self._refuses = self._filters  # still; lines and characters, and what is wrong as such
        self._line = b""  # the end of what has come, where it is no whole line; what the log shows of it
        self._header: list[bytes] = []
        self._inserts: list[tuple[int, bytes]] = []  # that checks put before headers, and where
        self._header_size = 0
        self._found: set[Problem] = set()
        self._copies: dict[str, None] = {}  # who gets one
        self._skips = False  # the next body event is the parser's own
        self._out: list[bytes] = []
        self._told: list[tuple[Action, str]] = []

    async def feed(self, data: bytes) -> None:
        """Take content. Raises RefusedError, TemporaryError."""
        turns = Turns(asyncio.get_running_loop())
        for start in range(0, len(data), PIECE):
            await self._piece(data[start : start + PIECE], turns)

    async def close(self) -> None:
        """Take the end of the content. Raises RefusedError, TemporaryError."""
        await self._handle(self._parser.close(), Turns(asyncio.get_running_loop()))
        for problem in _ORDER:
            if problem in self._found:
                raise RefusedError(Refusal(550, _MEDIA, problem.summary))
        if self._copies:
            envelope = self._message.envelope
            self._message.envelope = replace(envelope, bcc=(*envelope.bcc, *self._copies))

    def take(self) -> bytes:
        """Take what has been looked at."""
        content = b"".join(self._out)
        self._out.clear()
        return content

    # --- content ---------------------------------------------------------------------------------------------------

    async def _piece(self, data: bytes, turns: Turns) -> None:
        if self._rules.replaces_cr and b"\r" in data:
            data = data.replace(b"\r", b" ")
        rejected = self._rules.rejected
        if self._checks and rejected is not None:
            found = rejected.search(data)
            start = data.rfind(b"\n", 0, found.start() if found else len(data)) + 1
            line = data[start : start + SHOWN] if start else (self._line + data)[:SHOWN]
            if found is not None:
                await self._pass(data[:start], turns)  # what is before it is looked at first
                await self._reject_character(line.partition(b"\n")[0])
                data = data[start:]
            self._line = line
        await self._pass(data, turns)

    async def _reject_character(self, line: bytes) -> None:
        if self._checks:
            self._told.append((DISALLOWED, f"content {printable(line).decode()}"))
            await self._log()
            self._act(DISALLOWED)

    async def _pass(self, data: bytes, turns: Turns) -> None:
        if self._filters and self._rules.stripped:
            data = data.translate(None, self._rules.stripped)
        await self._handle(self._parser.feed(data), turns)

    async def _handle(self, events: list[Event], turns: Turns) -> None:
        for event in events:
            match event:
                case BodyLine():
                    await self._body_line(event)
                case BodyChunk():
                    self._put(event.data)
                case HeaderField():
                    await self._header_field(event)
                case HeadersEnd():
                    await self._end_header()
                case Found():
                    await self._problem(event)
                case _:
                    pass
            await turns.rest()

    def _put(self, data: bytes) -> None:
        if self._skips:
            self._skips = False
        else:
            self._out.append(data)

    async def _body_line(self, line: BodyLine) -> None:
        if not self._checks or not line.data:
            self._put(line.data + b"\n" if line.complete else line.data)
            return
        for one in await self._checked(line):
            goes_on = isinstance(one, BodyLine) and not one.complete
            self._out.append(one.data if goes_on else one.data + b"\n")

    # --- headers ---------------------------------------------------------------------------------------------------

    async def _header_field(self, field: HeaderField) -> None:
        for line in await self._checked(field) if self._checks else (field,):
            text = _NOT_FOLDED.sub(b"\n\t", line.data.rstrip(b"\n")) if line is not field else line.data
            if field.part is not Part.MAIN:
                self._out.append(cut_header(text, self._rules.header_size) + b"\n")
                self._note_encoding(field.name, text)
            elif isinstance(line, Prepended) or (line is not field and field.name in MIME_HEADERS):
                self._inserts.append((self._header_size, text + b"\n"))
            else:
                self._header.append(text + b"\n")
                self._header_size += len(text) + 1

    def _note_encoding(self, name: bytes, text: bytes) -> None:
        if name == _ENCODING and self._rules.detects_encoding and is_eight_bit(text[len(_ENCODING) + 1 :]):
            self.encoding = "8bit"

    async def _end_header(self) -> None:
        header = b"".join(self._header)
        self._header.clear()
        edited = await self._editor.edit(header, self._message.envelope, self._inserts)
        self.message_id, self.encoding = edited.message_id, edited.encoding
        self.header = edited.content
        self._out.append(edited.content)
        if self._skips:
            self._out.append(self._editor.separator)

    # --- what is found ---------------------------------------------------------------------------------------------

    async def _problem(self, found: Found) -> None:
        if found.problem is Problem.NON_EMPTY_END:
            self._skips = True
        if not self._refuses or found.problem not in self._rules.refused:
            return
        self._found.add(found.problem)
        queue_id, text = self._message.envelope.queue_id, printable(found.text).decode()
        where = await self._origin.short()
        log.info(
            f"{queue_id}: reject: mime-error {found.problem.words}: {text} {where}",
            event="content",
            queue_id=queue_id,
            action="reject",
        )

    async def _checked(self, line: Line) -> tuple[Line | Prepended, ...]:
        try:
            verdict = await self._rules.checks.check(line, self._tell)
        except TableError as error:
            queue_id, name = self._message.envelope.queue_id, parameter_for(line)
            log.warning(f"{queue_id}: {name} map lookup problem -- message not accepted, try again later")
            raise RefusedError(WRITE_ERROR) from error
        if self._told:
            await self._log()
        if verdict.action.verb is not Verb.DUNNO:
            self._act(verdict.action)
        return verdict.lines

    def _tell(self, action: Action, what: str) -> None:
        if action.verb is not Verb.HOLD or not self._message.envelope.hold:  # that is said once
            self._told.append((action, what))

    async def _log(self) -> None:
        told, self._told = self._told, []
        queue_id, where = self._message.envelope.queue_id, await self._origin.full()
        for action, what in told:
            text = log_line(queue_id, action, what, where)
            log.info(text, event="content", queue_id=queue_id, action=action.verb.value)

    def _act(self, action: Action) -> None:
        """Do what the table says. Raises RefusedError."""
        message, text = self._message, action.text
        match action.verb:
            case Verb.REJECT:
                status, words = split_status(text, "5.7.1")
                raise RefusedError(Refusal(550 if status[0] == "5" else 451, status, words))
            case Verb.DISCARD:
                message.envelope = replace(message.envelope, discard=text or "content checks")
                self._refuses = False
                self._found.clear()
            case Verb.HOLD:
                message.envelope = replace(message.envelope, hold=message.envelope.hold or text or "content checks")
            case Verb.FILTER:
                message.envelope = replace(message.envelope, filter=text)
            case Verb.REDIRECT:
                message.envelope = replace(message.envelope, redirect=text)
            case Verb.BCC:
                self._copies[text] = None
            case _:
                pass
        if action.verb in LAST:
            self._checks = False
