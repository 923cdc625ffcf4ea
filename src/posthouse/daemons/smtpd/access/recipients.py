"""RecipientTables: whether an address exists here, by the table of its address class (facts B04.18 to B04.20).

The address is brought to standard form, resolved and folded to lower case first. One that a canonical or virtual alias
table then knows exists, whatever its class. Otherwise the class decides: local (local_recipient_maps), virtual mailbox,
relay; an address that trivial-rewrite sends to the error transport (virtual alias domains, relocated_maps) does not
exist. An empty table list means that the class is not checked.
"""

from typing import Final

from posthouse.config.parameters import (
    CANONICAL_MAPS,
    DOUBLE_BOUNCE_SENDER,
    LOCAL_RECIPIENT_MAPS,
    RECIPIENT_CANONICAL_MAPS,
    RELAY_RECIPIENT_MAPS,
    SENDER_CANONICAL_MAPS,
    SHOW_USER_UNKNOWN_TABLE_NAME,
    VIRTUAL_ALIAS_MAPS,
    VIRTUAL_MAILBOX_MAPS,
)
from posthouse.config.settings import Settings
from posthouse.daemons.smtpd import parameters as p
from posthouse.daemons.smtpd.access.environment import Resolver, Unlisted
from posthouse.ipc.rewrite import CLASS_ALIAS, CLASS_LOCAL, CLASS_RELAY, CLASS_VIRTUAL, FAILED, Resolved
from posthouse.protocol.address import MAILER_DAEMON, POSTMASTER, split_address
from posthouse.protocol.status import split_status
from posthouse.rewriting.local import Rewriter
from posthouse.tables.open import Opener, open_maps
from posthouse.tables.search_order import SearchRules, find_address
from posthouse.tables.table import fold_key
from posthouse.util.errors import TemporaryError

ERROR_TRANSPORTS: Final = frozenset({"error", "retry"})


class RecipientTables:
    """One for the life of a process."""

    def __init__(self, settings: Settings, opener: Opener, resolver: Resolver, rules: SearchRules) -> None:
        self._resolver = resolver
        self._rewriter = Rewriter(settings)
        self._rules = rules
        self._rewriting = [
            maps
            for parameter in (RECIPIENT_CANONICAL_MAPS, CANONICAL_MAPS, VIRTUAL_ALIAS_MAPS)
            if (maps := open_maps(settings[parameter], opener))
        ]
        senders = open_maps(settings[SENDER_CANONICAL_MAPS], opener)
        self._rewriting_senders = [senders, *self._rewriting] if senders else self._rewriting
        self._local = open_maps(settings[LOCAL_RECIPIENT_MAPS], opener)
        self._classes = (
            (CLASS_VIRTUAL, open_maps(settings[VIRTUAL_MAILBOX_MAPS], opener), "virtual mailbox"),
            (CLASS_RELAY, open_maps(settings[RELAY_RECIPIENT_MAPS], opener), "relay recipient"),
        )
        self._codes = {
            CLASS_LOCAL: settings[p.UNKNOWN_LOCAL_RECIPIENT_REJECT_CODE],
            CLASS_VIRTUAL: settings[p.UNKNOWN_VIRTUAL_MAILBOX_REJECT_CODE],
            CLASS_RELAY: settings[p.UNKNOWN_RELAY_RECIPIENT_REJECT_CODE],
            CLASS_ALIAS: settings[p.UNKNOWN_VIRTUAL_ALIAS_REJECT_CODE],
        }
        self._shows_table = settings[SHOW_USER_UNKNOWN_TABLE_NAME]
        self._always_local = frozenset({POSTMASTER, MAILER_DAEMON, settings[DOUBLE_BOUNCE_SENDER].lower()})

    async def find_problem(self, sender: str, address: str, *, is_sender: bool = False) -> Unlisted | None:
        """Say why an address does not exist here; None: nothing is known against it. Raises TemporaryError.

        is_sender: sender_canonical_maps may make it another one.
        """
        resolved = await self._resolver.resolve(self._rewriter.rewrite(address), sender)
        if resolved.flags & FAILED:
            raise TemporaryError("trivial-rewrite cannot tell now")
        recipient = fold_key(resolved.recipient, utf8=True)
        for maps in self._rewriting_senders if is_sender else self._rewriting:
            if await find_address(maps, recipient, self._rules) is not None:
                return None
        if resolved.transport in ERROR_TRANSPORTS:
            return self._error(resolved)
        if resolved.flags & CLASS_LOCAL:
            return await self._local_problem(recipient)
        for address_class, maps, name in self._classes:
            if resolved.flags & address_class:
                if not maps or await find_address(maps, recipient, self._rules) is not None:
                    return None
                return self._unknown(address_class, name)
        return None

    async def _local_problem(self, recipient: str) -> Unlisted | None:
        if not self._local or split_address(recipient).local_part in self._always_local:
            return None
        if await find_address(self._local, recipient, self._rules) is not None:
            return None
        return self._unknown(CLASS_LOCAL, "local recipient")

    def _unknown(self, address_class: int, name: str) -> Unlisted:
        table = f" in {name} table" if self._shows_table else ""
        return Unlisted(self._codes[address_class], "5.1.1", f"User unknown{table}")

    def _error(self, resolved: Resolved) -> Unlisted:
        """The nexthop of the error transport is the text, maybe with a status before it."""
        default = "4.0.0" if resolved.transport == "retry" else "5.1.1"
        status, text = split_status(resolved.nexthop, default)
        if status.startswith("4"):
            return Unlisted(450, status, text)
        code = self._codes[CLASS_ALIAS] if resolved.flags & CLASS_ALIAS else 550
        return Unlisted(code, status, text)
