"""The protocol of proxymap(8): lookups in tables that the asking daemon cannot open itself. Both ends' records."""

from typing import Final

from posthouse.ipc.stream import Protocol, Request

NAME: Final = "proxymap"
VERSION: Final = 2

FOUND, NOT_FOUND, RETRY, DENIED = 0, 1, 2, 3


FOLD, UTF8 = 1, 2  # flags: how the client uses the table (tables/table.py, TableFlags)
AS_USUAL: Final = FOLD | UTF8


class Lookup(Request, frozen=True, tag=1):
    """Ask table "type:name" for a key. flags: FOLD, UTF8."""

    table: str
    key: str
    flags: int = AS_USUAL


class LookupResult(Request, frozen=True, tag=11):
    """status: FOUND, NOT_FOUND, RETRY (with the reason in value) or DENIED (not in proxy_read_maps)."""

    status: int
    value: str


SERVER: Final[Protocol[Lookup]] = Protocol(NAME, VERSION, Lookup)
CLIENT: Final[Protocol[LookupResult]] = Protocol(NAME, VERSION, LookupResult)
