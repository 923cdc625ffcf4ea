"""DnsClient: questions to dns(8), and a small cache of its answers for the time they may be kept.

What DNS says, and that it says nothing, is the answer's status; lookups raise nothing.
"""

import asyncio
from typing import Final

from posthouse.ipc.dns import CLIENT, OK, TEMPORARY, Answer, FromDns, PeerName, PeerNameAnswer, Query
from posthouse.ipc.stream import Client
from posthouse.util.errors import TemporaryError

TIMEOUT_S: Final = 35.0  # dns(8) gives every question up after 30 s
MAX_CACHED: Final = 2_000  # answers kept in this process; dns(8) has the large cache
MAX_PEER_S: Final = 60.0  # how long the names of a client are kept, whatever their TTL says


class DnsClient:
    """One process's way to dns(8)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: str) -> None:
        self._loop = loop
        self._client: Client[FromDns] = Client(loop, path, CLIENT, timeout_s=TIMEOUT_S)
        self._cache: dict[tuple[str, str], tuple[float, Answer]] = {}
        self._peers: dict[str, tuple[float, PeerNameAnswer]] = {}
        self._asking: dict[tuple[str, str], asyncio.Future[Answer]] = {}

    async def lookup(self, name: str, rrtype: str) -> Answer:
        """Look up records of `name` (A-labels). Never raises: a dns(8) that does not answer is TEMPORARY."""
        return await self.begin(name, rrtype)

    def begin(self, name: str, rrtype: str) -> "asyncio.Future[Answer]":
        """Begin a lookup, so that several run at once; its future never fails and belongs to all who ask."""
        key = (name, rrtype)
        future = self._asking.get(key)
        if future is not None:
            return future
        future = self._loop.create_future()
        cached = self._cache.get(key)
        if cached is not None:
            if cached[0] > self._loop.time():
                future.set_result(cached[1])
                return future
            del self._cache[key]
        self._asking[key] = future
        request = self._client.request(Query(self._client.next_id(), name, rrtype))
        request.add_done_callback(lambda done: self._answered(key, done))
        return future

    def _answered(self, key: tuple[str, str], request: "asyncio.Future[FromDns]") -> None:
        error = None if request.cancelled() else request.exception()
        answer = None if request.cancelled() or error is not None else request.result()
        if not isinstance(answer, Answer):
            answer = Answer(0, TEMPORARY, str(error or "dns service: closed"), False, key[0], [])
        if answer.status == OK and answer.records:
            if len(self._cache) >= MAX_CACHED:
                self._cache.pop(next(iter(self._cache)))
            self._cache[key] = (self._loop.time() + min(record.ttl for record in answer.records), answer)
        self._asking.pop(key).set_result(answer)

    async def peer_name(self, address: str) -> PeerNameAnswer:
        """Find the names of a client. Raises TemporaryError: dns(8) does not answer."""
        known = self._peers.get(address)
        if known is not None and known[0] > self._loop.time():
            return known[1]
        answer = await self._client.request(PeerName(self._client.next_id(), address))
        if not isinstance(answer, PeerNameAnswer):
            raise TemporaryError("dns service: an answer to another question")
        if len(self._peers) >= MAX_CACHED:
            self._peers.clear()
        if answer.ttl:
            self._peers[address] = (self._loop.time() + min(answer.ttl, MAX_PEER_S), answer)
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
