"""RewriteClient: resolving by trivial-rewrite(8), with a cache.

Every answer carries a generation. When it differs from the last one, a table or main.cf has changed and everything
remembered is dropped. A client whose cache answers everything would never hear of that, so it asks for the generation,
without waiting, when it has not heard of it for a second.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from posthouse.ipc import rewrite
from posthouse.ipc.rewrite import FAILED, Resolved, ResolveResult
from posthouse.ipc.stream import Client
from posthouse.util.errors import TemporaryError

CACHE_SIZE: Final = 20_000  # answers kept; about 10 MB of memory, 40 MB where strangers choose the addresses
MAX_KEPT: Final = 512  # characters of recipient and sender; what is longer is asked each time (RFC 5321 4.5.3.1.3: 256)
CHECK_S: Final = 1.0  # seconds after which the generation is asked for
BATCH: Final = 500  # addresses in one request

_Key = tuple[str, str, str]


class RewriteClient:
    """One process's connection to trivial-rewrite(8)."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        path: str,
        *,
        sender_matters: bool = True,
        timeout_s: float = 3600.0,
    ) -> None:
        """path: the service's socket. sender_matters: there are sender-dependent tables; else one answer serves all."""
        self._client: Client[rewrite.FromRewrite] = Client(loop, path, rewrite.CLIENT, timeout_s=timeout_s)
        self._now = loop.time
        self._sender_matters = sender_matters
        self._cache: dict[_Key, Resolved] = {}
        self._generation = -1
        self._heard = 0.0
        self._asking = False

    async def resolve(self, address: str, sender: str = "", kind: str = "resolve") -> Resolved:
        """Resolve one address. Raises TemporaryError: no answer."""
        key = (address, sender if self._sender_matters else "", kind)
        known = self._cache.get(key)
        if known is not None:
            self._check()
            return known
        return (await self.resolve_many(sender, [address], kind))[0]

    async def resolve_many(self, sender: str, addresses: Sequence[str], kind: str = "resolve") -> Sequence[Resolved]:
        """Resolve the recipients of one message. Raises TemporaryError: no answer."""
        key_sender = sender if self._sender_matters else ""
        cache = self._cache
        known = [cache.get((address, key_sender, kind)) for address in addresses]
        missing = [place for place, answer in enumerate(known) if answer is None]
        if not missing:
            self._check()
        for first in range(0, len(missing), BATCH):
            places = missing[first : first + BATCH]
            answers = await self._ask(sender, [addresses[place] for place in places], kind)
            for place, answer in zip(places, answers, strict=True):
                known[place] = answer
                self._remember((addresses[place], key_sender, kind), answer)
        return [answer for answer in known if answer is not None]

    def forget(self) -> None:
        """Drop what is remembered: memory is short."""
        self._cache.clear()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    async def _ask(self, sender: str, addresses: list[str], kind: str) -> list[Resolved]:
        client = self._client
        reply = await client.request(rewrite.Resolve(client.next_id(), sender, addresses, kind))
        if not isinstance(reply, ResolveResult) or len(reply.resolved) != len(addresses):
            raise TemporaryError("rewrite service: the answer does not fit the request")
        self._hear(reply.generation)
        return reply.resolved

    def _remember(self, key: _Key, answer: Resolved) -> None:
        if answer.flags & FAILED or len(key[0]) + len(key[1]) > MAX_KEPT:
            return
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[key] = answer

    def _hear(self, generation: int) -> None:
        self._heard = self._now()
        if generation != self._generation:
            self._generation = generation
            self._cache.clear()

    def _check(self) -> None:
        """Ask for the generation, if it is time to; the answer comes when it comes."""
        if self._asking or self._now() - self._heard < CHECK_S:
            return
        self._asking = True
        client = self._client
        client.request(rewrite.Resolve(client.next_id(), "", [])).add_done_callback(self._checked)

    def _checked(self, future: "asyncio.Future[rewrite.FromRewrite]") -> None:
        self._asking = False
        if future.cancelled() or future.exception() is not None:
            self._cache.clear()  # nobody to ask: what is remembered may be out of date
            return
        self._hear(future.result().generation)
