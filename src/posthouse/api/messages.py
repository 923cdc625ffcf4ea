"""Messages as they stand in the queue, and the changes that a mail filter asks for, for applications."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from posthouse.api.calls import answer, opener, reported
from posthouse.config.lists import parse_items
from posthouse.config.parameter import parse_boolean
from posthouse.config.settings import Settings
from posthouse.filters import message_editor as editing
from posthouse.filters.actions import REJECTED, Action
from posthouse.filters.content_checks import FLAGS
from posthouse.filters.edited_envelope import EditedEnvelope, Recipient
from posthouse.protocol.message.header_block import HeaderBlock, split_lines
from posthouse.protocol.message.tokens import parse_addresses
from posthouse.rewriting.classes import LocalDomains, search_rules
from posthouse.tables.open import open_maps
from posthouse.util import log

__all__ = ["MessageEditor", "QueuedMessage", "Recipient"]

_QUEUE_ID: Final = "NOQUEUE"
_LOCAL: Final = ("localhost", "127.0.0.1")  # where a message has no client


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message with its envelope.

    recipients: in queue order. lines: header and body, without line ends. arrival: seconds since the epoch. ret: FULL,
    HDRS or "". envelope_id: decoded. reject: why the message is refused, or None.
    """

    sender: str
    recipients: Sequence[Recipient]
    lines: Sequence[bytes]
    arrival: float = 0.0
    ret: str = ""
    envelope_id: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    content_filter: str | None = None
    redirect_to: str | None = None
    hold: bool = False
    discard: bool = False
    reject: str | None = None


class MessageEditor:
    """Changes that a mail filter asks for; the message it is given is not changed.

    settings: milter_header_checks, sender_bcc_maps, enable_original_recipient, and what looking up addresses needs.
    A header that cannot be looked up: TemporaryError. No header name, an index below 1: ValueError.
    """

    def __init__(self, message: QueuedMessage, settings: Mapping[str, str], base_dir: str | None = None) -> None:
        self._message = message
        self._settings = dict(settings)
        self._base_dir = base_dir
        fields, taken = split_lines(message.lines)
        self._body = list(message.lines[taken:])
        envelope = EditedEnvelope(message.sender, message.recipients, ret=message.ret, envelope_id=message.envelope_id)
        self._editor = editing.MessageEditor(HeaderBlock(fields), envelope, self._rules(), self._report)

    def add_header(self, name: str, value: str) -> None:
        """Put a header behind all others."""
        answer(self._editor.add_header(_octets(name), _octets(value)))

    def insert_header(self, index: int, name: str, value: str) -> None:
        """Make it header number `index` (from 1)."""
        answer(self._editor.insert_header(index, _octets(name), _octets(value)))

    def change_header(self, index: int, name: str, value: str) -> None:
        """Give header number `index` of that name another value; where there is none, add it."""
        answer(self._editor.change_header(index, _octets(name), _octets(value)))

    def delete_header(self, index: int, name: str) -> None:
        """Take out header number `index` of that name, if it is there."""
        self._editor.delete_header(index, _octets(name))

    def change_sender(self, addr: str, args: str = "") -> None:
        """Set another sender. args: RET=, ENVID= (xtext); wrong ones are ignored with a warning."""
        answer(self._editor.change_sender(_internal(addr), args))

    def add_recipient(self, addr: str, args: str = "") -> None:
        """Add a recipient, unless there is an equal one. args: NOTIFY=, ORCPT=. Raises ValueError: no address."""
        with reported():
            address = _internal(addr)
            if not address:
                raise ValueError(f"no address: {addr!r}")
            self._editor.add_recipient(address, args)

    def delete_recipient(self, addr: str) -> None:
        """Take out all recipients that this address has brought, by its aliases, too."""
        self._editor.delete_recipient(_internal(addr))

    def replace_body(self, lines: Sequence[bytes]) -> None:
        """Put another body in the place of the present one."""
        self._editor.replace_body(list(lines))

    def configure(self, settings: Mapping[str, str]) -> None:
        """Change settings for the calls that follow. Raises ValueError."""
        self._settings.update(settings)
        self._editor.rules = self._rules()

    def result(self) -> QueuedMessage:
        """Give the message as it is now. One that is refused goes nowhere: no filter, no other recipient, no hold."""
        editor, envelope = self._editor, self._editor.envelope
        body = self._body if editor.body is None else [b"", *editor.body]
        header = [line for data in editor.header.fields for line in data.split(b"\n")]
        refused = bool(editor.reject)
        return replace(
            self._message,
            sender=envelope.sender,
            recipients=envelope.recipients,
            lines=[*header, *body],
            ret=envelope.ret,
            envelope_id=envelope.envelope_id,
            content_filter=None if refused else editor.content_filter or self._message.content_filter,
            redirect_to=None if refused else editor.redirect_to or self._message.redirect_to,
            hold=not refused and (editor.hold or self._message.hold),
            discard=editor.discard or self._message.discard,
            reject=REJECTED if refused else self._message.reject,
        )

    def _rules(self) -> editing.EditRules:
        with reported():
            values = Settings.from_mapping(self._settings)
            tables = opener(self._base_dir, self._settings)

            def value(name: str) -> str:
                return values.expand(self._settings.get(name, ""))

            return editing.EditRules(
                editing.milter_checks(open_maps(parse_items(value("milter_header_checks")), tables, FLAGS)),
                open_maps(parse_items(value("sender_bcc_maps")), tables),
                search_rules(values, LocalDomains(values, tables, own=())),
                keeps_original=parse_boolean(value("enable_original_recipient") or "yes"),
            )

    def _report(self, action: Action, what: str) -> None:
        attributes = self._message.attributes
        name, address = attributes.get("client_name", _LOCAL[0]), attributes.get("client_address", _LOCAL[1])
        log.info(editing.log_line(_QUEUE_ID, action, what, f"{name}[{address}]", self._editor.envelope))


def _internal(address: str) -> str:
    """Give the internal form of an address that may stand in angle brackets; "" for the null sender."""
    return next(iter(parse_addresses(address)), "")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
