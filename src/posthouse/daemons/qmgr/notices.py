"""Asking bounce(8) for notices: failed, delayed, delivered.

Who gets none: recipients with NOTIFY=NEVER or without the kind asked for (RFC 3461 4.1), and mail from the null
sender, whose failure is only logged (and told to the postmaster where notify_classes has 2bounce).
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from posthouse.config.parameters import BOUNCE_SIZE_LIMIT
from posthouse.config.settings import Settings
from posthouse.daemons.qmgr.ledger import Ledger
from posthouse.daemons.qmgr.message import ActiveMessage
from posthouse.ipc.bounce import CLIENT, DELAYED, DELIVERED, FAILED, About, Notified, Notify
from posthouse.ipc.message import (
    NOTIFY_DELAY,
    NOTIFY_FAILURE,
    NOTIFY_NEVER,
    NOTIFY_SUCCESS,
    SENT,
    Recipient,
    RecipientResult,
)
from posthouse.ipc.stream import Client
from posthouse.queue.values import StoreError
from posthouse.util import eager
from posthouse.util.errors import TemporaryError

TIMEOUT_S: Final = 600.0
RECIPIENTS: Final = 1000  # of one notice; all that failed of a long list would not fit into one record
WANTED_BIT: Final = {FAILED: NOTIFY_FAILURE, DELAYED: NOTIFY_DELAY, DELIVERED: NOTIFY_SUCCESS}


class Notices:
    """Each call ends with `done(error)`, error empty when the notice is committed or none was wanted."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, settings: Settings, private: Callable[[str], str], ledger: Ledger
    ) -> None:
        self._ledger = ledger
        self._size_limit = settings[BOUNCE_SIZE_LIMIT]
        self._clients: dict[str, Client[Notified]] = {
            kind: Client(loop, private(service), CLIENT, timeout_s=TIMEOUT_S)
            for kind, service in ((FAILED, "bounce"), (DELAYED, "defer"), (DELIVERED, "trace"))
        }

    def failed(self, message: ActiveMessage, results: list[RecipientResult], done: Callable[[str], None]) -> None:
        """Tell the sender which recipients will not get it."""
        self._notify(FAILED, message, results, 0.0, done)

    def delivered(self, message: ActiveMessage, done: Callable[[str], None]) -> None:
        """Tell the sender which recipients got it, where that was asked for."""
        sent = [result for result in message.with_outcome(SENT) if result.action]
        expanded = [_expanded(alias) for alias in message.envelope.expanded] if message.tells_expansion else []
        message.expansion_told = True
        self._notify(DELIVERED, message, sent, 0.0, done, expanded)

    def delay_is_due(self, message: ActiveMessage, age_s: float, warning_s: float) -> bool:
        """Whether the sender should be told now that the message is late (once for a message)."""
        if not warning_s or not message.envelope.sender or message.delay_warned:
            return False
        return age_s >= warning_s

    def delayed(self, message: ActiveMessage, results: list[RecipientResult], until: float) -> None:
        """Tell the sender that it is late. Not worth a retry of its own."""
        message.delay_warned = True
        self._ledger.delay_warned(message)
        self._notify(DELAYED, message, results, until, lambda _error: None)

    @property
    def idle(self) -> bool:
        """Whether no notice is asked for just now."""
        return all(client.idle for client in self._clients.values())

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def _notify(
        self,
        kind: str,
        message: ActiveMessage,
        results: list[RecipientResult],
        until: float,
        done: Callable[[str], None],
        more: Sequence[About] = (),
    ) -> None:
        about = [*more, *(_about(message, result) for result in results if _wanted(kind, message, result))]
        if not about:
            done("")
            return
        # RET=FULL is about failures; any other notice returns the header section alone (RFC 3461 4.3).
        eager.start(
            self._ledger.content_for_notice(message, self._size_limit, headers_only=kind != FAILED),
            partial(self._ask, kind, message, about, until, done),
        )

    def _ask(
        self,
        kind: str,
        message: ActiveMessage,
        about: list[About],
        until: float,
        done: Callable[[str], None],
        outcome: eager.Outcome[tuple[bytes, bool]],
    ) -> None:
        try:
            content, cut = outcome.result()
        except StoreError:
            content, cut = b"", True  # a notice without the original is better than none (facts B12.08)
        eager.start(self._ask_all(kind, message, about, until, content, cut), partial(_notified, done))

    async def _ask_all(
        self, kind: str, message: ActiveMessage, about: list[About], until: float, content: bytes, cut: bool
    ) -> str:
        """Ask for one notice after the other, until one cannot be made; why not."""
        client = self._clients[kind]
        for start in range(0, len(about), RECIPIENTS):
            some = about[start : start + RECIPIENTS]
            request = Notify(client.next_id(), kind, message.envelope, some, content, cut, until)
            if error := (await client.request(request)).error:
                return error
        return ""


def _wanted(kind: str, message: ActiveMessage, result: RecipientResult) -> bool:
    notify = message.recipients[result.rcpt_id].notify
    if notify & NOTIFY_NEVER:
        return False
    if not notify:
        return kind != DELIVERED
    return bool(notify & WANTED_BIT[kind])


def _about(message: ActiveMessage, result: RecipientResult) -> About:
    rcpt = message.recipients[result.rcpt_id]
    return About(rcpt.address, rcpt.original, rcpt.dsn_orcpt, rcpt.notify, result)


def _expanded(alias: Recipient) -> About:
    """Say of an alias what cleanup(8) did with it; its people are recipients of their own."""
    result = RecipientResult(0, SENT, "2.0.0", "alias expanded", "none", action="expanded")
    return About(alias.address, alias.original, alias.dsn_orcpt, alias.notify, result)


def _notified(done: Callable[[str], None], outcome: eager.Outcome[str]) -> None:
    try:
        error = outcome.result()
    except TemporaryError as failure:
        error = str(failure)
    done(error)
