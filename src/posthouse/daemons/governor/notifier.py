"""Notifier: one message to the postmaster for each condition and hour, and the webhook beside it.

When each was told last is kept in a file, so that a reload or a crash does not tell it again.
"""

import asyncio
import os
import time
from contextlib import suppress
from typing import Final

from posthouse.config.parameters import DATA_DIRECTORY, DOUBLE_BOUNCE_SENDER, MAIL_NAME, MYHOSTNAME
from posthouse.config.settings import Settings
from posthouse.daemons.governor import parameters as p
from posthouse.daemons.governor.webhook import WebhookError, post
from posthouse.governor.notice import Notice
from posthouse.ipc.cleanup import CleanupClient
from posthouse.ipc.message import Envelope, Recipient
from posthouse.ipc.origin import NOTIFY, Origin
from posthouse.net.dns_client import DnsClient
from posthouse.protocol.message.date import format_date
from posthouse.protocol.message.received import Server, format_received_internal
from posthouse.util import log
from posthouse.util.clock import local_zone
from posthouse.util.errors import TemporaryError

EVERY_S: Final = 3600.0
RETRY_S: Final = 30.0  # after one that cleanup did not take
MAX_FILE: Final = 64 * 1024  # bytes


class Notifier:
    """See the module's docstring."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, settings: Settings, cleanup: CleanupClient, dns: DnsClient
    ) -> None:
        self._loop = loop
        self._cleanup, self._dns = cleanup, dns
        self._to = settings[p.RESOURCE_NOTICE_RECIPIENT]
        self._webhook = settings[p.RESOURCE_NOTICE_WEBHOOK]
        self._sender = f"{settings[DOUBLE_BOUNCE_SENDER]}@{settings[MYHOSTNAME]}"
        self._server = Server(settings[MYHOSTNAME], settings[MAIL_NAME])
        self._path = f"{settings[DATA_DIRECTORY]}/governor/told"
        self._told = _read(self._path)  # seconds since the epoch, by condition
        self._origin = Origin.of_internal_mail(settings, NOTIFY)
        self._retry: dict[str, float] = {}  # the loop's time before which it is not tried again
        self._tasks: set[asyncio.Task[None]] = set()
        self.sent = 0

    def is_due(self, key: str) -> bool:
        """Whether this condition may be told now. A clock that was set back does not silence it for ever."""
        return not 0 <= time.time() - self._told.get(key, -EVERY_S) < EVERY_S and self._loop.time() >= self._retry.get(
            key, 0.0
        )

    @property
    def busy(self) -> bool:
        """Whether a notice is on its way."""
        return bool(self._tasks)

    def tell(self, notice: Notice) -> None:
        """Send it; it counts as told when the message is queued, or at once when nobody gets a message."""
        log.warning(f"resources: {notice.headline}", event="resource-warning", condition=notice.key)
        self._retry[notice.key] = self._loop.time() + RETRY_S
        if self._webhook is not None:
            self._begin(self._post(notice))
        if self._to:
            self._begin(self._send(notice))
        else:
            self._note(notice.key)

    def _begin(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post(self, notice: Notice) -> None:
        assert self._webhook is not None, "no webhook"
        try:
            await post(self._loop, self._dns, self._webhook, notice.as_json())
        except WebhookError as error:
            log.warning(f"resource_notice_webhook: {self._webhook.authority}: {error}")

    async def _send(self, notice: Notice) -> None:
        try:
            queue_id = await self._queue(notice)
        except TemporaryError as error:
            log.warning(f"resource notice was not queued: {error}; will try again")
            return
        self.sent += 1
        self._note(notice.key)
        log.info(f"{queue_id}: resource notice to <{self._to}>: {notice.headline}", event="notice", queue_id=queue_id)

    async def _queue(self, notice: Notice) -> str:
        """Hand it to cleanup as bounce(8) does with its notices. Raises TemporaryError."""
        now = int(time.time())
        date = format_date(now, *local_zone(now))
        queue_id = await self._cleanup.new_queue_id()
        envelope = Envelope(queue_id=queue_id, sender=self._sender, arrival=time.time(), internal=True)
        transaction = self._cleanup.begin(self._origin.mark(envelope), [Recipient(self._to)])
        transaction.content(format_received_internal(self._server, queue_id, date))
        transaction.content(format_message(notice, self._to, date, queue_id))
        done = await transaction.end()
        if done.code >= 300:
            raise TemporaryError(f"cleanup: {done.code} {done.dsn} {done.text}")
        return queue_id

    def _note(self, key: str) -> None:
        """Remember that it was told; without its file only until the process ends."""
        now = time.time()
        self._told = {name: at for name, at in self._told.items() if 0 <= now - at < EVERY_S} | {key: now}
        text = "".join(f"{at:.0f} {name}\n" for name, at in self._told.items())
        with suppress(OSError):
            with open(f"{self._path}.new", "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(f"{self._path}.new", self._path)


def format_message(notice: Notice, to: str, date: str, queue_id: str) -> bytes:
    """Write the message, LF line ends."""
    host = notice.hostname
    lines = [
        f"Date: {date}",
        f"From: Mail Delivery System <MAILER-DAEMON@{host}>",
        f"To: {to}",
        f"Subject: {host}: {notice.headline}",
        f"Message-Id: <{queue_id}@{host}>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        notice.body(),
    ]
    return "\n".join(lines).encode("utf-8", "replace")


def _read(path: str) -> dict[str, float]:
    """Read when each condition was told; a line that is none of ours is left out."""
    told = {}
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        for line in file.read(MAX_FILE).splitlines():
            at, _, key = line.partition(" ")
            with suppress(ValueError):
                told[key] = float(at)
    return told
