"""VirtualAgent: a recipient's mailbox, user and group come from tables; the message is written with those rights.

What a table says is not believed blindly: numbers are numbers within limits, and a path cannot leave the base
(facts B11.24, B17.11).
"""

import os
import re
from dataclasses import dataclass
from functools import partial
from typing import Final

from posthouse.config.parameters import ENABLE_ORIGINAL_RECIPIENT, MYHOSTNAME, RECIPIENT_DELIMITER
from posthouse.config.parameters_lock import lock_patience
from posthouse.config.settings import Settings
from posthouse.daemons.virtual import parameters
from posthouse.delivery.agent import Delivery
from posthouse.delivery.mailbox import MailboxRules, deliver_to_mailbox
from posthouse.delivery.users import Identity, Users
from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import BOUNCED, DEFERRED, RecipientResult
from posthouse.tables.maps import Maps
from posthouse.tables.search_order import SearchRules, Try, find_address
from posthouse.util import eager, log
from posthouse.util.errors import TemporaryError

RELAY: Final = "virtual"
NUMBER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
STRATEGY: Final = Try.FULL | Try.NO_EXTENSION | Try.AT_DOMAIN


@dataclass(frozen=True, slots=True)
class Tables:
    """What is looked up, by recipient address."""

    mailboxes: Maps
    uids: Maps
    gids: Maps


class MisconfiguredError(Exception):
    """A table gives something that cannot be used; the mail waits until it is mended."""


class VirtualAgent:
    """Delivers; see the module's docstring."""

    def __init__(self, settings: Settings, tables: Tables, users: Users, own_uid: int) -> None:
        self._tables = tables
        self._users = users
        self._own_uid = own_uid
        self._base = settings[parameters.VIRTUAL_MAILBOX_BASE].rstrip("/")
        self._minimum_uid = settings[parameters.VIRTUAL_MINIMUM_UID]
        self._search = SearchRules(settings[RECIPIENT_DELIMITER])
        self._rules = MailboxRules(
            relay=RELAY,
            host=settings[MYHOSTNAME],
            size_limit=settings[parameters.VIRTUAL_MAILBOX_LIMIT],
            locks=list(settings[parameters.VIRTUAL_MAILBOX_LOCK]),
            patience=lock_patience(settings),
            says_original=settings[ENABLE_ORIGINAL_RECIPIENT],
        )

    def deliver(self, delivery: Delivery) -> None:
        """Start a delivery; it finishes when every recipient has a result."""
        results: list[RecipientResult] = []
        todo = delivery.request.recipients

        def done(rcpt: DeliverTo, outcome: eager.Outcome[RecipientResult]) -> None:
            try:
                results.append(outcome.result())
            except (TemporaryError, MisconfiguredError) as error:
                log.warning(str(error))
                results.append(
                    RecipientResult(rcpt.rcpt_id, DEFERRED, "4.3.5", "mail system configuration error", RELAY)
                )
            if len(results) == len(todo):
                delivery.finish(results)

        for rcpt in todo:
            eager.start(self._recipient(delivery, rcpt), partial(done, rcpt))

    async def _recipient(self, delivery: Delivery, rcpt: DeliverTo) -> RecipientResult:
        address = rcpt.address.lower()
        found = await find_address(self._tables.mailboxes, address, self._search, STRATEGY)
        if found is None:
            return RecipientResult(rcpt.rcpt_id, BOUNCED, "5.1.1", f'unknown user: "{address}"', RELAY)
        path = self._path(address, found.value)
        uid = await self._number(self._tables.uids, address, "virtual_uid_maps", self._minimum_uid)
        gid = await self._number(self._tables.gids, address, "virtual_gid_maps", 1)
        identity = Identity(uid, gid, (gid,))
        if not self._users.can_change_user:
            identity = Identity(self._own_uid, os.getegid())
        return await deliver_to_mailbox(self._users, delivery, rcpt, path, identity, self._rules)

    def _path(self, address: str, value: str) -> str:
        if "\0" in value or ".." in value.split("/") or not value.strip("/"):
            raise MisconfiguredError(
                f"virtual_mailbox_maps: {address}: path {value!r} is not below virtual_mailbox_base"
            )
        path = f"{self._base}/{value}"
        if not path.startswith("/"):
            raise MisconfiguredError(
                f"virtual_mailbox_maps: {address}: {path!r} is no absolute path; set virtual_mailbox_base"
            )
        return path

    async def _number(self, maps: Maps, address: str, name: str, minimum: int) -> int:
        value = maps.constant
        if value is None:
            found = await find_address(maps, address, self._search, STRATEGY)
            if found is None:
                raise MisconfiguredError(f"recipient {address}: not found in {name}")
            value = found.value
        if NUMBER.fullmatch(value) is None:
            raise MisconfiguredError(f"recipient {address}: bad number {value!r} in {name}")
        number = int(value)
        if number < minimum:
            raise MisconfiguredError(f"recipient {address}: {number} in {name} is below the minimum {minimum}")
        return number
