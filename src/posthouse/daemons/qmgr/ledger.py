"""Ledger: the store in the queue manager's words. It knows envelopes and results, not scheduling.

An envelope is kept in the store as an opaque value; what the store must search by is given beside it.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from posthouse.daemons.qmgr.message import ActiveMessage
from posthouse.ipc.codec import RecordError
from posthouse.ipc.delivery import DeliverTo
from posthouse.ipc.message import BOUNCED as BOUNCED_OUTCOME
from posthouse.ipc.message import (
    NOTIFY_SUCCESS,
    SENT,
    Envelope,
    Recipient,
    RecipientResult,
    decode_envelope,
    encode_envelope,
)
from posthouse.ipc.record import replace
from posthouse.queue.spool import SpoolContent, SpoolFile
from posthouse.queue.store import Store
from posthouse.queue.values import (
    BOUNCED,
    DELAY_WARNED,
    FORCED_EXPIRE,
    RECIPIENT_PAGE,
    UNTOLD,
    WAITING,
    Change,
    Committed,
    NewMessage,
    StoredMessage,
    StoredRecipient,
    StoreError,
    StoreFullError,
    UnreadableError,
)
from posthouse.util import log

EXPANSION_TOLD: Final = 1 << 16  # a flag of a stored message: the sender knows of the aliases that were expanded
CommitDone = Callable[[str, bool, "ActiveMessage | None"], None]
ContentDone = Callable[[bytes, int, str], None]


class Ledger:
    """See the module's docstring."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def commit(
        self, envelope: Envelope, recipients: Sequence[Recipient], content: bytes | SpoolFile, done: CommitDone
    ) -> None:
        """Make a message durable; done(error, full, message), the message None when it was there before or is held."""
        if not recipients:
            done("a message without recipients", False, None)
            return
        size = envelope.size
        new = NewMessage(
            envelope.queue_id,
            envelope.sender,
            envelope.arrival,
            size,
            encode_envelope(envelope),
            content,
            recipients,
            bool(envelope.hold),
        )
        key = 0

        def stored(answer: Committed | StoreError) -> None:
            if isinstance(answer, StoreError):
                done(str(answer), isinstance(answer, StoreFullError), None)
            elif answer.already or envelope.hold:
                done("", False, None)
            else:
                done("", False, _fresh(key, envelope, recipients, content))

        key = self.store.commit(new, stored)

    async def lease(self, count: int) -> int:
        """First of `count` new numbers. Raises StoreError."""
        return await self.store.lease(count)

    async def is_committed(self, queue_id: str) -> bool:
        """Whether this ID was ever committed."""
        return await self.store.is_committed(queue_id)

    def create_spool(self) -> SpoolFile:
        """A file for large content. Raises OSError."""
        return self.store.create_spool_file()

    def drop_spool(self, file: SpoolFile) -> None:
        """Forget it."""
        self.store.drop_spool_file(file)

    # Results.

    def record(self, message: ActiveMessage, results: Sequence[RecipientResult], done: Callable[[], None]) -> None:
        """Write down sent and bounced recipients; `done` when that is durable."""
        marked = [_marked(result, message.recipients[result.rcpt_id].notify) for result in results]
        self.store.record(message.key, marked, 0.0, partial(_durable, done))

    def settle(self, message: ActiveMessage) -> None:
        """The sender was told of the bounced ones, and of the delivered ones that he asked about."""
        self.store.settle(message.key)

    def defer(self, message: ActiveMessage, results: Sequence[RecipientResult], due: float) -> None:
        """End the round: the rest is tried at `due`."""
        self.store.record(message.key, results, due)
        self.store.defer(message.key, due)

    def remove(self, message: ActiveMessage, done: Callable[[], None]) -> None:
        """All is done; `done` when that is durable."""
        self.store.remove(message.key, message.queue_id, partial(_durable, done))

    async def sent_late(self, queue_id: str, results: Sequence[RecipientResult]) -> None:
        """Write down results for a message that is not active, durably. Raises StoreError."""
        stored = await self.store.get(queue_id)
        if stored is not None and results:
            durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            notify = {rcpt.rcpt_id: rcpt.notify for rcpt in await all_recipients(self.store, stored)}
            marked = [_marked(result, notify.get(result.rcpt_id, 0)) for result in results]
            self.store.record(stored.key, marked, 0.0, partial(_settle, durable))
            await durable

    async def keep_back(self, queue_id: str, until: float) -> None:
        """An agent is still busy with this message: do not try it before `until`."""
        stored = await self.store.get(queue_id)
        if stored is not None:
            self.store.defer(stored.key, until)

    async def set_aside(self, queue_id: str, error: UnreadableError) -> None:
        """Put a message that cannot be read into the corrupt queue, so that it stops no other. Raises StoreError."""
        await self.store.change(Change.CORRUPT, [queue_id])
        log.error(
            f"{queue_id}: its envelope cannot be read ({error}); it is in the corrupt queue: "
            f"look at it (postcat -q {queue_id}), then postsuper -r {queue_id} to send it with the sender and the "
            "recipients that are known, or -d to delete it",
            event="corrupt",
            queue_id=queue_id,
        )

    def delay_warned(self, message: ActiveMessage) -> None:
        """Remember that the sender was told of the delay."""
        self.store.set_flags(message.key, DELAY_WARNED)

    def expansion_told(self, message: ActiveMessage) -> None:
        """Remember that the sender was told of expanded aliases."""
        self.store.set_flags(message.key, EXPANSION_TOLD)

    # Content.

    def fetch_content(self, message: ActiveMessage, then: ContentDone) -> None:
        """Read content: then(content, descriptor or -1, error); the taker closes the descriptor."""
        self.store.content(message.key).add_done_callback(partial(_content_read, then))

    async def content_for_notice(
        self, message: ActiveMessage, size_limit: int, *, headers_only: bool = False
    ) -> tuple[bytes, bool]:
        """Content to return to the sender, and whether it is the header section alone (facts B12.03).

        Raises StoreError: it cannot be read; a notice without the original is better than none.
        """
        content = message.content if message.content is not None else await self.store.content(message.key)
        if isinstance(content, SpoolContent):  # large, so the header section is all that is returned
            return header_section(read_spooled(content, size_limit)), True
        if content is None:
            return b"", True
        if headers_only or message.envelope.dsn_ret == "HDRS" or len(content) > size_limit:
            return header_section(content), True
        return content, False


def read_spooled(content: SpoolContent, limit: int = -1) -> bytes:
    """Read content that is in a file, all of it or so many octets, and close the descriptor."""
    with open(content.descriptor, "rb") as file:
        return file.read(limit)


def header_section(content: bytes) -> bytes:
    """The header fields, with the line end of the last one."""
    if content.startswith(b"\n"):
        return b""
    end = content.find(b"\n\n")
    return content if end < 0 else content[: end + 1]


async def all_recipients(store: Store, stored: StoredMessage) -> list[StoredRecipient]:
    """Give those that came with the message, and the rest of them. Raises StoreError."""
    rows = list(stored.recipients)
    if stored.has_more_recipients:
        after = RECIPIENT_PAGE
        while more := await store.recipients(stored.key, after):
            rows += more
            after = more[-1].rcpt_id
    return rows


def known_envelope(stored: StoredMessage) -> Envelope:
    """Give an operator's command the envelope, or what the store itself knows when that cannot be read."""
    try:
        return decode_envelope(stored.attributes)
    except RecordError:
        return Envelope(stored.queue_id, stored.sender, stored.arrival, stored.size, finds_smtputf8=True)


def _envelope(stored: StoredMessage) -> Envelope:
    try:
        return decode_envelope(stored.attributes)
    except RecordError as error:
        raise UnreadableError(str(error)) from error


async def revive(store: Store, stored: StoredMessage, active: float) -> ActiveMessage:
    """Make an active message of a stored one. Results that the sender was not told of are kept.

    Raises UnreadableError, StoreError.
    """
    rows = await all_recipients(store, stored)
    recipients = [
        DeliverTo(rcpt.rcpt_id, rcpt.address, rcpt.original, rcpt.dsn_orcpt, rcpt.notify)
        for rcpt in rows
        if rcpt.state in (WAITING, BOUNCED, UNTOLD)
    ]
    message = ActiveMessage(stored.key, _envelope(stored), recipients, None, active)
    message.forced_expire = bool(stored.flags & FORCED_EXPIRE)
    message.delay_warned = bool(stored.flags & DELAY_WARNED)
    message.expansion_told = bool(stored.flags & EXPANSION_TOLD)
    for rcpt in rows:
        if rcpt.state in (BOUNCED, UNTOLD):
            message.take(_stored_result(rcpt))
    return message


def _stored_result(rcpt: StoredRecipient) -> RecipientResult:
    return RecipientResult(
        rcpt.rcpt_id,
        SENT if rcpt.state == UNTOLD else BOUNCED_OUTCOME,
        rcpt.dsn,
        rcpt.text,
        rcpt.relay,
        rcpt.remote_mta,
        rcpt.diagnostic,
        rcpt.action,
    )


def _marked(result: RecipientResult, notify: int) -> RecipientResult:
    """Mark a success that the sender wants to hear of: a crash before he did must not make him wait for ever."""
    if notify & NOTIFY_SUCCESS and result.action and result.outcome == SENT:
        return replace(result, outcome=UNTOLD)
    return result


def _fresh(key: int, envelope: Envelope, recipients: Sequence[Recipient], content: bytes | SpoolFile) -> ActiveMessage:
    to = [
        DeliverTo(number, rcpt.address, rcpt.original, rcpt.dsn_orcpt, rcpt.notify)
        for number, rcpt in enumerate(recipients, 1)
    ]
    return ActiveMessage(key, envelope, to, content if isinstance(content, bytes) else None, 0.0)


def _durable(done: Callable[[], None], error: StoreError | None) -> None:
    """An update that was not stored is not acknowledged: the agent keeps its result."""
    if error is None:
        done()


def _content_read(then: ContentDone, future: "asyncio.Future[bytes | SpoolContent | None]") -> None:
    error = future.exception()
    if error is not None:
        then(b"", -1, str(error))
        return
    content = future.result()
    if content is None:
        then(b"", -1, "the content is not there")
    elif isinstance(content, SpoolContent):
        then(b"", content.descriptor, "")
    else:
        then(content, -1, "")


def _settle(future: "asyncio.Future[None]", error: StoreError | None) -> None:
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
