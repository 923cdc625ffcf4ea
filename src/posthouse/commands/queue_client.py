"""How queue commands reach the queue: showq(8) for anybody, qmgr(8) for root, the store itself when nobody runs."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from posthouse.config.load import config_directory as find_config_directory
from posthouse.config.load import load_settings
from posthouse.config.parameters import QUEUE_DIRECTORY
from posthouse.config.settings import Settings
from posthouse.ipc.showq import (
    CLIENT,
    Fetch,
    Fetched,
    FromShowq,
    Listed,
    ListedPage,
    ListPage,
    Steered,
    ToShowq,
    problem_of,
)
from posthouse.ipc.stream import Client
from posthouse.queue.values import StoreError
from posthouse.util.errors import TemporaryError

if TYPE_CHECKING:
    from posthouse.commands.offline_queue import OfflineQueue

ANSWER_TIMEOUT_S: Final = 60.0
EX_USAGE, EX_UNAVAILABLE, EX_TEMPFAIL, EX_NOPERM = 64, 69, 75, 77


class QueueUnavailableError(Exception):
    """The queue cannot be reached; str() says why and what to do."""


class RefusedError(Exception):
    """The mail system refused the request; str() is its reason."""


class NotSuperuserError(Exception):
    """Only root, or who owns the queue where there is no root, may do this; each command has its own words for it."""


class QueueClient:
    """Requests to the queue. Use inside a running event loop. Raises NotSuperuserError when it is to steer."""

    def __init__(self, config_directory: str, *, steering: bool = False) -> None:
        self.settings = load_settings(find_config_directory(config_directory or None), "postqueue")
        if steering:
            require_superuser(self.settings)
        path = f"{self.settings[QUEUE_DIRECTORY]}/public/{'qmgr' if steering else 'showq'}"
        self._client: Client[FromShowq] | None = None
        self._offline: OfflineQueue | None = None
        self._number = 0
        self._descriptor = -1
        if is_served(path):
            self._client = Client(asyncio.get_running_loop(), path, CLIENT, timeout_s=ANSWER_TIMEOUT_S)
        else:
            self._offline = _open_offline(self.settings)

    @property
    def is_served(self) -> bool:
        """Whether the running system answers; otherwise we read the store ourselves."""
        return self._client is not None

    def next_id(self) -> int:
        """Number for the next request."""
        if self._client is not None:
            return self._client.next_id()
        self._number += 1
        return self._number

    async def ask(self, request: ToShowq) -> FromShowq:
        """Ask. Raises QueueUnavailableError, RefusedError."""
        if problem := problem_of(request):
            raise RefusedError(problem)
        try:
            if self._client is not None:
                answer = await self._client.request(request)
            else:
                assert self._offline is not None, "neither a client nor the store"
                answer, self._descriptor = await self._offline.ask(request)
        except (TemporaryError, StoreError) as error:
            raise QueueUnavailableError(str(error)) from error
        if isinstance(answer, Steered) and answer.error:
            raise RefusedError(answer.error)
        return answer

    async def listing(self, *, queue_name: str = "", queue_id: str = "", site: str = "") -> AsyncIterator[Listed]:
        """Give every message, page by page, with all its recipients."""
        after = ""
        while True:
            page = await self.ask(ListPage(self.next_id(), after, queue_name, queue_id, site))
            assert isinstance(page, ListedPage)
            for message in page.messages:
                following = message.next
                while following:
                    following = await self._read_on(message, following)
                yield message
            after = page.next
            if not after:
                return

    async def _read_on(self, message: Listed, after: int) -> int:
        """Add the next page of its recipients; where the one behind that begins, or 0."""
        page = await self.ask(ListPage(self.next_id(), str(after), queue_id=message.queue_id))
        assert isinstance(page, ListedPage)
        for more in page.messages:  # none: it was delivered or deleted meanwhile
            message.recipients.extend(more.recipients)
            return more.next
        return 0

    async def read_on(self, queue_id: str, fetched: Fetched) -> None:
        """Add the recipients that were not fetched with a message."""
        after = fetched.next
        while after:
            more = await self.ask(Fetch(self.next_id(), queue_id, after))
            assert isinstance(more, Fetched)
            fetched.recipients.extend(more.recipients)
            fetched.done.extend(more.done)
            after = more.next

    def content_of(self, fetched: Fetched) -> bytes:
        """Content of a fetched message, wherever it came."""
        if not fetched.with_descriptor:
            return fetched.content
        descriptor = self._client.take_descriptor() if self._client is not None else self._descriptor
        with open(descriptor, "rb") as file:
            return file.read()

    async def close(self) -> None:
        """Close the connection, or the store."""
        if self._client is not None:
            self._client.close()
        if self._offline is not None:
            await self._offline.close()


def _open_offline(settings: Settings) -> "OfflineQueue":
    from posthouse.commands.offline_queue import OfflineQueue

    try:
        return OfflineQueue(settings)
    except (StoreError, OSError) as error:
        why = f"the mail system is down (start it with: postfix start), and the queue cannot be opened: {error}"
        raise QueueUnavailableError(why) from error


def require_superuser(settings: Settings) -> None:
    """Raise NotSuperuserError unless we are root or the queue's owner; one that is not there yet is nobody's."""
    try:
        owner = os.stat(f"{settings[QUEUE_DIRECTORY]}/posthouse").st_uid
    except FileNotFoundError:
        return
    except OSError:
        owner = 0
    if os.geteuid() not in (0, owner):
        raise NotSuperuserError


def is_served(path: str) -> bool:
    """Whether somebody listens: a socket that nobody serves refuses."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
