"""Health: asks governor(8) for its Picture, and whether cleanup(8) and qmgr(8) answer. For metrics(8) and commands.

cleanup is asked whether a message was committed that never was: it has to ask qmgr, and qmgr its store, which answers
after what is being committed. Nothing is written. An answer serves everybody who asks within a moment: strangers who
ask without end cost the governor (two milliseconds an answer) no more than a few do.
"""

import asyncio
from typing import Final

from posthouse.ipc import cleanup
from posthouse.ipc.governor import CLIENT, Ask, FromGovernor, Picture
from posthouse.ipc.stream import Client
from posthouse.util.errors import TemporaryError

LIMIT_S: Final = 4.0  # a scraper waits ten seconds, the probe of a container often five
FRESH_S: Final = 0.25
NO_MESSAGE: Final = "nothing"  # vowels: no queue ID has them


class Health:
    """See the module's docstring. governor_path, cleanup_path: of their sockets."""

    def __init__(self, loop: asyncio.AbstractEventLoop, governor_path: str, cleanup_path: str) -> None:
        self._loop = loop
        self._governor: Client[FromGovernor] = Client(loop, governor_path, CLIENT, timeout_s=LIMIT_S)
        self._cleanup_path = cleanup_path
        self._picture: asyncio.Future[FromGovernor] | None = None
        self._intake: asyncio.Future[cleanup.FromCleanup] | None = None
        self._picture_until = self._intake_until = 0.0  # how long an answer serves others, on the loop's clock

    async def picture(self) -> Picture:
        """Ask for what is known. Raises TemporaryError: the governor does not answer."""
        now = self._loop.time()
        if self._picture is None or (self._picture.done() and now >= self._picture_until):
            self._picture_until = now + FRESH_S
            self._picture = self._governor.request(Ask(self._governor.next_id()))
        found = await self._picture
        assert isinstance(found, Picture), "the answer to Ask"
        return found

    async def intake(self) -> str:
        """Say why a message would find nobody to take it; "": it would be taken."""
        now = self._loop.time()
        if self._intake is None or (self._intake.done() and now >= self._intake_until):
            self._intake_until = now + FRESH_S
            self._intake = self._ask_cleanup()
        try:
            await self._intake
        except TemporaryError:
            return f"cleanup and qmgr do not answer within {LIMIT_S:.0f} s"
        return ""

    def _ask_cleanup(self) -> "asyncio.Future[cleanup.FromCleanup]":
        # A connection for each look: one that stays would keep cleanup from ending when nobody needs it.
        client: Client[cleanup.FromCleanup] = Client(self._loop, self._cleanup_path, cleanup.CLIENT, timeout_s=LIMIT_S)
        asked = client.request(cleanup.WasCommitted(client.next_id(), NO_MESSAGE))
        asked.add_done_callback(lambda _done: client.close())
        return asked

    def close(self) -> None:
        """Close the connection to the governor."""
        self._governor.close()
