"""How queue commands reach the queue: showq(8) for anybody, qmgr(8) for root, the store itself when nobody runs."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Final

from posthouse.config.load import config_directory as find_config_directory
from posthouse.config.load import load_settings
from posthouse.config.parameters import QUEUE_DIRECTORY
from posthouse.ipc.showq import CLIENT, Fetched, FromShowq, Listed, ListedPage, ListPage, Steered, ToShowq
from posthouse.ipc.stream import Client
from posthouse.util.errors import TemporaryError

ANSWER_TIMEOUT_S: Final = 60.0
EX_USAGE, EX_UNAVAILABLE, EX_TEMPFAIL, EX_NOPERM = 64, 69, 75, 77


class QueueUnavailableError(Exception):
    """The queue cannot be reached; str() says why and what to do."""


class RefusedError(Exception):
    """The mail system refused the request; str() is its reason."""


class QueueClient:
    """Requests to the queue. Use inside a running event loop."""

    def __init__(self, config_directory: str, *, steering: bool = False) -> None:
        self.settings = load_settings(find_config_directory(config_directory or None), "postqueue")
        self.queue_directory = self.settings[QUEUE_DIRECTORY]
        service = "qmgr" if steering else "showq"
        path = f"{self.queue_directory}/public/{service}"
        if not _is_served(path):
            raise QueueUnavailableError("the mail system is down; start it with: postfix start")
        self._client: Client[FromShowq] = Client(
            asyncio.get_running_loop(), path, CLIENT, timeout_s=ANSWER_TIMEOUT_S
        )

    def next_id(self) -> int:
        """Number for the next request."""
        return self._client.next_id()

    async def ask(self, request: ToShowq) -> FromShowq:
        """Ask. Raises QueueUnavailableError, RefusedError."""
        try:
            answer = await self._client.request(request)
        except TemporaryError as error:
            raise QueueUnavailableError(str(error)) from error
        if isinstance(answer, Steered) and answer.error:
            raise RefusedError(answer.error)
        return answer

    async def listing(self, *, queue_name: str = "", queue_id: str = "", site: str = "") -> AsyncIterator[Listed]:
        """Give every message, page by page."""
        after = ""
        while True:
            page = await self.ask(ListPage(self.next_id(), after, queue_name, queue_id, site))
            assert isinstance(page, ListedPage)
            for message in page.messages:
                yield message
            after = page.next
            if not after:
                return

    def content_of(self, fetched: Fetched) -> bytes:
        """Content of a fetched message, wherever it came."""
        if not fetched.with_descriptor:
            return fetched.content
        with open(self._client.take_descriptor(), "rb") as file:
            return file.read()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _is_served(path: str) -> bool:
    """Whether somebody listens: a socket that nobody serves refuses."""
    import socket  # noqa: PLC0415 - asyncio has imported it anyway

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def uid_is_root() -> bool:
    """Whether the caller may steer."""
    return os.geteuid() == 0
