"""BounceService: notices about recipients, made for qmgr(8) and handed to cleanup(8) as new messages.

Who gets what (facts B12.*): failures go to the sender; failures of mail from the null sender go to the postmaster
where notify_classes has 2bounce, and otherwise only to the log; what was sent by double-bounce ends here. Notices are
sent by the null sender, so they can cause no notices themselves.
"""

import socket
import time
from functools import partial
from typing import Final

from posthouse.config.parameters import (
    BOUNCE_QUEUE_LIFETIME,
    DELAY_WARNING_TIME,
    DOUBLE_BOUNCE_SENDER,
    MAIL_NAME,
    MAXIMAL_QUEUE_LIFETIME,
    MYHOSTNAME,
    NOTIFY_CLASSES,
    QUEUE_OWNER,
)
from posthouse.config.settings import Settings
from posthouse.daemons.bounce import parameters
from posthouse.ipc.bounce import DELAYED, DELIVERED, FAILED, SERVER, About, Notified, Notify
from posthouse.ipc.cleanup import CleanupClient, Done
from posthouse.ipc.message import Envelope, Recipient
from posthouse.ipc.origin import BOUNCE, Origin
from posthouse.ipc.own_users import Door
from posthouse.ipc.record import replace
from posthouse.ipc.stream import Channel
from posthouse.protocol.message.date import format_date
from posthouse.protocol.message.received import Server, format_received_internal
from posthouse.protocol.message.report import (
    RecipientStatus,
    Report,
    Texts,
    delay_texts,
    failure_texts,
    format_boundary,
    format_report,
    success_texts,
)
from posthouse.protocol.status import Action
from posthouse.skeleton.daemon import Context, Service
from posthouse.util import eager, log
from posthouse.util.clock import local_zone
from posthouse.util.errors import TemporaryError

WORDS: Final = {
    FAILED: "sender non-delivery notification",
    DELAYED: "sender delay notification",
    DELIVERED: "sender delivery status notification",
}
COPY_CLASS: Final = {FAILED: "bounce", DELAYED: "delay"}
TOO_LARGE: Final = "5.3.4"


class RefusedNoticeError(Exception):
    """cleanup refuses a notice, and would do so again; str() is its reason."""

    def __init__(self, done: Done) -> None:
        super().__init__(f"cleanup: {done.code} {done.dsn} {done.text}")
        self.dsn = done.dsn


class BounceService(Service):
    """See the module's docstring."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self._context = context
        self._door = Door(context.settings, context.settings.service_name, (QUEUE_OWNER,))
        self._cleanup = CleanupClient(context.loop, context.public("cleanup"))
        self._hostname = settings[MYHOSTNAME]
        self._mail_name = settings[MAIL_NAME]
        self._double_bounce = f"{settings[DOUBLE_BOUNCE_SENDER]}@{settings[MYHOSTNAME]}".lower()
        self._classes = frozenset(settings[NOTIFY_CLASSES])
        self._threaded = settings[parameters.ENABLE_THREADED_BOUNCES]
        self._copies = {
            FAILED: settings[parameters.BOUNCE_NOTICE_RECIPIENT],
            DELAYED: settings[parameters.DELAY_NOTICE_RECIPIENT],
        }
        self._postmaster = settings[parameters.TWO_BOUNCE_NOTICE_RECIPIENT]
        self._patience_s = settings[MAXIMAL_QUEUE_LIFETIME] + settings[BOUNCE_QUEUE_LIFETIME]  # with a refused notice
        self._texts = notice_texts(settings)
        self._origin = Origin.of_internal_mail(settings, BOUNCE)
        self._in_progress = 0

    def accept(self, sock: socket.socket, listener: int) -> None:
        """Take a connection of qmgr; nobody else knows what failed."""
        if not self._door.admits(sock):
            return
        Channel(self._context.loop, sock, SERVER, self._on_record, self._on_close)
        self._context.session_started()

    @property
    def busy(self) -> bool:
        """Whether notices are on their way."""
        return self._in_progress > 0

    def closing(self) -> None:
        """Close the connection to cleanup."""
        self._cleanup.close()

    def _on_close(self, _channel: Channel[Notify]) -> None:
        self._context.session_ended()

    def _on_record(self, channel: Channel[Notify], record: Notify) -> None:
        self._in_progress += 1
        eager.start(self._notify(record), partial(self._done, channel, record))

    def _done(self, channel: Channel[Notify], record: Notify, outcome: eager.Outcome[str]) -> None:
        self._in_progress -= 1
        try:
            channel.send(Notified(record.id, "", outcome.result()))
        except TemporaryError as error:
            channel.send(Notified(record.id, str(error) or "no reason given", ""))

    async def _notify(self, record: Notify) -> str:
        """Send what is due; the notice's queue ID, or "". Raises TemporaryError: try again."""
        sender = record.envelope.sender
        if sender.lower() == self._double_bounce:
            log.warning(f"{record.envelope.queue_id}: undeliverable postmaster notification discarded")
            return ""
        if not sender:
            return await self._null_sender(record)
        try:
            queue_id = await self._send_what_fits(record, sender, "")
        except RefusedNoticeError as error:
            return await self._refused(record, error)
        log.info(
            f"{record.envelope.queue_id}: {WORDS[record.kind]}: {queue_id}",
            event="notice",
            queue_id=record.envelope.queue_id,
            kind=record.kind,
            notice_id=queue_id,
        )
        if COPY_CLASS.get(record.kind) in self._classes:
            await self._copy(record)
        return queue_id

    async def _copy(self, record: Notify) -> None:
        """Tell the postmaster what the sender was told, with the header alone. It is not worth a second notice."""
        queue_id = record.envelope.queue_id
        try:
            header = replace(record, headers_only=True)
            copy = await self._send(header, self._copies[record.kind], self._double_bounce)
        except (TemporaryError, RefusedNoticeError) as error:
            log.warning(f"{queue_id}: no postmaster {record.kind} notification: {error}")
        else:
            log.info(f"{queue_id}: postmaster {record.kind} notification: {copy}")

    async def _null_sender(self, record: Notify) -> str:
        """Nobody to tell but, where he wants it, the postmaster."""
        if not self._wants_double(record):
            return ""
        try:
            queue_id = await self._send_what_fits(record, self._postmaster, self._double_bounce)
        except RefusedNoticeError as error:
            queue_id = record.envelope.queue_id
            log.warning(f"{queue_id}: postmaster non-delivery notification refused for good: {error}; discarded")
            return ""
        log.info(f"{record.envelope.queue_id}: postmaster non-delivery notification: {queue_id}")
        return queue_id

    def _wants_double(self, record: Notify) -> bool:
        return record.kind == FAILED and "2bounce" in self._classes

    async def _refused(self, record: Notify, error: RefusedNoticeError) -> str:
        """Go on as if the sender were null. Mail whose end nobody would hear of waits: the checks may be mended."""
        is_heard = self._wants_double(record)
        if record.kind == FAILED and not is_heard and time.time() < record.envelope.arrival + self._patience_s:
            raise TemporaryError(f"{WORDS[FAILED]} refused: {error}; it is tried again, nobody else would be told")
        queue_id = record.envelope.queue_id
        whom = "the postmaster" if is_heard else "nobody"
        log.warning(f"{queue_id}: {WORDS[record.kind]} refused for good: {error}; {whom} is told")
        return await self._null_sender(record)

    async def _send_what_fits(self, record: Notify, to: str, sender: str) -> str:
        """Send a notice; one that is too large without the body of the original, as if that had been too large."""
        try:
            return await self._send(record, to, sender)
        except RefusedNoticeError as error:
            if error.dsn != TOO_LARGE or record.headers_only:
                raise
        header = b"" if record.content.startswith(b"\n") else record.content.partition(b"\n\n")[0] + b"\n"
        return await self._send(replace(record, headers_only=True, content=header), to, sender)

    async def _send(self, record: Notify, to: str, sender: str) -> str:
        """Hand a notice to cleanup. Raises TemporaryError: it did not take it; RefusedNoticeError: it never will."""
        now = int(time.time())
        queue_id = await self._cleanup.new_queue_id()
        smtputf8 = record.envelope.smtputf8  # the notice has its addresses
        envelope = Envelope(queue_id, sender, arrival=time.time(), internal=True, smtputf8=smtputf8)
        transaction = self._cleanup.begin(self._origin.mark(envelope), [Recipient(to)])
        server = Server(self._hostname, self._mail_name)
        transaction.content(format_received_internal(server, queue_id, format_date(now, *local_zone(now))))
        transaction.content(format_report(self._report(record, to, now)))
        done = await transaction.end()
        if done.code >= 500:
            raise RefusedNoticeError(done)
        if done.code >= 300:
            raise TemporaryError(f"cleanup: {done.code} {done.dsn} {done.text}")
        return queue_id

    def _report(self, record: Notify, to: str, now: int) -> Report:
        envelope = record.envelope
        arrival = int(envelope.arrival)
        until = ""
        if record.kind == DELAYED and record.will_retry_until:
            until = format_date(int(record.will_retry_until), *local_zone(int(record.will_retry_until)))
        return Report(
            texts=self._texts[record.kind],
            recipients=tuple(_status(about, record.kind, until) for about in record.about),
            to=to,
            sender=envelope.sender,
            hostname=self._hostname,
            queue_id=envelope.queue_id,
            arrival_date=format_date(arrival, *local_zone(arrival)),
            boundary=format_boundary(envelope.queue_id, now, self._hostname),
            original=record.content,
            headers_only=record.headers_only,
            envelope_id=envelope.dsn_envid,
            smtputf8=envelope.smtputf8,
            message_id=envelope.message_id if self._threaded else "",
            mail_name=self._mail_name,
        )


def notice_texts(settings: Settings) -> dict[str, Texts]:
    """Word the notices of each kind, with the names and times of these settings."""
    hostname = settings[MYHOSTNAME]
    hours = max(1, int(settings[DELAY_WARNING_TIME] // 3600))
    days = max(1, int(settings[MAXIMAL_QUEUE_LIFETIME] // 86400))
    return {
        FAILED: failure_texts(hostname),
        DELAYED: delay_texts(hostname, hours, days),
        DELIVERED: success_texts(hostname),
    }


def _success(action: str) -> Action:
    return "relayed" if action == "relayed" else "expanded" if action == "expanded" else "delivered"


def _status(about: About, kind: str, until: str) -> RecipientStatus:
    result = about.result
    # What was given up for its age keeps its 4.x.x, as in Postfix: it tells the sender that trying later may help.
    status = result.dsn or ("5.0.0" if kind == FAILED else "4.0.0")
    action: Action = "failed" if kind == FAILED else "delayed" if kind == DELAYED else _success(result.action)
    original = about.original if about.original and about.original != about.address else ""
    return RecipientStatus(
        address=about.address,
        action=action,
        status=status,
        reason=result.text,
        original=original,
        orcpt=about.dsn_orcpt,
        remote_mta=f"dns; {result.remote_mta}" if result.remote_mta else "",
        diagnostic=result.diagnostic or f"X-Postfix; {result.text}",
        retry_until=until,
    )
