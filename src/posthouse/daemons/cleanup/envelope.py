"""EnvelopeEditor: final sender and recipients: rewritten, copied (bcc), expanded (virtual aliases), without doubles.

What access tables and checks asked for (BCC, REDIRECT) is done here, too, and receive_override_options are heeded.
Sources: facts B07.01, B07.02, B07.05, B07.07, B07.20, B07.21, B07.23, B07.27; access(5); RFC 3461 5.2.7 (aliases and
NOTIFY).
"""

from typing import Final

from posthouse.config.parameter import Parameter, Tables
from posthouse.config.parameters import ENABLE_ORIGINAL_RECIPIENT, PROPAGATE_UNMATCHED_EXTENSIONS, VIRTUAL_ALIAS_MAPS
from posthouse.config.settings import Settings
from posthouse.daemons.cleanup.addresses import ENVELOPE_RECIPIENT, ENVELOPE_SENDER, AddressMappings
from posthouse.daemons.cleanup.header_addresses import Mapping
from posthouse.daemons.cleanup.outcome import NO_RECIPIENTS, RefusedError
from posthouse.daemons.cleanup.parameters import (
    ALWAYS_BCC,
    DUPLICATE_FILTER_LIMIT,
    RECIPIENT_BCC_MAPS,
    SENDER_BCC_MAPS,
)
from posthouse.ipc.message import (
    NO_ADDRESS_MAPPINGS,
    NO_COPIES,
    NOTIFY_NEVER,
    NOTIFY_SUCCESS,
    Envelope,
    Recipient,
)
from posthouse.ipc.record import replace
from posthouse.protocol.address import MAILER_DAEMON
from posthouse.protocol.message.mime import MimeParser
from posthouse.protocol.message.mime_events import DEFAULT_LIMITS, HeaderField
from posthouse.rewriting.local import Rewriter
from posthouse.rewriting.virtual_alias import (
    VIRTUAL_ALIAS_ADDRESS_LENGTH_LIMIT,
    VIRTUAL_ALIAS_EXPANSION_LIMIT,
    VIRTUAL_ALIAS_RECURSION_LIMIT,
    Limits,
    VirtualAliases,
)
from posthouse.tables.maps import Maps
from posthouse.tables.open import Opener, open_maps
from posthouse.tables.search_order import SearchRules, find_address
from posthouse.util import log

MAX_EXPANDED: Final = 1000  # aliases in one report; the envelope goes with each delivery


class EnvelopeEditor:
    """One for the life of a process."""

    def __init__(
        self, settings: Settings, opener: Opener, rules: SearchRules, rewriter: Rewriter, mappings: AddressMappings
    ) -> None:
        """Open the tables. Raises ConfigError."""
        self._rules = rules
        self._rewriter = rewriter
        self._trace = rewriter.trace
        self._sender = mappings.mapping(ENVELOPE_SENDER)
        self._recipient = mappings.mapping(ENVELOPE_RECIPIENT)
        self._standard_form = mappings.mapping(ENVELOPE_RECIPIENT, uses_tables=False)
        self._aliases = VirtualAliases(
            open_maps(settings[VIRTUAL_ALIAS_MAPS], opener),
            rules,
            rewriter,
            propagate="virtual" in settings[PROPAGATE_UNMATCHED_EXTENSIONS],
            limits=Limits(
                settings[VIRTUAL_ALIAS_RECURSION_LIMIT],
                settings[VIRTUAL_ALIAS_EXPANSION_LIMIT],
                settings[VIRTUAL_ALIAS_ADDRESS_LENGTH_LIMIT],
            ),
        )
        self._always_bcc = settings[ALWAYS_BCC]
        self._sender_bcc = open_maps(settings[SENDER_BCC_MAPS], opener)
        self._recipient_bcc = open_maps(settings[RECIPIENT_BCC_MAPS], opener)
        self._original_counts = settings[ENABLE_ORIGINAL_RECIPIENT]
        self._duplicate_limit = settings[DUPLICATE_FILTER_LIMIT]
        self._own_daemon = f"{MAILER_DAEMON}@{rewriter.local.origin}".lower()

    async def sender(self, address: str, overrides: int = 0) -> str:
        """Give the final envelope sender. overrides: NO_ADDRESS_MAPPINGS counts. Raises TemporaryError."""
        if MAILER_DAEMON in address.lower():  # as it was given; what tables make of others counts
            address = await self._standard_form(address)
            if address.lower() == self._own_daemon:
                address = ""
        return await (self._standard_form if overrides & NO_ADDRESS_MAPPINGS else self._sender)(address)

    async def recipients(self, envelope: Envelope, given: list[Recipient]) -> list[Recipient]:
        """Give the final recipients. Raises RefusedError, TemporaryError (and so ExpansionError)."""
        return (await self.complete(envelope, given))[1]

    async def complete(self, envelope: Envelope, given: list[Recipient]) -> tuple[Envelope, list[Recipient]]:
        """Give the envelope as it is stored, and the final recipients; the sender is final already.

        Raises RefusedError, TemporaryError (and so ExpansionError).
        """
        final = _Recipients(self._duplicate_limit, original_counts=self._original_counts)
        maps = not envelope.overrides & NO_ADDRESS_MAPPINGS
        copies = not (envelope.internal or envelope.overrides & NO_COPIES)
        mapping = self._recipient if maps else self._standard_form
        expands = maps and bool(self._aliases)
        for recipient in given:
            address = await mapping(recipient.address)
            if expands:
                await self._expand(final, recipient, address)
            else:
                final.add(recipient, address, recipient.notify)
            if self._recipient_bcc and copies:
                await self._copy_by(RECIPIENT_BCC_MAPS, self._recipient_bcc, address, final)
        if not final.list:
            raise RefusedError(NO_RECIPIENTS)
        if copies:
            if self._sender_bcc and envelope.sender:
                await self._copy_by(SENDER_BCC_MAPS, self._sender_bcc, envelope.sender, final)
            if self._always_bcc:
                self._tell(ALWAYS_BCC, "", self._always_bcc)
                await self._copy(final, self._always_bcc, self._recipient, maps=True)
        for address in envelope.bcc:
            await self._copy(final, address, mapping, maps=maps)
        return self._settle(envelope, final), final.list

    def _settle(self, envelope: Envelope, final: "_Recipients") -> Envelope:
        """Do what was asked for about the message as a whole; most have nothing of it."""
        if envelope.redirect:
            final.redirect(self._rewriter.rewrite(envelope.redirect))
            envelope = replace(envelope, filter="")
        elif final.expanded:
            envelope = replace(envelope, expanded=tuple(final.expanded[:MAX_EXPANDED]))
            if len(final.expanded) > MAX_EXPANDED:
                log.warning(f"{envelope.queue_id}: {len(final.expanded)} expanded aliases; {MAX_EXPANDED} are reported")
        if envelope.bcc:  # they are recipients now
            envelope = replace(envelope, bcc=())
        if envelope.finds_smtputf8 and not envelope.smtputf8:
            addresses = (envelope.sender, *(recipient.address for recipient in final.list))
            if any(is_utf8(address) for address in addresses):
                envelope = replace(envelope, smtputf8=True)
        return envelope

    async def _copy_by(self, rule: Tables, maps: Maps, address: str, final: "_Recipients") -> None:
        found = await find_address(maps, address, self._rules)
        self._tell(rule, address, found.value if found else "")
        if found is not None:
            await self._copy(final, found.value, self._recipient, maps=True)

    def _tell(self, rule: Parameter[object], subject: str, result: str) -> None:
        if self._trace is not None:
            self._trace.told(rule.name, subject, result)

    async def _copy(self, final: "_Recipients", address: str, mapping: Mapping, *, maps: bool) -> None:
        """Add somebody who gets a copy, and about whom nobody is told."""
        address = await mapping(address)
        recipient = Recipient(address, "", "", NOTIFY_NEVER)
        if maps and self._aliases:
            await self._expand(final, recipient, address)
        else:
            final.add(recipient, address, NOTIFY_NEVER)

    async def _expand(self, final: "_Recipients", given: Recipient, address: str) -> None:
        results = await self._aliases.expand(address)
        notify = given.notify
        if notify & NOTIFY_SUCCESS and results != [address]:
            # "Delivered" will be somebody else's mailbox, or several people's: "expanded" is all that can be said.
            final.expanded.append(Recipient(address, given.original or given.address, given.dsn_orcpt, notify))
            notify = notify & ~NOTIFY_SUCCESS or NOTIFY_NEVER
        for result in results:
            final.add(given, result, notify)


def is_utf8(text: str) -> bool:
    """Whether a text needs SMTPUTF8: it has characters beyond ASCII, and all of them are UTF-8."""
    return not text.isascii() and not any(0xDC80 <= ord(character) <= 0xDCFF for character in text)


def headers_are_wide(content: bytes) -> bool:
    """Whether a header of the message, or of a part in what is given of it, has octets beyond ASCII."""
    if content.isascii():
        return False
    if not content.partition(b"\n\n")[0].isascii():
        return True
    parser = MimeParser(DEFAULT_LIMITS)
    events = [*parser.feed(content), *parser.close()]
    return any(isinstance(event, HeaderField) and not event.data.isascii() for event in events)


class _Recipients:
    """Collects recipients and drops doubles, as far as the limit lets it remember."""

    def __init__(self, limit: int, *, original_counts: bool) -> None:
        self.list: list[Recipient] = []
        self.expanded: list[Recipient] = []  # aliases whose sender wants to hear of success
        self._limit = limit  # 0: none
        self._original_counts = original_counts  # or the address alone
        self._seen: set[tuple[str, str, str, int]] = set()

    def add(self, given: Recipient, address: str, notify: int) -> None:
        original = given.original or given.address
        key = (address.lower(), "", "", 0)
        if self._original_counts:
            key = (address.lower(), original.lower(), given.dsn_orcpt, notify)
        if key in self._seen:
            return
        if not self._limit or len(self._seen) < self._limit:
            self._seen.add(key)
        if address == given.address and notify == given.notify and not given.original:
            self.list.append(given)
        else:
            self.list.append(Recipient(address, original if original != address else "", given.dsn_orcpt, notify))

    def redirect(self, address: str) -> None:
        """Leave one recipient, and send to this address what was meant for all."""
        first = self.list[0]
        original = first.original or first.address
        self.list = [Recipient(address, original if original != address else "", first.dsn_orcpt, first.notify)]
