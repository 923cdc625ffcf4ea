"""MessageEditor: the changes that a mail filter asks for, made to a message that is not in the queue yet.

Headers and envelope are edited at once; of the body it only keeps whether there is another one. Headers that a filter
makes are looked up in milter_header_checks first. Knows nothing of the milter protocol, and does no I/O but lookups.
Sources: the milter protocol's requests; header_checks(5), postconf(5): milter_header_checks; API "Messages".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from posthouse.filters.actions import EVERYTHING, LAST, Action, Verb
from posthouse.filters.content_checks import ContentChecks, Tables
from posthouse.filters.edited_envelope import EditedEnvelope
from posthouse.protocol.message.header_block import HeaderBlock, make_field
from posthouse.protocol.message.mime_events import HeaderField, Part
from posthouse.tables.maps import Maps
from posthouse.tables.search_order import SearchRules, find_address

ALLOWED: Final = EVERYTHING - {Verb.PREPEND}  # in milter_header_checks
_NO_TABLES: Final = Maps(())


@dataclass(frozen=True, slots=True)
class EditRules:
    """Settings that count while a filter edits."""

    checks: ContentChecks | None = None  # milter_header_checks
    sender_bcc: Maps = _NO_TABLES  # sender_bcc_maps
    search: SearchRules | None = None  # how sender_bcc is asked
    keeps_original: bool = True  # enable_original_recipient


def milter_checks(tables: Maps) -> ContentChecks | None:
    """Make the checks of milter_header_checks: one list of tables for headers of every name. None: there is none."""
    if not tables:
        return None
    return ContentChecks(Tables(tables, _NO_TABLES, _NO_TABLES, _NO_TABLES), prefix="milter_", allowed=ALLOWED)


class MessageEditor:
    """See the module's docstring. A message that is refused or discarded is not looked at any more.

    reject: "5.7.1 reason" when the message is refused. body: what takes the place of the body, in pieces, or None.
    report: is given what is to be logged, an action and "header Name: value".
    """

    def __init__(
        self,
        header: HeaderBlock,
        envelope: EditedEnvelope,
        rules: EditRules,
        report: Callable[[Action, str], None],
    ) -> None:
        self.header = header
        self.envelope = envelope
        self.rules = rules
        self.body: list[bytes] | None = None
        self.content_filter = self.redirect_to = self.reject = ""
        self.hold = self.discard = False
        self._report = report
        self._over = False  # by an action after which nothing is looked up

    async def add_header(self, name: bytes, value: bytes) -> None:
        """Put a header behind all others. Raises ValueError: no header name; TableError."""
        data = await self._checked(make_field(name, value))
        if data is not None:
            self.header.append(data)

    async def insert_header(self, index: int, name: bytes, value: bytes) -> None:
        """Make it header number `index`. Raises ValueError: no header name, or index below 1; TableError."""
        data = await self._checked(make_field(name, value))
        if data is not None:
            self.header.insert(index, data)

    async def change_header(self, index: int, name: bytes, value: bytes) -> None:
        """Give header number `index` of that name another value. Raises as insert_header."""
        data = await self._checked(make_field(name, value))
        if data is not None:
            self.header.change(index, name, data)

    def delete_header(self, index: int, name: bytes) -> None:
        """Take a header out, if it is there. Raises ValueError: an index below 1."""
        self.header.delete(index, name)

    async def change_sender(self, address: str, arguments: str = "") -> None:
        """Set another sender, and copy the message to whom sender_bcc_maps has for it. Raises TableError."""
        self.envelope.change_sender(address, arguments)
        rules = self.rules
        if rules.sender_bcc and rules.search is not None and address:
            found = await find_address(rules.sender_bcc, address, rules.search)
            if found is not None:
                self.envelope.copy_for_sender(found.value)

    def add_recipient(self, address: str, arguments: str = "") -> None:
        """Add a recipient."""
        self.envelope.add(address, arguments, keeps_original=self.rules.keeps_original)

    def delete_recipient(self, address: str) -> None:
        """Take a recipient out."""
        self.envelope.delete(address)

    def replace_body(self, pieces: list[bytes]) -> None:
        """Put another body in the place of the present one."""
        self.body = pieces

    async def _checked(self, data: bytes) -> bytes | None:
        """Look a header up; give it as it is to be, or None: the message stays without this change."""
        checks = self.rules.checks
        if checks is None or self._over:
            return data
        verdict = await checks.check(HeaderField(Part.MAIN, b"", data, 0), self._report)
        self._obey(verdict.action)
        if not verdict.lines or verdict.action.verb is Verb.DISCARD:
            return None
        return verdict.lines[0].data

    def _obey(self, action: Action) -> None:
        self._over = action.verb in LAST
        match action.verb:
            case Verb.REJECT:
                self.reject = action.text
            case Verb.DISCARD:
                self.discard = True
            case Verb.HOLD:
                self.hold = True
            case Verb.FILTER:
                self.content_filter = action.text
            case Verb.REDIRECT:
                self.redirect_to = action.text
            case Verb.BCC:
                self.envelope.copy(action.text)
            case _:
                return


def log_line(queue_id: str, action: Action, what: str, client: str, envelope: EditedEnvelope) -> str:
    """Make the line for the log, in Postfix's form. what: "header Name: value"; client: "name[address]"."""
    recipient = next((rcpt.address for rcpt in envelope.recipients), "")
    return (
        f"{queue_id}: milter-header-{action.verb.value}: {what} from {client};"
        f" from=<{envelope.sender}> to=<{recipient}>: {action.text}"
    )
