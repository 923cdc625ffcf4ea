"""PeerNames: the name of a client from its address, believed only where the name leads back to the address.

The hosts file comes first, then PTR. A name that is no host name, is numeric, or does not have the address is
reported as the reverse name only. Sources: facts on smtpd_peer; RFC 8499 (forward-confirmed reverse DNS).
"""

import ipaddress
from collections.abc import Callable, Coroutine
from typing import Final

from posthouse.ipc.dns import OK, TEMPORARY, PeerNameAnswer
from posthouse.net.dns import Found
from posthouse.net.hosts import HostsFile, normal_address

UNKNOWN: Final = "unknown"
IS_OK, IS_TEMPORARY, IS_PERMANENT = 2, 4, 5
HOSTS_TTL_S: Final = 5  # how long what the hosts file says may be kept

Lookup = Callable[[str, str], Coroutine[object, object, Found]]


class PeerNames:
    """Finds names; awaits nothing but lookups."""

    def __init__(self, hosts: HostsFile, lookup: Lookup) -> None:
        self._hosts = hosts
        self._lookup = lookup

    async def find(self, number: int, text: str) -> PeerNameAnswer:
        """Answer request `number` for an address."""
        address = normal_address(text)
        if address is None:
            return PeerNameAnswer(number, UNKNOWN, IS_PERMANENT, UNKNOWN, IS_PERMANENT)
        reverse, status, ttl = await self._reverse(address)
        if reverse is None:
            return PeerNameAnswer(number, UNKNOWN, status, UNKNOWN, status)
        forward, forward_ttl = await self._forward(reverse, address)
        name = reverse if forward == IS_OK else UNKNOWN
        return PeerNameAnswer(number, name, forward, reverse, IS_OK, min(ttl, forward_ttl))

    async def _reverse(self, address: str) -> tuple[str | None, int, int]:
        """Name, status, and for how many seconds the name holds."""
        name = self._hosts.name(address)
        if name is not None:
            return name, IS_OK, HOSTS_TTL_S
        found = await self._lookup(ipaddress.ip_address(address).reverse_pointer, "PTR")
        if found.status == TEMPORARY:
            return None, IS_TEMPORARY, 0
        records = [record for record in found.records if record.data != "."]  # net/dns passes host names only
        return (records[0].data, IS_OK, records[0].ttl) if records else (None, IS_PERMANENT, 0)

    async def _forward(self, name: str, address: str) -> tuple[int, int]:
        """Whether the name has the address, and for how many seconds that holds."""
        if address in self._hosts.addresses(name):
            return IS_OK, HOSTS_TTL_S
        found = await self._lookup(name, "AAAA" if ":" in address else "A")
        if found.status == TEMPORARY:
            return IS_TEMPORARY, 0
        if found.status == OK:
            for record in found.records:
                if normal_address(record.data) == address:
                    return IS_OK, record.ttl
        return IS_PERMANENT, 0
