"""postsuper -r: send a message through cleanup(8) again, so that rewriting is done anew, under a new queue ID.

The old message is deleted when the new one is durable; a crash between the two leaves both, never none.
"""

import asyncio
from typing import Final

from posthouse.daemons.qmgr.ledger import all_recipients, known_envelope, read_spooled
from posthouse.ipc.cleanup import CleanupClient
from posthouse.ipc.message import NO_MILTERS, Envelope, Recipient
from posthouse.ipc.record import replace
from posthouse.queue.spool import SpoolContent
from posthouse.queue.store import Store
from posthouse.queue.values import BOUNCED, WAITING, Change, StoredMessage
from posthouse.util import log
from posthouse.util.errors import TemporaryError

REQUEUE_FILTER: Final = "posthouse_requeue_filter"  # pickup's content_filter: set by the orders from master.cf


class Requeuer:
    """See the module's docstring."""

    def __init__(self, loop: asyncio.AbstractEventLoop, store: Store, cleanup_path: str, content_filter: str) -> None:
        self._store = store
        self._filter = content_filter
        self._cleanup = CleanupClient(loop, cleanup_path)

    async def requeue(self, stored: StoredMessage) -> int:
        """Requeue one message; 1 when it was, 0 when there is nothing left of it or cleanup refused."""
        recipients = [
            Recipient(rcpt.original or rcpt.address, dsn_orcpt=rcpt.dsn_orcpt, notify=rcpt.notify)
            for rcpt in await all_recipients(self._store, stored)
            if rcpt.state in (WAITING, BOUNCED)  # those that failed too, while their sender was not told
        ]
        content = await self._store.content(stored.key)
        if not recipients or content is None:
            return 0
        if isinstance(content, SpoolContent):
            content = read_spooled(content)
        try:
            queue_id = await self._cleanup.new_queue_id()
            envelope = again(known_envelope(stored), queue_id, self._filter)
            transaction = self._cleanup.begin(envelope, recipients)
        except TemporaryError as error:
            log.warning(f"{stored.queue_id}: not requeued: {error}")
            return 0
        transaction.content(content)
        done = await transaction.end()
        if done.code >= 300:
            log.warning(f"{stored.queue_id}: not requeued: {done.code} {done.dsn} {done.text}")
            return 0
        await self._store.change(Change.DELETE, [stored.queue_id])
        log.info(
            f"{stored.queue_id}: requeued as {queue_id}", event="requeue", queue_id=stored.queue_id, new_id=queue_id
        )
        return 1


def again(envelope: Envelope, queue_id: str, content_filter: str) -> Envelope:
    """Make the envelope of a message that passes cleanup once more (facts B03.16).

    content_filter is asked again; milters are not, and a new refusal goes to the sender. Notices of ours stay ours.
    """
    if envelope.internal:
        return replace(envelope, queue_id=queue_id, hold="")
    return replace(
        envelope,
        queue_id=queue_id,
        hold="",
        filter=content_filter,
        overrides=NO_MILTERS,
        returns=True,
        refusal="",
        expanded=(),
    )
