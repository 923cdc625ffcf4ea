"""DnsClient: questions to dns(8), and a small cache of its answers for the time they may be kept.

`lookup` raises nothing for what DNS says: that is the answer's status, TEMPORARY included. Only a dns daemon that
does not answer raises TemporaryError.
"""

import asyncio
from typing import Final

from posthouse.ipc.dns import CLIENT, OK, Answer, FromDns, PeerName, PeerNameAnswer, Query
from posthouse.ipc.stream import Client

TIMEOUT_S: Final = 35.0  # dns(8) gives every question up after 30 s
MAX_CACHED: Final = 2_000  # answers kept in this process; dns(8) has the large cache


class DnsClient:
    """One process's way to dns(8)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: str) -> None:
        self._loop = loop
        self._client: Client[FromDns] = Client(loop, path, CLIENT, timeout_s=TIMEOUT_S)
        self._cache: dict[tuple[str, str], tuple[float, Answer]] = {}

    async def lookup(self, name: str, rrtype: str) -> Answer:
        """Look up records of `name` (A-labels). Raises TemporaryError: dns(8) does not answer."""
        key = (name, rrtype)
        cached = self._cache.get(key)
        if cached is not None:
            if cached[0] > self._loop.time():
                return cached[1]
            del self._cache[key]
        answer = await self._client.request(Query(self._client.next_id(), name, rrtype))
        assert isinstance(answer, Answer), "dns(8) answered another question"
        if answer.status == OK and answer.records:
            if len(self._cache) >= MAX_CACHED:
                self._cache.pop(next(iter(self._cache)))
            self._cache[key] = (self._loop.time() + min(record.ttl for record in answer.records), answer)
        return answer

    async def peer_name(self, address: str) -> PeerNameAnswer:
        """Find the names of a client. Raises TemporaryError: dns(8) does not answer."""
        answer = await self._client.request(PeerName(self._client.next_id(), address))
        assert isinstance(answer, PeerNameAnswer), "dns(8) answered another question"
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
