"""Intake: the way of a message through cleanup(8): its content edited and checked, its envelope finished, to qmgr.

Small content stays in memory; large content goes to a spool file as it comes. What was wrong is noted in the
transaction (`refusal`); its client is told, or the message is returned to its sender.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

from posthouse.daemons.cleanup.content_pass import ContentPass
from posthouse.daemons.cleanup.envelope import EnvelopeEditor, headers_are_wide
from posthouse.daemons.cleanup.header import Edited, HeaderEditor
from posthouse.daemons.cleanup.outcome import ALIAS_ERROR, QUEUE_FULL, TOO_MANY_RECIPIENTS, WRITE_ERROR, RefusedError
from posthouse.daemons.cleanup.queue_client import QueueClient
from posthouse.daemons.cleanup.transaction import Transaction
from posthouse.daemons.cleanup.write_out import WriteOut
from posthouse.ipc.message import NO_COPIES, Envelope, Recipient
from posthouse.ipc.queue import CommitResult
from posthouse.ipc.record import replace
from posthouse.ipc.stream import MAX_FRAME
from posthouse.rewriting.mapping import ExpansionError
from posthouse.util import log
from posthouse.util.errors import TableError, TemporaryError
from posthouse.util.files import close_done

MANY: Final = 1000  # recipients; fewer fit a record, however long they are
MAX_RECIPIENTS_SIZE: Final = MAX_FRAME - 1024 * 1024  # octets of all recipients in the record for qmgr


class Intake:
    """One for the life of a process. pause_s: before each new message, while mail comes in faster than it goes out."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        headers: HeaderEditor,
        envelopes: EnvelopeEditor,
        queue: QueueClient,
        write_out: WriteOut,
    ) -> None:
        self.pause_s = 0.0
        self._loop = loop
        self._headers, self._envelopes, self._queue, self._write_out = headers, envelopes, queue, write_out

    async def spool(self, transaction: Transaction, resume: Callable[[], None]) -> None:
        """Borrow a spool file, and write content into it as it is to be: what has come, and what is still to come.

        resume: content was taken; who brings it may go on.
        """
        spooling, checks = transaction.spooling, transaction.checks
        assert spooling is not None
        try:
            if checks is None:
                await self._edit_header(transaction)
            transaction.spool = await self._queue.open_spool()
            if checks is None:
                self._write(transaction, transaction.take())
            else:
                await self._check_all(transaction, checks, resume)
        except RefusedError as refused:
            transaction.refuse(refused.refusal)
        except TableError as error:
            log.warning(f"{transaction.envelope.queue_id}: {error}")
            transaction.refuse(WRITE_ERROR)
        except TemporaryError as error:
            log.warning(f"{transaction.envelope.queue_id}: no spool file: {error}")
            transaction.refuse(WRITE_ERROR)
        resume()
        if transaction.refusal is not None:  # or given up meanwhile
            self.drop(transaction)
        spooling.set_result(None)

    def _write(self, transaction: Transaction, content: bytes) -> None:
        if transaction.spool is not None and transaction.refusal is None:
            transaction.write(content)
            self._write_out.wrote(transaction, len(content))

    async def _check_all(self, transaction: Transaction, checks: ContentPass, resume: Callable[[], None]) -> None:
        """Check content as it comes, and write what becomes of it. Raises RefusedError, TemporaryError."""
        while transaction.refusal is None:
            is_complete, content = transaction.complete, transaction.take()
            resume()
            if content:
                if not transaction.original:
                    transaction.remember(content)
                await checks.feed(content)
            elif is_complete:
                await checks.close()
                envelope = replace(transaction.envelope, encoding=checks.encoding)
                transaction.message_id, transaction.envelope = checks.message_id, _find_utf8(envelope, checks.header)
            else:
                await transaction.more()
            self._write(transaction, checks.take())
            if is_complete and not content:
                return

    async def _edit_header(self, transaction: Transaction) -> None:
        content = transaction.take()
        transaction.remember(content)
        edited = await self._headers.edit(content, transaction.envelope)
        transaction.message_id = edited.message_id
        transaction.envelope = _find_utf8(replace(transaction.envelope, encoding=edited.encoding), edited.content)
        transaction.put_back(edited.content)

    async def complete(self, transaction: Transaction) -> None:
        """Make a message whose content has come durable, or note why it is refused."""
        try:
            try:
                transaction.end()
                if transaction.spooling is not None:
                    await transaction.spooling
                if self.pause_s and not transaction.envelope.internal:
                    await self._pause(self.pause_s)
                if transaction.refusal is None:
                    await self._commit(transaction)
            except RefusedError as refused:
                transaction.refuse(refused.refusal)
            except TemporaryError as error:
                log.warning(f"{transaction.envelope.queue_id}: {error}")
                transaction.refuse(ALIAS_ERROR if isinstance(error, ExpansionError) else WRITE_ERROR)
            if transaction.is_returned and transaction.refusal is not TOO_MANY_RECIPIENTS:  # these fit no message
                await self._return(transaction)
        finally:
            self.drop(transaction)

    async def _return(self, transaction: Transaction) -> None:
        """Store a refused message after all, for qmgr to return: its sender is not there to be told (facts B07.24)."""
        refusal, content = transaction.refusal, transaction.original
        assert refusal is not None, "nothing was refused"
        envelope = replace(
            transaction.envelope,
            refusal=f"{refusal.dsn} {refusal.text.removeprefix('Error: ')}",
            overrides=transaction.envelope.overrides | NO_COPIES,
            size=len(content),
            dsn_ret="HDRS",
            hold="",
            bcc=(),
            redirect="",
        )
        transaction.refusal = None
        try:
            sender = await self._envelopes.sender(envelope.sender, envelope.overrides)
            final = await self._envelopes.complete(replace(envelope, sender=sender), transaction.recipients)
            _check_room(*final)
            _check(await self._queue.commit(*final, content), envelope.queue_id)
        except RefusedError as refused:
            transaction.refusal = refused.refusal
        except TemporaryError as error:
            log.warning(f"{envelope.queue_id}: {error}")
            transaction.refusal = WRITE_ERROR

    async def _pause(self, seconds: float) -> None:
        """Let the queue catch up (in_flow_delay): each client waits for itself."""
        over: asyncio.Future[None] = self._loop.create_future()
        self._loop.call_later(seconds, over.set_result, None)
        await over

    async def _commit(self, transaction: Transaction) -> None:
        """Make the message durable. Raises RefusedError, TemporaryError."""
        content, size = b"", 0
        if transaction.spool is None:
            if transaction.checks is None:
                content = transaction.take()
                transaction.remember(content)
                edited = await self._headers.edit(content, transaction.envelope)
            else:
                edited = await self._check(transaction, transaction.checks)
            content, size = edited.content, len(edited.content)
            message_id, encoding = edited.message_id, edited.encoding
            envelope = _find_utf8(transaction.envelope, content)
        else:
            envelope = transaction.envelope
            message_id, encoding = transaction.message_id, envelope.encoding
            self._write_out.forget(transaction)  # from now on nothing else opens its file
            await self._write_out.settled(transaction)
            size = await self._sync(transaction.spool.descriptor)
            if transaction.refusal is not None:  # its early sync failed
                return
        if envelope.discard:
            return
        sender = await self._envelopes.sender(envelope.sender, envelope.overrides)
        envelope = replace(envelope, sender=sender, size=size, message_id=message_id, encoding=encoding)
        envelope, recipients = await self._envelopes.complete(envelope, transaction.recipients)
        _check_room(envelope, recipients)
        if transaction.spool is None:
            result = await self._queue.commit(envelope, recipients, content)
        else:
            spool, transaction.spool = transaction.spool, None
            close_done(spool.descriptor)
            result = await self._queue.commit_spool(envelope, recipients, spool)
        _check(result, envelope.queue_id)

    async def _check(self, transaction: Transaction, checks: ContentPass) -> Edited:
        """Check content that is complete, and give what goes into the queue. Raises RefusedError, TemporaryError."""
        content = transaction.take()
        transaction.remember(content)
        await checks.feed(content)
        await checks.close()
        return Edited(checks.take(), checks.message_id, checks.encoding)

    async def _sync(self, descriptor: int) -> int:
        """Sync the spool file, in a thread: that waits for the disk. Raises TemporaryError; it is not tried again."""
        try:
            await self._loop.run_in_executor(None, os.fdatasync, descriptor)
            return os.fstat(descriptor).st_size
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread could be started
            raise TemporaryError(f"sync spool file: {error}") from error

    def drop(self, transaction: Transaction) -> None:
        """Give a spool file back that is not wanted any more."""
        if transaction.spool is not None:
            self._write_out.forget(transaction)
            spool, transaction.spool = transaction.spool, None
            close_done(spool.descriptor)
            self._queue.drop_spool(spool)


def _check(result: CommitResult, queue_id: str) -> None:
    if result.error:
        log.warning(f"{queue_id}: queue file write error: {result.error}")
        raise RefusedError(QUEUE_FULL if result.full else WRITE_ERROR)


def _find_utf8(envelope: Envelope, content: bytes) -> Envelope:
    """See whether the header needs SMTPUTF8 where nobody has said so (smtputf8_autodetect_classes)."""
    if envelope.finds_smtputf8 and not envelope.smtputf8 and headers_are_wide(content):
        return replace(envelope, smtputf8=True)
    return envelope


def _check_room(envelope: Envelope, recipients: list[Recipient]) -> None:
    """See whether all recipients fit a record. Raises RefusedError."""
    if len(recipients) > MANY and sum(map(_room, (*recipients, *envelope.expanded))) > MAX_RECIPIENTS_SIZE:
        raise RefusedError(TOO_MANY_RECIPIENTS)


def _room(recipient: Recipient) -> int:
    """How many octets a recipient takes in a record, at most."""
    texts = (recipient.address, recipient.original, recipient.dsn_orcpt)
    return sum(len(text.encode("utf-8", "surrogateescape")) for text in texts) + 32
