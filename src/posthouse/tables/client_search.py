"""Looking a client up by name and address: the order of access(5), for tables of policies.

The whole name, then ".parent" domains; then the whole address, then the networks that it lies in, cut at the dots of
IPv4 or the colons of IPv6. Parts of a key go to fixed-string tables only. DUNNO ends the search without an answer.
Sources: access(5); facts/tables.tsv "access(5) host and IP lookup order".
"""

from collections.abc import Iterable, Iterator
from typing import Final

from posthouse.tables.maps import Maps

DUNNO: Final = "DUNNO"


def parent_keys(name: str, *, dotted: bool) -> Iterator[str]:
    """Give the parent domains of a name, nearest first, with their dot in front or without."""
    at = name.find(".", 1)
    while at >= 0:
        yield name[at if dotted else at + 1 :]
        at = name.find(".", at + 1)


def network_keys(address: str) -> Iterator[str]:
    """Give the networks of an address, nearest first: 1.2.3, 1.2, 1; 2001:db8::1 gives 2001:db8, 2001."""
    separator = ":" if ":" in address else "."
    while separator in address:
        address = address.rpartition(separator)[0].rstrip(separator)
        if address:
            yield address


async def find_client_policy(maps: Maps, name: str | None, address: str | None) -> str | None:
    """Give what tables say about a client; None: nothing, or DUNNO. Raises TableError.

    name, address: None when it is not known.
    """
    value = await _find(maps, name, parent_keys(name, dotted=True)) if name else None
    if value is None and address:
        value = await _find(maps, address, network_keys(address))
    return None if value is None or value.strip().upper() == DUNNO else value


async def _find(maps: Maps, whole: str, parts: Iterable[str]) -> str | None:
    value = await maps.find(whole)
    if value is None and maps.has_fixed:
        for key in parts:
            value = await maps.find_partial(key)
            if value is not None:
                break
    return value
