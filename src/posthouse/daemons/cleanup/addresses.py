"""AddressMappings: what one address of a message becomes, by where it stands: envelope or header, sender or recipient.

Order: standard form, sender_ or recipient_canonical_maps, canonical_maps, masquerading; each where its *_classes
parameter says so (facts B07.01, B07.02). Envelope addresses are always completed as local ones (B07.03).
"""

from collections.abc import Callable
from typing import Final, Protocol

from posthouse.config.parameter import NameList, Parameter, Tables
from posthouse.config.parameters import (
    CANONICAL_CLASSES,
    CANONICAL_MAPS,
    PROPAGATE_UNMATCHED_EXTENSIONS,
    RECIPIENT_CANONICAL_CLASSES,
    RECIPIENT_CANONICAL_MAPS,
    SENDER_CANONICAL_CLASSES,
    SENDER_CANONICAL_MAPS,
)
from posthouse.config.settings import Settings
from posthouse.daemons.cleanup.header_addresses import AddressHeaders, Mapping
from posthouse.daemons.cleanup.parameters import (
    HEADER_ADDRESS_TOKEN_LIMIT,
    MASQUERADE_CLASSES,
    MASQUERADE_DOMAINS,
    MASQUERADE_EXCEPTIONS,
)
from posthouse.rewriting.local import Rewriter
from posthouse.rewriting.mapping import CanonicalMapping, Masquerade
from posthouse.tables.matchlist import open_string_list
from posthouse.tables.open import Opener, open_maps
from posthouse.tables.search_order import SearchRules

ENVELOPE_SENDER, ENVELOPE_RECIPIENT = "envelope_sender", "envelope_recipient"
HEADER_SENDER, HEADER_RECIPIENT = "header_sender", "header_recipient"
EMPTY: Final = '""'  # the empty address, such as the null sender, as tables are asked for it
SENDERS: Final = (ENVELOPE_SENDER, HEADER_SENDER)


class Step(Protocol):
    """One mapping of external form to external form."""

    async def __call__(self, address: str, /) -> str:
        """Map an address. Raises TemporaryError."""


class AddressMappings:
    """One for the life of a process."""

    def __init__(self, settings: Settings, opener: Opener, rules: SearchRules, rewriter: Rewriter) -> None:
        """Open the tables. Raises ConfigError."""
        self._settings = settings
        self._opener = opener
        self._rules = rules
        self._rewriter = rewriter
        self._propagates = "canonical" in settings[PROPAGATE_UNMATCHED_EXTENSIONS]
        masquerade = Masquerade(settings[MASQUERADE_DOMAINS], open_string_list(MASQUERADE_EXCEPTIONS, settings, opener))
        sender = self._canonical(SENDER_CANONICAL_MAPS)
        recipient = self._canonical(RECIPIENT_CANONICAL_MAPS)
        both = self._canonical(CANONICAL_MAPS)
        self._steps: dict[str, tuple[Step, ...]] = {}
        for place in (ENVELOPE_SENDER, ENVELOPE_RECIPIENT, HEADER_SENDER, HEADER_RECIPIENT):
            own, classes = (
                (sender, SENDER_CANONICAL_CLASSES) if place in SENDERS else (recipient, RECIPIENT_CANONICAL_CLASSES)
            )
            wanted: list[tuple[bool, NameList, Step]] = [
                (bool(own), classes, own.map),
                (bool(both), CANONICAL_CLASSES, both.map),
                (bool(masquerade), MASQUERADE_CLASSES, self._traced(MASQUERADE_DOMAINS, masquerade.masquerade)),
            ]
            self._steps[place] = tuple(step for used, names, step in wanted if used and place in settings[names])

    def mapping(self, place: str, context: str = "local", *, uses_tables: bool = True) -> Mapping:
        """Give the mapping for addresses that stand in one place. Without tables it is the standard form alone."""
        steps = self._steps[place] if uses_tables else ()
        rewrite: Callable[[str, str], str] = self._rewriter.rewrite

        async def standard_form(address: str) -> str:
            return rewrite(address, context) if address else ""

        async def mapped(address: str) -> str:
            if not address and place != ENVELOPE_SENDER:
                return ""
            address = rewrite(address, context) if address else EMPTY
            if address == "@":
                address = EMPTY
            for step in steps:
                address = await step(address)
            return "" if address == EMPTY and place == ENVELOPE_SENDER else address

        return mapped if steps else standard_form

    def headers(self, context: str, *, uses_tables: bool = True) -> AddressHeaders | None:
        """Give what rewrites the headers in a context; None: they are left alone."""
        if context == "remote" and not self._rewriter.rewrites_remote:
            return None
        return AddressHeaders(
            self.mapping(HEADER_SENDER, context, uses_tables=uses_tables),
            self.mapping(HEADER_RECIPIENT, context, uses_tables=uses_tables),
            has_tables=uses_tables and bool(self._steps[HEADER_SENDER] or self._steps[HEADER_RECIPIENT]),
            token_limit=self._settings[HEADER_ADDRESS_TOKEN_LIMIT],
        )

    def _traced(self, rule: Parameter[object], step: Step) -> Step:
        trace = self._rewriter.trace
        if trace is None:
            return step

        async def traced(address: str) -> str:
            after = await step(address)
            trace.told(rule.name, address, after)
            return after

        return traced

    def _canonical(self, parameter: Tables) -> CanonicalMapping:
        maps = open_maps(self._settings[parameter], self._opener)
        return CanonicalMapping(parameter.name, maps, self._rules, self._rewriter, propagate=self._propagates)
