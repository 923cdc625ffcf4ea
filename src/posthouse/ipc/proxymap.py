"""The protocol of proxymap(8): lookups in tables that the asking daemon cannot open itself. Both ends' records.

proxywrite, the same program under another name, also changes tables and gives their entries: for caches that several
processes share.
"""

from typing import Final

from posthouse.ipc.record import Request
from posthouse.ipc.stream import Protocol

NAME: Final = "proxymap"
VERSION: Final = 2

MAX_VALUE: Final = 4_000_000  # characters; whatever they are, a record with so many is a frame that may be sent
MAX_WHY: Final = 1000  # characters of a reason

FOUND, NOT_FOUND, RETRY, DENIED = 0, 1, 2, 3


# flags: how the client uses the table (tables/table.py, TableFlags). SENSITIVE: for what decides about rights.
FOLD, UTF8, SENSITIVE = 1, 2, 4
AS_USUAL: Final = FOLD | UTF8


class Lookup(Request, frozen=True, tag=1):
    """Ask table "type:name" for a key. flags: FOLD, UTF8, SENSITIVE."""

    table: str
    key: str
    flags: int = AS_USUAL


class Update(Request, frozen=True, tag=2):
    """Store an entry, replacing an old one. Answered with LookupResult: FOUND, RETRY or DENIED."""

    table: str
    key: str
    value: str
    flags: int = AS_USUAL


class Delete(Request, frozen=True, tag=3):
    """Take an entry out. Answered with LookupResult: FOUND (it was there), NOT_FOUND, RETRY or DENIED."""

    table: str
    key: str
    flags: int = AS_USUAL


class Sequence(Request, frozen=True, tag=4):
    """Give the entries from the one with this number on. 0 begins anew: later numbers count in the list made then."""

    table: str
    start: int
    flags: int = AS_USUAL


class LookupResult(Request, frozen=True, tag=11):
    """status: FOUND, NOT_FOUND, RETRY (with the reason in value) or DENIED (not in proxy_read_maps)."""

    status: int
    value: str


class Entries(Request, frozen=True, tag=12):
    """Keys and values; none when the end is reached. status: FOUND, RETRY (with the reason in why) or DENIED."""

    status: int
    why: str
    entries: list[tuple[str, str]]


ToProxymap = Lookup | Update | Delete | Sequence
FromProxymap = LookupResult | Entries
SERVER: Final[Protocol[ToProxymap]] = Protocol(NAME, VERSION, ToProxymap)
CLIENT: Final[Protocol[FromProxymap]] = Protocol(NAME, VERSION, FromProxymap)
